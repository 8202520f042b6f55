"""What follows from the records: rows, verdicts, answers and ranks, computed and not read back."""

from dataclasses import dataclass

from metriclearn.compare._records import LEFT
from metriclearn.compare._verdict._significance import Lead


@dataclass(frozen=True)
class Score:
    """Mean of a measure over the folds, its standard deviation and their number."""

    mean: float
    std: float | None
    n_folds: int


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes
    ----------
    key, name, family : str
    scores : dict of str to Score
        By measure, of those that the learner has.
    fit_seconds, tune_seconds, n_tried : float or None
        Means over the folds.
    dimension : int or None
    folds : dict of str to int
        Folds finished, by protocol.
    notes : tuple of str
    error : str or None
    embed_seconds : float or None
        CPU time of embedding one row.
    bytes_per_row : int or None
        Of the embedding.
    rising : bool
        Whether it was cut short by a limit in half of the folds or more.
    """

    key: str
    name: str
    family: str
    scores: dict[str, Score]
    fit_seconds: float | None
    tune_seconds: float | None
    n_tried: float | None
    dimension: int | None
    folds: dict[str, int]
    notes: tuple[str, ...]
    error: str | None
    embed_seconds: float | None = None
    bytes_per_row: int | None = None
    rising: bool = False

    @property
    def left(self):
        """Whether a run with a time limit gave it up for better ones: no fault of its own."""
        return self.error is not None and self.error.startswith(LEFT)

    def mean(self, measure):
        """Return the mean of a measure; None where there is none."""
        score = self.scores.get(measure)
        return None if score is None else score.mean

    def std(self, measure):
        """Return the standard deviation of a measure; None where there is none."""
        score = self.scores.get(measure)
        return None if score is None else score.std


@dataclass(frozen=True)
class Point:
    """A learner's score at one place of a curve; ``std`` is None of a single fold."""

    place: float
    mean: float
    std: float | None
    n_folds: int


@dataclass(frozen=True)
class Curve:
    """A learner's scores along an axis."""

    key: str
    name: str
    family: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Against:
    """How far a winner is ahead of another learner.

    Attributes
    ----------
    key, name : str
    lead : Lead
        On its own.
    p_value : float or None
        Adjusted for the number of learners (Holm); None with too few folds.
    is_told : bool
        Whether the lead is beyond the noise.
    """

    key: str
    name: str
    lead: Lead
    p_value: float | None
    is_told: bool


@dataclass(frozen=True)
class Verdict:
    """Who wins a measure.

    Attributes
    ----------
    measure : str
    winner, key : str
    score : float
    by_validation : bool
        Whether validation scores chose the winner, or, where there are none, test scores.
    against : tuple of Against
        Every other metric, nearest first.
    tied : tuple of str
        Those that cannot be told apart from the winner; empty with too few folds.
    simplest : str or None
        The simplest of the winner and those that are not beyond the noise behind it even when
        tested alone; None with too few folds.
    chance : float or None
        What guessing the largest class scores.
    over_chance : bool or None
        Whether the winner is better than that beyond the noise; None if that is not known.
    rising : tuple of str
        Learners that were cut short by a limit.
    n_folds : int
    """

    measure: str
    winner: str
    key: str
    score: float
    by_validation: bool
    against: tuple[Against, ...]
    tied: tuple[str, ...]
    simplest: str | None
    chance: float | None
    over_chance: bool | None
    rising: tuple[str, ...]
    n_folds: int


@dataclass(frozen=True)
class Price:
    """CPU seconds of a fit and of embedding a row, bytes of a row."""

    fit_seconds: float | None
    embed_seconds: float | None
    bytes_per_row: int | None


@dataclass(frozen=True)
class Answer:
    """A question of the first card, answered.

    Attributes
    ----------
    question : {"scaling", "learning", "deep", "linear_on_deep", "frozen", "fine_tuning"}
    measure : str
    learner, against : str
        Names of the best of the side that is asked about, and of the side that it has to beat.
    lead : Lead
        Of the first over the second.
    answer : {"yes", "not clearly", "no", "too few folds"}
    price, price_against : Price
    rising : tuple of str
        Those of the two that were cut short by a limit.
    caveat : str
        What the answer leaves open; empty where nothing.
    """

    question: str
    measure: str
    learner: str
    against: str
    lead: Lead
    answer: str
    price: Price
    price_against: Price
    rising: tuple[str, ...]
    caveat: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """Who is compared with whom."""
        return self.learner, self.against


@dataclass(frozen=True)
class Ranked:
    """A learner over several data sets; a score is None where it failed, and counts as last."""

    key: str
    name: str
    family: str
    mean_rank: float
    scores: tuple[float | None, ...]


@dataclass(frozen=True)
class Friedman:
    """The test whether mean ranks differ at all."""

    chi2: float
    F: float
    p_value: float


@dataclass(frozen=True)
class Ranking:
    """Mean ranks by one measure, best first.

    Attributes
    ----------
    measure : str
    datasets : tuple of str
        Those that have the measure.
    learners : tuple of Ranked
    critical_difference : float
        Of Nemenyi, at 5%.
    friedman : Friedman or None
        None for fewer than three learners.
    groups : tuple of tuple of str
        Names that cannot be told apart.
    """

    measure: str
    datasets: tuple[str, ...]
    learners: tuple[Ranked, ...]
    critical_difference: float
    friedman: Friedman | None
    groups: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RankQuestion:
    """The best deep learner beside the best that is not, by mean rank; ``lead`` in ranks."""

    measure: str
    deep: str
    linear: str
    deep_rank: float
    linear_rank: float
    lead: float
    beyond_noise: bool


@dataclass(frozen=True)
class Summary:
    """What a result says, as it is written beside the records."""

    rows: tuple[Row, ...]
    verdicts: dict[str, Verdict | None]
    answers: dict[str, tuple[Answer, ...]]
    sentences: tuple[str, ...]
    curves: dict[str, dict[str, tuple[Curve, ...]]]
