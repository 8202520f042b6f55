"""One thing that a reader of the result should know about the data."""

from dataclasses import dataclass

# In the order in which findings are shown.
KINDS = (
    "unreadable",
    "empty",
    "row_number",
    "id",
    "time",
    "constant",
    "giveaway",
    "duplicates",
    "repeated_measurements",
    "amount_target",
    "similar_class_names",
    "imbalance",
    "small_classes",
    "wide",
)

# A finding names so many rows; its text has their number.
MAX_ROWS = 20


@dataclass(frozen=True)
class Finding:
    """Something about the data, and what was done about it.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    columns : tuple of str
        Names of the columns concerned; empty where it is about rows or labels.
    rows : tuple of int
        The first rows concerned, counted from 0, at most ``MAX_ROWS``; ``text`` has their number.
    text : str
        A sentence on what was found.
    action : str
        A sentence on what was done, and what can be done instead.
    """

    kind: str
    columns: tuple[str, ...]
    rows: tuple[int, ...]
    text: str
    action: str

    @property
    def sentence(self):
        """Text and action as one line."""
        return f"{self.text} {self.action}".strip()


def make_finding(kind, text, action, *, columns=(), rows=()):
    """Build a finding from anything that lists names and row numbers."""
    rows = tuple(int(row) for row in rows[:MAX_ROWS])
    return Finding(kind, tuple(str(column) for column in columns), rows, text, action)


def listed(names, most=5):
    """Return names as words: ``'a', 'b' and 3 more``.

    Examples
    --------
    >>> listed(["a", "b"])
    "'a' and 'b'"
    >>> listed(list("abcdefgh"), most=3)
    "'a', 'b', 'c' and 5 more"
    """
    names = list(names)
    shown = [repr(str(name)) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""
