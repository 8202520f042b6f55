"""How people write that there is no value."""

# In a column of numbers, times or truth values; in lower case.
MISSING = frozenset(
    {
        "", "?", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*", "na", "n/a", "n.a.",
        "n.a", "#n/a", "#na", "n/d", "n.d.", "nd", "k.a.", "nan", "-nan", "null", "(null)", "nil",
        "none", "<na>", "<null>", "nat", "\\n", "missing", "(missing)", "(blank)", "not available",
        "unknown", "#div/0!", "#value!", "#ref!", "#name?", "#null!", "#num!", "1.#ind", "1.#qnan",
        "-1.#ind", "#n/a n/a", "undefined",
    }
)  # fmt: skip


def is_missing(text):
    """Whether a cell says that it has no value.

    Examples
    --------
    >>> is_missing(" N/A "), is_missing("0")
    (True, False)
    """
    return text.strip().lower() in MISSING


# Among words a dash or a "none" may be a value of its own; these are not.
MISSING_TEXT = frozenset(
    {"", "?", "nan", "null", "(null)", "<na>", "n/a", "#n/a", "#na", "\\n", "na", "nat", "none"}
)


def is_missing_text(text):
    """Whether a cell of a column of words says that it has no value."""
    return text.strip().lower() in MISSING_TEXT
