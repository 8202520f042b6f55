"""Text for people: options in the words of who reads; text of others, safe to show."""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar

# Whether the command speaks, and not Python.
_BY_COMMAND = ContextVar("by_command", default=False)
# Arguments that the command calls otherwise.
_OPTIONS = {"y": "target", "n_folds": "folds"}

# No and yes, as words that stand together in one column; whole numbers go with any of them.
_ANSWERS = tuple(
    (frozenset(no.split()), frozenset(yes.split()))
    for no, yes in (
        ("no n", "yes y"), ("false f .false.", "true t .true."), ("off", "on"),
        ("no false off", "yes true on"), ("nein n", "ja j"), ("non n", "oui o"),
        ("nee n", "ja j"), ("nej n", "ja j"), ("não nao n", "sim s"), ("no n", "sí si s"),
        ("нет н", "да д"), ("nie n", "tak"), ("ne n", "ano a"), ("hayır", "evet"),
        ("否", "是"), ("いいえ", "はい"), ("아니요", "예"), ("✗", "✓"), ("✘", "✔"),
        ("absent", "present"), ("disabled", "enabled"), ("inactive", "active"),
        ("unchecked", "checked"), ("negative neg", "positive pos"),
    )
)  # fmt: skip
_DIGITS = (frozenset(("0", "0.0")), frozenset(("1", "1.0")))
_SINGLE = {
    word: value
    for no, yes in reversed((_DIGITS, *_ANSWERS))
    for words, value in ((no, False), (yes, True))
    for word in words
    if len(word) > 1 or word in "01nytfjн✗✓✘✔否是예"
}


def truth_of(cell):
    """Return whether a cell says yes or no; None where it says neither.

    Examples
    --------
    >>> truth_of(" TRUE"), truth_of("0"), truth_of("perhaps")
    (True, False, None)
    """
    return _SINGLE.get(str(cell).strip().lower())


def number_of(cell):
    """Return the number that a cell is, or that its text stands for; None where it is none.

    As Python and numpy read it: ``compare`` reads tables by more forms, of whole columns.

    Examples
    --------
    >>> number_of(" 1e3"), number_of(2), number_of("nan"), number_of("1.000,5")
    (1000.0, 2.0, nan, None)
    """
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def truths_of(words):
    """Return what each of some words says, where they are yes and no of one language.

    Parameters
    ----------
    words : iterable of str
        Distinct words of a column.

    Returns
    -------
    dict of str to bool, or None
        None where they are anything else, or all say the same.

    Examples
    --------
    >>> truths_of(["Ja", "N", "0"])
    {'Ja': True, 'N': False, '0': False}
    >>> truths_of(["T", "N"]) is None
    True
    """
    for no, yes in _ANSWERS:
        said = {}
        for word in words:
            plain = word.strip().lower()
            if plain in no or plain in _DIGITS[0]:
                said[word] = False
            elif plain in yes or plain in _DIGITS[1]:
                said[word] = True
            else:
                break
        else:
            if len(set(said.values())) == 2:
                return said
    return None


def one_line(error):
    r"""Return what an exception says, in one line.

    Examples
    --------
    >>> one_line(ValueError("two\n  lines")), one_line(ValueError())
    ('two lines', 'ValueError')
    """
    return " ".join(str(error).split()) or type(error).__name__


def printable(text):
    r"""Return text whose control characters are spelled out, since a terminal would obey them.

    Examples
    --------
    >>> print(printable("red: \x1b[31m"))
    red: \x1b[31m
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )


def counted(number, noun, plural=None):
    """Return a number with its noun: ``1 row``, ``1,200 rows``.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row"), counted(2, "class", "classes")
    ('1 row', '1,200 rows', '2 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


#: Behind what joins the words of a name a line may end.
JOINTS = r"(?<=[_/\\|])(?=\w)"
_LONG_WORD = re.compile(r"[^\s\u200b-]{20}(?=\w)")


def breakable(name):
    r"""Return a name with zero-width spaces where a line may end: between its words.

    A word of more than twenty letters may be broken within, too.

    Examples
    --------
    >>> breakable("od280/od315_of_wine").split("\u200b")
    ['od280/', 'od315_', 'of_', 'wine']
    """
    text = re.sub(JOINTS, "\u200b", str(name))
    return _LONG_WORD.sub(lambda word: word[0] + "\u200b", text)


def shortened(text, length):
    """Return text cut to a length, with an ellipsis where something was cut.

    Examples
    --------
    >>> shortened("Mahalanobis", 5), shortened("LMNN", 5)
    ('Maha…', 'LMNN')
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def console_width(narrowest):
    """Return the width that a console of rich should take: None, its own, on a terminal.

    A pipe or a file has no width, and the 80 columns of rich would break tables there.

    Parameters
    ----------
    narrowest : int
        The width elsewhere, unless COLUMNS says more.
    """
    if sys.stdout.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    return max(narrowest, int(columns) if columns.isdecimal() else 0)


@contextmanager
def by_command():
    """Within the block arguments are called as the command calls them."""
    token = _BY_COMMAND.set(True)
    try:
        yield
    finally:
        _BY_COMMAND.reset(token)


def option(name, value=None):
    """Return how an argument is given, with a value or by itself: in Python, or to the command.

    Parameters
    ----------
    name : str
        As Python calls it.
    value : object, default=None

    Examples
    --------
    >>> option("repeats", 4), option("keep", ["a b", "Id"]), option("min_rows")
    ('repeats=4', "keep=['a b', 'Id']", 'min_rows=')
    >>> with by_command():
    ...     option("repeats", 4), option("keep", ["a b", "Id"]), option("min_rows")
    ('--repeats 4', "--keep 'a b',Id", '--min-rows')
    >>> with by_command():
    ...     option("image_shape", (8, 8)), option("finetune", {"lr": 0.1}), option("features", True)
    ('--image-shape 8x8', '--finetune lr=0.1', '--features')
    """
    if not _BY_COMMAND.get():
        return f"{name}={'' if value is None else _value(value)}"
    said = f"--{_OPTIONS.get(name, name).replace('_', '-')}"
    return said if value is None or value is True else f"{said} {_argument(value)}"


def _value(value):
    """Write a value as Python does, texts of numpy as any other."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return repr(str(value) if isinstance(value, str) else value)


def _argument(value):
    """Write a value as an argument of the command."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={each}" for key, each in value.items())
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, list):
        return ",".join(map(_argument, value))
    return str(value) if re.fullmatch(r"[\w./-]+", str(value)) else f"'{value}'"
