"""What a comparison consists of, as frozen dataclasses: the JSON file *is* them.

What is measured (``FoldRecord`` and its parts), and what is known about the data and the run.
What follows from it is in ``_conclusions.py``.
"""

from dataclasses import dataclass, field
from typing import Any

from metriclearn.compare._inspect._finding import Finding
from metriclearn.compare._tables._columns import ColumnNote

#: How the error of a learner begins that a run with a time limit gave up.
LEFT = "left the field"


@dataclass(frozen=True)
class Trial:
    """One setting that was tried on validation data.

    Attributes
    ----------
    params : dict
    score : float or None
        None where the setting could not be fitted.
    n_rows : int or None
        Rows that it was fitted on, where a search varies them.
    k : int or None
        Nearest neighbors that it did best with.
    epochs : int or None
        Of a network, the epochs after which validation rows were best; of a solver, the limit of
        its iterations that they were best with.
    rising : bool
        Whether a limit ended it, and no higher one was seen to do no better.
    reached : tuple of (float, float)
        Of a network, epochs and what validation rows scored after them: as often as it was asked.
    """

    params: dict[str, Any]
    score: float | None
    n_rows: int | None = None
    k: int | None = None
    epochs: int | None = None
    rising: bool = False
    reached: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class ByClass:
    """How test rows of each class fared.

    Attributes
    ----------
    classes : tuple of int
        Codes of the classes that were tested on.
    n_rows, n_right : tuple of int
        Test rows of each, and how many of them got this class: by the vote of the nearest in the
        closed set, by the nearest one in the open set.
    confused : tuple of (int, int, int)
        Class, class that it was taken for, and how often; the most frequent, not all.
    """

    classes: tuple[int, ...]
    n_rows: tuple[int, ...]
    n_right: tuple[int, ...]
    confused: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Growth:
    """What Recall@1 does as classes grow; see `metriclearn.metrics.RecallGrowth`.

    Attributes
    ----------
    n_classes : int
        Classes that were searched.
    counts : tuple of (int, int)
        A number of other classes, and how many test rows have so many before the first row of
        their own.
    """

    n_classes: int
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Map:
    """Held-out embeddings in two dimensions, for a picture.

    Attributes
    ----------
    points : tuple of (float, float)
        In the unit square; () until they are laid out, which only a report or a file asks for.
    labels : tuple of int
        Class of each.
    rows : tuple of int or None
        Their places in the data.
    embeddings : tuple of tuple of float
        What ``points`` are made of; () once they are.
    """

    points: tuple[tuple[float, ...], ...] = field(compare=False)
    labels: tuple[int, ...]
    rows: tuple[int, ...] | None = None
    embeddings: tuple[tuple[float, ...], ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Found:
    """Held-out rows and the nearest to each, as places in the data, for a picture.

    Attributes
    ----------
    queries : tuple of int
    nearest : tuple of tuple of int
        Nearest first.
    classes : tuple of tuple of int
        Their classes.
    """

    queries: tuple[int, ...]
    nearest: tuple[tuple[int, ...], ...]
    classes: tuple[tuple[int, ...], ...] = ()


#: What the rows of a matrix stand for behind a step that makes columns of its own.
EMBEDDING = "dimensions of an embedding"


@dataclass(frozen=True)
class Matrix:
    """A learned Mahalanobis matrix, for a picture.

    Attributes
    ----------
    values : tuple of tuple of float
        In units of each feature's standard deviation; block means where it is large.
    n_features : int
        Rows of the matrix itself.
    space : str
        What its rows stand for: "features", "principal components" (of the features) or
        "dimensions of an embedding", which any other step before the metric makes.
    weights : tuple of float
        Its diagonal, or what stands for it: one number for each input feature, or for each
        dimension of an embedding.
    names : tuple of str or None
        Of the input features, where these are not the columns of the table but made of them.
    """

    values: tuple[tuple[float, ...], ...]
    n_features: int
    space: str
    weights: tuple[float, ...]
    names: tuple[str, ...] | None = None

    @property
    def is_of_features(self):
        """Whether its rows are features, or made of them linearly, rather than an embedding's."""
        return self.space != EMBEDDING


@dataclass(frozen=True)
class FoldRecord:
    """One learner on one fold: settings chosen, scores, price.

    Attributes
    ----------
    learner : str
        Its key.
    protocol : {"closed", "open"}
    fold : int
    n_train, n_test : int
        Rows.
    n_features : int or None
        Numbers that the learner gets of a row.
    axis : {"rows", "dimensions", "shift"} or None
        The curve that it is a point of, if any.
    repeat : int
        Which of several seeds on this fold.
    place : int or None
        Where on that curve: a number of rows or dimensions, or the number of the split.
    scores : dict of str to float
        By measure.
    recall_at : dict of str to float
        Recall@k by k.
    dimension : int or None
        Of the learned space.
    k : int or None
        Nearest neighbors that vote, as chosen on validation rows.
    validation : float or None
        Score of the chosen setting on validation rows, by the measure that settles the protocol.
    rising : bool
        Whether it was cut short: a limit ended its training, and no higher one was seen to do no
        better on validation rows.
    embed_seconds : float or None
        CPU time of embedding one row.
    bytes_per_row : int or None
        Of the embedding.
    fit_seconds : float or None
        CPU time of the last fit, tuning not counted.
    tune_seconds : float or None
        CPU time of choosing the settings.
    task_seconds : float
        Wall time of everything.
    params : dict
        Settings chosen.
    tuning : tuple of Trial
    notes : tuple of str
        What a reader of the scores should know.
    error : str or None
        Why there are no scores.
    map : Map or None
    matrix : Matrix or None
    found : Found or None
    by_class : ByClass or None
    growth : Growth or None
    losses : tuple of float
        Of a network, the mean training loss of each epoch.
    """

    learner: str
    protocol: str
    fold: int
    n_train: int
    n_test: int
    axis: str | None = None
    place: int | None = None
    repeat: int = 0
    n_features: int | None = None
    scores: dict[str, float] = field(default_factory=dict)
    recall_at: dict[str, float] = field(default_factory=dict)
    dimension: int | None = None
    k: int | None = None
    validation: float | None = None
    rising: bool = False
    embed_seconds: float | None = None
    bytes_per_row: int | None = None
    fit_seconds: float | None = None
    tune_seconds: float | None = None
    task_seconds: float = 0.0
    params: dict[str, Any] = field(default_factory=dict)
    tuning: tuple[Trial, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None
    map: Map | None = None
    matrix: Matrix | None = None
    found: Found | None = None
    by_class: ByClass | None = None
    growth: Growth | None = None
    losses: tuple[float, ...] = ()

    @property
    def cell(self):
        """What tells a record from the others of its comparison."""
        return self.learner, self.protocol, self.fold, self.axis, self.place, self.repeat


@dataclass(frozen=True)
class LearnerFacts:
    """A learner as tables and charts know it.

    Attributes
    ----------
    key, name : str
    family : str
        A key of ``FAMILIES`` of the roster.
    """

    key: str
    name: str
    family: str


@dataclass(frozen=True)
class JudgmentFacts:
    """What was judged about items.

    Attributes
    ----------
    kind : {"pairs", "triplets"}
    n_judgments : int
    n_similar : int or None
        Of pairs.
    """

    kind: str
    n_judgments: int
    n_similar: int | None = None


@dataclass(frozen=True)
class DataFacts:
    """What was compared on.

    Attributes
    ----------
    name : str
    kind : {"tabular", "image", "photos", "embeddings"}
        Photos are compared by their pixels; embeddings are vectors that a network made.
    n_rows, n_features, n_classes : int
    class_names : tuple of str
    feature_names : tuple of str or None
    image_shape : tuple of int or None
    notes : tuple of str
        How the data were read.
    findings : tuple of Finding
        What is remarkable about them, and what was done.
    columns : tuple of ColumnNote
        What each column of a table was read as.
    is_read : bool
        Whether columns were left out or changed to become numbers.
    class_counts : tuple of int
        Rows of each class.
    amounts : tuple of float
        Of a target of amounts the least, the quartiles and the largest; there are no classes then.
    judgments : JudgmentFacts or None
        Where rows are items with judgments in place of labels.
    """

    name: str
    kind: str
    n_rows: int
    n_features: int
    n_classes: int
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] | None = None
    image_shape: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    columns: tuple[ColumnNote, ...] = ()
    is_read: bool = False
    class_counts: tuple[int, ...] = ()
    amounts: tuple[float, ...] = ()
    judgments: JudgmentFacts | None = None


@dataclass(frozen=True)
class Tuning:
    """How, and how long, each learner was tuned.

    Attributes
    ----------
    method : {"few", "off", "grid", "random", "halving"}
        ``"few"`` tries the settings of the roster, ``"off"`` takes the first of them.
    n_fits : int or None
        Fits that a search may spend on a learner in each fold.
    seconds : float or None
        Seconds instead.
    """

    method: str = "few"
    n_fits: int | None = None
    seconds: float | None = None

    @property
    def is_search(self):
        """Whether search spaces are used."""
        return self.method not in ("few", "off")


@dataclass(frozen=True)
class RunFacts:
    """How it was compared.

    Attributes
    ----------
    command : str
        What reproduces the result.
    seed, n_folds : int
    tuning : Tuning
    n_tasks : int
        Fits that were planned.
    n_resumed : int
        Fits that were kept from an earlier run.
    n_found : int
        Fits of whatever comparison that the folder of kept fits held.
    protocols : tuple of str
    protocol_notes : dict of str to str
        What is remarkable about a protocol, or why it was left out.
    axes : dict of str to tuple of float
        Places of each curve.
    started : str
    seconds : float
        Wall time.
    n_jobs, n_cores : int
    effort : str
    time : float or None
        Seconds within which the run had to end.
    repeats : int
        How many times the folds were drawn.
    measures : dict of str to str
        By protocol, the measure that settles the winner.
    versions : dict of str to str or None
    platform : str
    """

    command: str
    seed: int
    n_folds: int
    tuning: Tuning
    n_tasks: int
    n_resumed: int
    protocols: tuple[str, ...]
    protocol_notes: dict[str, str]
    axes: dict[str, tuple[float, ...]]
    started: str
    seconds: float
    n_jobs: int
    versions: dict[str, str | None]
    platform: str
    n_cores: int | None
    n_found: int = 0
    effort: str = "normal"
    time: float | None = None
    repeats: int = 1
    measures: dict[str, str] = field(
        default_factory=lambda: {"closed": "accuracy", "open": "map_at_r"}
    )
