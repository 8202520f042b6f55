"""Exit codes, and bad input as one line on standard error."""

import argparse
import re
import shutil
import sys
import textwrap

from metriclearn._text import one_line, printable

EXIT_SLOW = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def wrapped(line, stream=None):
    """Break a line between words where it goes to a terminal, which would break it anywhere."""
    stream = sys.stdout if stream is None else stream
    if stream is None or not stream.isatty():
        return line
    return "\n".join(_wrapped(line, shutil.get_terminal_size().columns, "", ""))


class BadInputError(Exception):
    """Something that the user can mend; its text is one line."""

    def __init__(self, error):
        super().__init__(printable(one_line(error)))


class HelpFormatter(argparse.HelpFormatter):
    """Help that is as wide as the terminal; indented lines are examples, to be copied."""

    def _fill_text(self, text, width, indent):
        lines = []
        for paragraph in text.strip("\n").split("\n\n"):
            if "\n " in paragraph:
                lines += [part for line in paragraph.split("\n") for part in _example(line, width)]
            else:
                lines += _wrapped(" ".join(paragraph.split()), width, "", "")
            lines.append("")
        return "\n".join(lines[:-1])


def _example(line, width):
    """Yield an example as lines of this width: its remark above it, then a command to copy."""
    if len(line) <= width:
        yield line
        return
    command, _, remark = line.partition("  # ")
    indent = " " * (len(line) - len(line.lstrip()))
    if remark:
        yield from _wrapped(remark, width, f"{indent}# ", f"{indent}# ")
    joined = re.sub(r"(?<= )(--?[\w-]+) (?!-)", r"\1\0", command.strip())  # option and value
    *first, last = _wrapped(joined, width - len(" \\"), indent, f"{indent}    ")
    yield from (f"{part} \\".replace("\0", " ") for part in first)
    yield last.replace("\0", " ")


def _wrapped(text, width, first, further):
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=further,
        break_on_hyphens=False,
        break_long_words=False,
    )


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of every other bad input."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"formatter_class": HelpFormatter, **kwargs})

    def error(self, message):
        """Print the message and exit."""
        line = f"metriclearn: error: {printable(message)}"
        self.exit(EXIT_BAD_INPUT, f"{wrapped(line, sys.stderr)}\n")
