"""Exit codes, and bad input as one line on standard error."""

import argparse
import textwrap

from metriclearn._text import one_line, printable

EXIT_SLOW = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class BadInputError(Exception):
    """Something that the user can mend; its text is one line."""

    def __init__(self, error):
        super().__init__(printable(one_line(error)))


class HelpFormatter(argparse.HelpFormatter):
    """Help that is as wide as the terminal; paragraphs with indented lines stay as they are."""

    def _fill_text(self, text, width, indent):
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(
            paragraph
            if "\n " in paragraph
            else textwrap.fill(" ".join(paragraph.split()), width, break_on_hyphens=False)
            for paragraph in paragraphs
        )


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of every other bad input."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"formatter_class": HelpFormatter, **kwargs})

    def error(self, message):
        """Print the message and exit."""
        self.exit(EXIT_BAD_INPUT, f"metriclearn: error: {printable(message)}\n")
