"""A row of the comparison, and what it may know of the data."""

from collections.abc import Callable
from dataclasses import dataclass, field

from metriclearn.compare._effort import NORMAL, Effort


@dataclass(frozen=True)
class Setting:
    """What a learner may know of the data before it is fitted.

    Attributes
    ----------
    n_rows : int
        Rows of a training part.
    n_features : int
    n_classes : int
        Classes of a training part.
    smallest_class : int
        Fewest rows that a class has when a learner is fitted.
    image_shape : tuple or None
    effort : Effort
    form : str or None
        ``"embeddings"`` where rows are vectors that a network made.
    fewest_rows : int or None
        Rows of the part that settings are judged on; None where it is all of them.
    """

    n_rows: int
    n_features: int
    n_classes: int
    smallest_class: int
    image_shape: tuple | None = None
    effort: Effort = NORMAL
    form: str | None = None
    fewest_rows: int | None = None

    @property
    def most_components(self):
        """Most dimensions that a metric can be asked for, whatever it is fitted on."""
        fewest = self.n_rows if self.fewest_rows is None else self.fewest_rows
        return max(1, min(self.n_features, fewest))

    @property
    def is_wide(self):
        """Whether there are more columns than rows."""
        is_table = self.image_shape is None and not self.is_embedding
        return is_table and self.n_features > self.n_rows

    @property
    def is_embedding(self):
        """Whether rows are vectors that a network made, to be compared by their cosine."""
        return self.form == "embeddings"


@dataclass(frozen=True)
class Learner:
    """One row of the comparison.

    Attributes
    ----------
    key : str
        What ``--learners`` calls it.
    name : str
        What tables and charts call it.
    family : str
        A key of ``FAMILIES``.
    make : callable
        ``make(setting) -> (estimator, grid)``: an unfitted transformer and the list of the few
        settings that it is tuned over by default.
    is_own : bool
        Whether it is the caller's: used as it is, not scaled, tuned only over a space that the
        caller gives.
    max_rows : int or None
        Most rows it is fitted on, where its cost grows with the square of them.
    cost : float
        Seconds of a fit on a thousand rows, roughly: it orders the tasks and starts the estimate
        of the time left.
    space : dict
        What a search tries: parameter to values, as in ``SEARCH_SPACES``; of a learner of your
        own, the names of its ``set_params``.
    default : bool
        Whether it takes part where no learner is named.
    needs_wide : bool
        Whether it then takes part only where there are more columns than rows.
    protocols : tuple of str
        Those that it can take part in; a classifier knows nothing of unseen classes.
    reads : {"pixels", "files"} or None
        What it reads of photos in place of their features.
    of_embeddings : bool
        Whether it is for vectors that a network made only.
    sets_length : bool
        Whether its settings say how long a network is trained.
    stands_on : str or None
        Key of the learner that trains the same network, which both then train once.
    """

    key: str
    name: str
    family: str
    make: Callable
    is_own: bool = False
    max_rows: int | None = None
    cost: float = 0.1
    space: dict = field(default_factory=dict)
    default: bool = False
    needs_wide: bool = False
    protocols: tuple = ("closed", "open")
    reads: str | None = None
    of_embeddings: bool = False
    sets_length: bool = False
    stands_on: str | None = None
