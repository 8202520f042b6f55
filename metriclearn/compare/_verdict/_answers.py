"""What follows from the scores: the winner, the answers of the first card, the simplest learner.

Which learner stands for a family is settled by its *validation* scores, so that the score that
is shown is not the largest of many test scores. Test scores then say by how much it leads.
"""

from dataclasses import dataclass, field

import numpy as np

from metriclearn.compare._judged._splits import NEW_ITEMS
from metriclearn.compare._measuring._measure import protocol_of
from metriclearn.compare._names import FAMILIES
from metriclearn.compare._verdict._conclusions import Against, Answer, Price, Verdict
from metriclearn.compare._verdict._significance import MIN_FOLDS, SIGNIFICANT, holm, measure_lead
from metriclearn.compare._verdict._table import records_of

LEARNED = ("linear", "kernel", "deep", "stacked")
#: Beside the answer whether deep is worth it, where photos were compared by their pixels.
PIXELS_ONLY = "On pixels: features of a pretrained network, which may be far ahead, took no part."
#: Beside the answer that scaling is enough.
NOTHING_TO_LEARN = "But nothing here is told apart from guessing."
OTHERS_LEARN = "But what validation data chose is not told apart from guessing; {} is."
#: Beside the answer whether fine-tuning is worth it.
NOT_PRICED = "A row of the linear side is priced without the network that makes its features."
#: Question to who is asked about and whom it has to beat, by key or family.
QUESTIONS = {
    "scaling": ((*LEARNED, "baseline"), ("euclidean", "standardized")),
    "learning": (LEARNED, ("baseline",)),
    "deep": (("deep",), ("linear", "baseline")),
    "linear_on_deep": (("stacked",), ("deep",)),
}
#: Instead of these, where rows are vectors that a network made.
EMBEDDING_QUESTIONS = {
    "frozen": (LEARNED, ("cosine",)),
    "fine_tuning": (("finetune",), ("linear", "kernel")),
}
ALL_QUESTIONS = (*QUESTIONS, *EMBEDDING_QUESTIONS)


@dataclass(frozen=True)
class Contest:
    """One measure of a comparison, and who can be compared by it.

    Attributes
    ----------
    questions : tuple of str
        Those of the first card.
    measure : str
    rows : tuple of Row
        Metrics with scores, in the order of the ladder: by family, then by the price of a fit.
    scores : dict of str to dict
        Key to fold to score.
    validation : dict of str to float or None
        Key to mean validation score.
    n_train, n_test : float
        Rows of a typical fold.
    chance : float or None
        Score of guessing.
    caveats : dict of str to str
        Question to what its answer leaves open.
    """

    questions: tuple
    measure: str
    rows: tuple
    scores: dict
    validation: dict
    n_train: float
    n_test: float
    chance: float | None = None
    caveats: dict = field(default_factory=dict)

    def lead(self, key, other):
        """Measure the lead of one learner over another on their common folds."""
        folds = sorted(set(self.scores[key]) & set(self.scores[other]))
        differences = [self.scores[key][fold] - self.scores[other][fold] for fold in folds]
        return measure_lead(differences, self.n_train, self.n_test)

    def are_validated(self, rows):
        """Whether each of some rows has validation scores."""
        return all(self.validation[row.key] is not None for row in rows)

    def best(self, rows, beside=()):
        """Return the best of some rows by validation; by test score where one has none.

        Nor may one of the rows ``beside``, whose best is chosen in the same way.
        """
        rows = list(rows)
        if self.are_validated((*rows, *beside)):
            values = [self.validation[row.key] for row in rows]
        else:
            values = [row.mean(self.measure) for row in rows]
        # Of equal ones the simplest, as they come in this order.
        return rows[int(np.argmax(values))] if rows else None


def make_contest(result, measure, protocol):
    """Collect what is needed to compare by a measure.

    Parameters
    ----------
    result : ComparisonResult
    measure : str
    protocol : {"closed", "open"}

    Returns
    -------
    Contest
    """
    records = records_of(result, protocol)
    rows = [row for row in result.rows() if measure in row.scores and row.family != "reference"]
    place = {family: i for i, family in enumerate(FAMILIES)}
    rows.sort(key=lambda row: (place.get(row.family, len(place)), row.fit_seconds or 0))
    validation = {}
    for row in rows:
        own = [record.validation for record in records if record.learner == row.key]
        validation[row.key] = None if None in own else float(np.mean(own))
    is_embedding = result.data.kind == "embeddings"
    return Contest(
        questions=tuple(EMBEDDING_QUESTIONS if is_embedding else QUESTIONS),
        measure=measure,
        rows=tuple(rows),
        scores={row.key: result.fold_scores(row.key, measure) for row in rows},
        validation=validation,
        n_train=_n_train(records, protocol, result.data.judgments),
        n_test=float(np.mean([record.n_test for record in records])) if records else 1.0,
        chance=_chance(measure, result.data),
        caveats=_caveats(result.data.kind),
    )


def contest_of(result, measure):
    """Return who can be compared by a measure; None if the run was stopped with a family missing.

    Parameters
    ----------
    result : ComparisonResult
    measure : str

    Returns
    -------
    Contest or None
    """
    contest = make_contest(result, measure, protocol_of(measure))
    if result.interrupted or result.run.time is not None:
        wanted = {row.family for row in result.rows() if row.family != "reference"}
        if {row.family for row in contest.rows} != wanted:
            return None
    return contest


