"""The command line: one file for each sub-command, ``metriclearn COMMAND --help`` for users."""

import sys

__all__ = ["main"]


def main(argv=None):
    """Run the command line; what it needs is imported where an interrupt is one line, too.

    Parameters
    ----------
    argv : list of str, default=None
        ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        The exit code: 0; 1 where ``doctor`` found what slows search; 2 for bad input, after one
        line on standard error; 130 after Ctrl-C and 143 after SIGTERM, with what was finished.
    """
    try:
        from metriclearn.cli._main import run_command

        return run_command(argv)
    except KeyboardInterrupt:  # while modules are loaded
        print("metriclearn: interrupted before anything was finished", file=sys.stderr)
        return 130
