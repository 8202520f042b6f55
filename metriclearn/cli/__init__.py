"""The command line: one file for each sub-command, ``metriclearn COMMAND --help`` for users."""

from metriclearn.cli._main import main

__all__ = ["main"]
