"""Exit codes, and bad input as one line on standard error."""

import argparse

from metriclearn._text import one_line, printable

EXIT_SLOW = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class BadInputError(Exception):
    """Something that the user can mend; its text is one line."""

    def __init__(self, error):
        super().__init__(printable(one_line(error)))


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of every other bad input."""

    def error(self, message):
        """Print the message and exit."""
        self.exit(EXIT_BAD_INPUT, f"metriclearn: error: {printable(message)}\n")