def _n_train(records, protocol, judgments):
    """Return what a typical fold trains on.

    Where items are split, few judgments are of one side alone; how much two splits have in
    common goes by their items.
    """
    n_train, n_test = (
        float(np.mean([getattr(record, name) for record in records] or [1.0]))
        for name in ("n_train", "n_test")
    )
    if judgments is not None and protocol == "open":
        return min(n_train, n_test * (1 - NEW_ITEMS) / NEW_ITEMS)
    return n_train


def _chance(measure, data):
    if measure in ("pair_accuracy", "new_pair_accuracy"):
        share = data.judgments.n_similar / data.judgments.n_judgments
        return max(share, 1 - share)
    return 0.5 if data.judgments else chance_of(measure, data.class_counts)


def _caveats(kind):
    by_kind = {"photos": {"deep": PIXELS_ONLY}, "embeddings": {"fine_tuning": NOT_PRICED}}
    return by_kind.get(kind, {})


def chance_of(measure, counts):
    """Return what guessing the largest class, or the mean, scores; None where it makes no sense.

    Examples
    --------
    >>> chance_of("accuracy", (30, 10)), chance_of("balanced_accuracy", (30, 10))
    (0.75, 0.5)
    """
    if measure == "r2":
        return 0.0
    if not counts:
        return None
    by_measure = {"accuracy": max(counts) / sum(counts), "balanced_accuracy": 1 / len(counts)}
    return by_measure.get(measure)


def find_verdict(contest):
    """Say who wins, and from whom the winner cannot be told apart.

    Parameters
    ----------
    contest : Contest

    Returns
    -------
    Verdict or None
        None if no learner has a score.
    """
    winner = contest.best(contest.rows)
    if winner is None:
        return None
    others = [row for row in contest.rows if row is not winner]
    leads = [contest.lead(winner.key, other.key) for other in others]
    adjusted = holm([lead.p_value for lead in leads])
    against = [
        Against(other.key, other.name, lead, p, p is not None and p < SIGNIFICANT)
        for other, lead, p in zip(others, leads, adjusted, strict=True)
    ]
    against.sort(key=lambda entry: entry.lead.mean)
    enough = len(contest.scores[winner.key]) >= MIN_FOLDS
    # Tested against many, even a large lead may be no finding; tested alone it is one, and who
    # is that far behind is not recommended.
    near = {entry.key for entry in against if not entry.lead.is_told}
    simplest = next((row for row in contest.rows if row is winner or row.key in near), winner)
    return Verdict(
        measure=contest.measure,
        winner=winner.name,
        key=winner.key,
        score=winner.mean(contest.measure),
        by_validation=contest.are_validated(contest.rows),
        against=tuple(against),
        tied=tuple(entry.name for entry in against if not entry.is_told) if enough else (),
        simplest=simplest.name if enough else None,
        chance=contest.chance,
        over_chance=_over_chance(contest, winner) if enough else None,
        rising=tuple(row.name for row in contest.rows if row.rising),
        n_folds=len(contest.scores[winner.key]),
    )


def _over_chance(contest, row):
    """Return whether a learner is told to be above guessing; None where that makes no sense."""
    if contest.chance is None:
        return None
    lead = _lead_over_chance(contest, row)
    return lead.is_told and lead.mean > 0


def _lead_over_chance(contest, row):
    differences = [score - contest.chance for score in contest.scores[row.key].values()]
    return measure_lead(differences, contest.n_train, contest.n_test)


def _only_guessed(contest):
    """Say that what validation chose may only guess, and whether any other does better."""
    if _over_chance(contest, contest.best(contest.rows)) is not False:
        return ""
    leads = [_lead_over_chance(contest, row) for row in contest.rows]
    adjusted = holm([lead.p_value for lead in leads])
    told = [
        (lead.mean, row.name)
        for lead, p, row in zip(leads, adjusted, contest.rows, strict=True)
        if p is not None and p < SIGNIFICANT and lead.mean > 0
    ]
    return OTHERS_LEARN.format(max(told)[1]) if told else NOTHING_TO_LEARN


def find_answer(contest, question):
    """Answer a question of the first card.

    Parameters
    ----------
    contest : Contest
    question : str
        A key of ``QUESTIONS`` or of ``EMBEDDING_QUESTIONS``.

    Returns
    -------
    Answer or None
        None unless both sides have scores.
    """
    asked, standing = (QUESTIONS | EMBEDDING_QUESTIONS)[question]
    simple = [row for row in contest.rows if row.key in standing or row.family in standing]
    rest = [row for row in contest.rows if row not in simple]
    asking = [row for row in rest if row.family in asked or row.key.startswith(asked)]
    challenger, incumbent = contest.best(asking, simple), contest.best(simple, asking)
    if challenger is None or incumbent is None:
        return None
    lead = contest.lead(challenger.key, incumbent.key)
    answer, caveat = _word(question, lead), contest.caveats.get(question, "")
    if question == "scaling" and answer == "yes":
        caveat = _only_guessed(contest) or caveat
    return Answer(
        question=question,
        measure=contest.measure,
        learner=challenger.name,
        against=incumbent.name,
        lead=lead,
        answer=answer,
        price=_price(challenger),
        price_against=_price(incumbent),
        rising=tuple(row.name for row in (challenger, incumbent) if row.rising),
        caveat=caveat,
    )


def _word(question, lead):
    if lead.p_value is None:
        return "too few folds"
    if question == "scaling":
        return "no" if lead.is_told and lead.mean > 0 else "yes"
    if lead.is_told:
        return "yes" if lead.mean > 0 else "no"
    return "not clearly"


def _price(row):
    return Price(row.fit_seconds, row.embed_seconds, row.bytes_per_row)
