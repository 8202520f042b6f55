"""``metriclearn``: reads the arguments and hands them to a sub-command."""

import contextlib
import os
import shlex
import signal
import sys

from metriclearn import __version__
from metriclearn._text import by_command, one_line, printable
from metriclearn.cli import _compare, _doctor, _embed, _search, _verify
from metriclearn.cli._errors import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    BadInputError,
    Parser,
    wrapped,
)

COMMANDS = (_compare, _embed, _search, _verify, _doctor)


def run_command(argv=None):
    """Run the command line, as `metriclearn.cli.main` says, whose modules are loaded by now."""
    argv = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(argv)
    command = shlex.join(["metriclearn", *argv])
    stop = _Termination()
    try:
        with stop, by_command():
            code = options.run(options, command)
            if sys.stdout is not None:
                sys.stdout.flush()
    except BadInputError as error:
        _print_error(error)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("metriclearn: interrupted before anything was finished", file=sys.stderr)
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, e.g. head, has seen enough
        _print_no_more()
        return 0
    except OSError as error:  # a full disk, or a folder that was removed meanwhile
        _print_error(printable(one_line(error)))
        _print_no_more()
        return EXIT_BAD_INPUT
    return EXIT_TERMINATED if stop.happened and code == EXIT_INTERRUPTED else code


def _print_error(text):
    print(wrapped(f"metriclearn: error: {text}", sys.stderr), file=sys.stderr)


def _print_no_more():
    """Let what is left in the buffer go nowhere: Python would fail on it once more at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser():
    parser = Parser(prog="metriclearn", description="Learn metrics, and find out which to use.")
    parser.add_argument("--version", action="version", version=f"metriclearn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


class _Termination:
    """While it is entered, SIGTERM is an interrupt: what is finished is written."""

    happened = False

    def __enter__(self):
        try:
            self._before = signal.signal(signal.SIGTERM, self._interrupt)
        except ValueError:  # not the main thread
            self._before = None
        return self

    def __exit__(self, *exc_info):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _interrupt(self, signum, frame):
        if self.happened:  # asked twice: what is finished is being written already
            return
        self.happened = True
        raise KeyboardInterrupt
