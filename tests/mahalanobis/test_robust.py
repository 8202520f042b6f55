"""Laws of all linear learners: finite answers, warnings, and one error each for bad input."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.estimators import LINEAR
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import has_fit_parameter

from metriclearn import (
    GMML,
    ITML,
    LFDA,
    LMNN,
    LSML,
    MCML,
    MLKR,
    MMC,
    NCA,
    POLA,
    RCA,
    SCML,
    SDML,
    Covariance,
    KernelMetric,
    MahalanobisLearner,
)
from metriclearn.constraints import (
    Chunks,
    Pairs,
    Quadruplets,
    Triplets,
    chunks_from_labels,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)
from metriclearn.mahalanobis._base import warn_of_long_fit
from metriclearn.neighbors import ExactSearch, FaissKNeighborsClassifier

DRAW = {
    Pairs: lambda X, y: pairs_from_labels(y, n_pairs=60, random_state=0),
    Triplets: lambda X, y: triplets_from_labels(y, X, n_positives=2, n_negatives=3),
    Quadruplets: lambda X, y: quadruplets_from_labels(y, n_quadruplets=60, random_state=0),
    Chunks: lambda X, y: chunks_from_labels(y, n_chunks=12, random_state=0),
}
TAKEN = [(learner, kind) for learner in LINEAR for kind in learner._constraint_kinds]
TAKERS = [learner for learner in LINEAR if learner._constraint_kinds]
REFUSED = [
    (learner, kind) for learner in TAKERS for kind in DRAW if kind not in learner._constraint_kinds
]


def names(value):
    return (
        type(value).__name__ if hasattr(value, "get_params") else getattr(value, "__name__", None)
    )


AWKWARD = {
    "constant": lambda X: np.c_[X, np.full(len(X), 7.0)],
    "duplicate": lambda X: np.c_[X, X[:, :2]],
    "equal rows": lambda X: np.repeat(X[::3], 3, axis=0),
    "singular": lambda X: X[:, :2] @ np.random.RandomState(0).randn(2, 6),
    "wide": lambda X: np.c_[X, np.random.RandomState(0).randn(len(X), 60)],
    "mixed scales": lambda X: X * [1e8, 1e-8, 1, 1],
    "huge": lambda X: X * 1e8,
    "tiny": lambda X: X * 1e-8,
}


@pytest.mark.parametrize(("learner", "kind"), TAKEN, ids=names)
@pytest.mark.parametrize("spoil", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_awkward_rows_of_constraints_never_give_nan(learner, kind, spoil, small):
    X, y = small
    constraints, X = DRAW[kind](X, y), spoil(X)
    Z = clone(learner).fit(X, constraints=constraints).transform(X)
    assert np.all(np.isfinite(Z))
    assert np.ptp(Z) > 0


@pytest.mark.parametrize("learner", LINEAR, ids=names)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "spoil", [AWKWARD["singular"], AWKWARD["equal rows"]], ids=["singular", "equal rows"]
)
def test_singular_rows_never_give_nan(learner, spoil, small):
    X, y = spoil(small[0]), small[1]
    Z = clone(learner).fit(X, y).transform(X)
    assert np.all(np.isfinite(Z))
    assert np.ptp(Z) > 0


@pytest.mark.parametrize("learner", LINEAR, ids=names)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_classes_of_very_unequal_size_never_give_nan(learner, rng):
    y = np.repeat([0, 1, 2], [150, 4, 5])
    X = rng.randn(len(y), 4)
    X[:, 0] += y
    Z = clone(learner).fit(X, y).transform(X)
    assert np.all(np.isfinite(Z))
    assert np.ptp(Z) > 0


@pytest.mark.parametrize(
    "learner",
    [
        ITML(gamma=1.0, random_state=0),
        LMNN(),
        LSML(random_state=0),
        MCML(),
        MLKR(),
        MMC(random_state=0),
        MMC("diagonal", random_state=0),
        MahalanobisLearner(random_state=0),
        NCA(),
        SCML(random_state=0),
        SDML(sparsity=0.5, random_state=0),
    ],
    ids=names,
)
def test_stopping_early_always_warns(learner, small):
    X, y = small
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        clone(learner).set_params(max_iter=1, tol=1e-12).fit(X, y)


@pytest.mark.parametrize("learner", TAKERS, ids=names)
def test_rows_that_do_not_exist_are_refused(learner, small):
    kind = learner._constraint_kinds[0]
    X, y = small
    constraints = DRAW[kind](X, y)
    with pytest.raises(ValueError, match="X has 20 rows"):
        clone(learner).fit(X[:20], constraints=constraints)


@pytest.mark.parametrize(("learner", "kind"), REFUSED, ids=names)
def test_other_kinds_of_constraints_are_refused(learner, kind, small):
    X, y = small
    with pytest.raises(ValueError, match=f"{type(learner).__name__} takes .*got {kind.__name__}"):
        clone(learner).fit(X, constraints=DRAW[kind](X, y))


@pytest.mark.parametrize("learner", TAKERS, ids=names)
@pytest.mark.parametrize(
    "given", [[[0, 1]], "pairs", np.zeros((3, 2), int)], ids=["list", "word", "array"]
)
def test_what_is_no_constraint_is_refused(learner, given, small):
    with pytest.raises(ValueError, match=f"constraints: {type(learner).__name__} takes"):
        clone(learner).fit(small[0], constraints=given)


@pytest.mark.parametrize("learner", TAKERS, ids=names)
def test_neither_labels_nor_constraints_is_refused(learner, small):
    kinds = " or ".join(kind.__name__ for kind in learner._constraint_kinds)
    with pytest.raises(ValueError, match=f"y is None; give labels y, or {kinds} as constraints"):
        clone(learner).fit(small[0])


@pytest.mark.parametrize("learner", TAKERS, ids=names)
def test_labels_and_constraints_together_are_refused(learner, small):
    X, y = small
    constraints = DRAW[learner._constraint_kinds[0]](X, y)
    with pytest.raises(ValueError, match="y and constraints were both given"):
        clone(learner).fit(X, y, constraints=constraints)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pairs(np.zeros((0, 2), int), []),
        lambda: Triplets(np.zeros((0, 3), int)),
        lambda: Quadruplets(np.zeros((0, 4), int)),
        lambda: Chunks(np.full(45, -1)),
    ],
    ids=["Pairs", "Triplets", "Quadruplets", "Chunks"],
)
def test_empty_constraints_are_refused(make):
    with pytest.raises(ValueError, match=r"empty|no row is in a chunk"):
        make()


@pytest.mark.parametrize(
    "learner",
    # Of POLA a repeat is another step, and in MahalanobisLearner it counts in the unit.
    [
        taker
        for taker, kind in TAKEN
        if kind is Pairs and not isinstance(taker, (POLA, MahalanobisLearner))
    ],
    ids=names,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_annotators_who_disagree_are_weights(learner, small):
    """Two votes against one are a similar pair of weight two and a dissimilar one."""
    X, y = small
    if "minibatch" in learner.get_params().values() or type(learner).__name__ == "POLA":
        return  # one constraint after the other: a repeat is another step
    learner = clone(learner)
    if "bounds" in learner.get_params():
        learner.set_params(bounds=(1.0, 20.0))  # not percentiles, which know no weights
    drawn = pairs_from_labels(y, n_pairs=40, random_state=0)
    voted = Pairs(
        np.r_[drawn.indices, [[0, 1], [1, 0], [0, 1]]], np.r_[drawn.similar, True, True, False]
    )
    assert "dissimilar" in repr(voted)
    np.testing.assert_array_equal(voted.conflicts(), [[0, 1]])
    weighted = Pairs(
        np.r_[drawn.indices, [[0, 1], [0, 1]]],
        np.r_[drawn.similar, True, False],
        np.r_[np.ones(len(drawn)), 2, 1],
    )
    found, expected = (
        clone(learner).fit(X, constraints=pairs).get_mahalanobis_matrix()
        for pairs in (voted, weighted)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (LMNN(n_neighbors=9), "n_neighbors=9 is larger than the smallest class"),
        (LMNN(init=np.full((4, 4), np.nan)), "init holds NaN or infinity"),
        (LMNN(init=np.eye(3)), "init: an array must be of shape"),
        (NCA(init=np.full((4, 4), np.nan)), "init holds NaN or infinity"),
        (MLKR(init=np.full((4, 4), np.nan)), "init holds NaN or infinity"),
        *(
            (learner(prior=prior), message)
            for learner in (GMML, ITML, LSML, SDML)
            for prior, message in (
                (np.eye(3), r"prior must be of shape .* \(4, 4\), got \(3, 3\)"),
                (np.diag([1.0, 1, 1, -1]), "prior must be symmetric positive semidefinite"),
                (np.triu(np.ones((4, 4))), "prior must be symmetric positive semidefinite"),
                (np.full((4, 4), np.nan), "prior must hold finite numbers"),
            )
        ),
        (ITML(bounds=(2.0, 1.0)), "bounds must be two numbers"),
        (SCML(basis=np.ones((2, 3))), "basis must be of shape"),
        *(
            (learner(n_components=5), "n_components=5 is larger than the number of features")
            for learner in (GMML, ITML, LFDA, LSML, RCA, SCML, SDML)
        ),
        (
            KernelMetric(kernel=lambda A, B: np.tile(B[:, 0], (len(A), 1))),
            "kernel is not symmetric",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_bad_parameters_are_one_clear_error_before_any_work(learner, message, small):
    X, y = small[0], np.repeat([0, 1, 2], [20, 20, 5])
    with pytest.raises(ValueError, match=message) as error:
        clone(learner).fit(X, y)
    assert error.value.__context__ is None


def test_the_covariance_needs_no_labels(small):
    assert Covariance().fit(small[0]).components_.shape == (4, 4)


@pytest.mark.parametrize(
    "learner", [GMML(), LSML(random_state=0), SDML(random_state=0)], ids=lambda x: type(x).__name__
)
def test_rows_near_the_end_of_float64_keep_their_neighbors(learner, iris):
    """These metrics keep the unit of X, whose squares are then beyond float64."""
    X, y = iris
    expected = clone(learner).fit(X, y).transform(X)
    found = clone(learner).fit(X * 1e155, y).transform(X * 1e155)
    with pytest.raises(ValueError, match="squared distances"):
        FaissKNeighborsClassifier(3).fit(found, y).predict(found)
    expected, found = (Z / np.abs(Z).max() for Z in (expected, found))
    expected, found = (ExactSearch(Z).search_all(3)[0] for Z in (expected, found))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (MCML(max_iter=1, tol=1e9), r"MCML compares all pairs of 60 rows.*fit it to some \d+ of"),
        (LFDA(), r"LFDA compares all pairs of 60 rows.*train_size=\d+, stratify=y"),
        (KernelMetric(), r"KernelMetric compares all pairs of 60 rows.*set n_landmarks=1000"),
    ],
    ids=repr,
)
def test_a_long_fit_is_announced_with_what_is_shorter(learner, message, rng, monkeypatch):
    X, y = rng.randn(60, 3), np.arange(60) % 3
    clone(learner).fit(X, y)  # without a word
    monkeypatch.setattr("metriclearn.mahalanobis._base._LONG_FIT", 0)
    with pytest.warns(UserWarning, match=message):
        clone(learner).fit(X, y)


def test_how_long_a_fit_is_said_to_take_and_the_rows_that_take_ten_seconds():
    with pytest.warns(UserWarning, match=r"100000 rows, which takes one core some 12 minutes; .*"):
        warn_of_long_fit("MCML", 714, 100_000)
    with pytest.warns(UserWarning, match=r"train_size=11800, stratify"):
        warn_of_long_fit("MCML", 714, 100_000)


@pytest.mark.parametrize("estimator", LINEAR, ids=repr)
def test_weights_of_rows_are_taken_or_one_error_says_what_to_do(estimator, small):
    X, y = small
    weights = np.ones(len(X))
    if has_fit_parameter(estimator, "sample_weight"):
        clone(estimator).fit(X, y, sample_weight=weights)
        return
    name = type(estimator).__name__
    with pytest.raises(
        TypeError, match=f"^sample_weight is not taken by {name}: .*weights=..."
    ) as e:
        clone(estimator).fit(X, y, sample_weight=weights)
    # What the error advises works.
    kind = re.search(r"constraints=(\w+)\(", str(e.value))[1]
    draw = {
        "Pairs": pairs_from_labels,
        "Triplets": triplets_from_labels,
        "Quadruplets": quadruplets_from_labels,
    }[kind]
    drawn = draw(y, random_state=0)
    given = replace(drawn, weights=weights[drawn.indices].prod(axis=1))
    clone(estimator).fit(X, constraints=given)
    # A meta-estimator that has weights to give does not give them.
    bagged = BaggingClassifier(
        make_pipeline(clone(estimator), KNeighborsClassifier()), n_estimators=1, random_state=0
    )
    assert bagged.fit(X, y).score(X, y) > 0.5
