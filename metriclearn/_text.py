"""Text of others in one line, and safe for a terminal."""


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


def shortened(text, length):
    """Return text of at most so many letters.

    Examples
    --------
    >>> shortened("Mahalanobis", 5), shortened("LMNN", 5)
    ('Maha…', 'LMNN')
    """
    return text if len(text) <= length else text[: length - 1] + "…"
