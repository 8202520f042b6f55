"""An argument acts, or a warning or an error says its name: none is ignored without a word."""

import inspect

import numpy as np
import pytest
from helpers.unused import outcome, unsaid
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

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
    KernelMetric,
    MahalanobisLearner,
    PairClassifier,
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
from metriclearn.mahalanobis import LinearStudent
from metriclearn.neighbors import OpenSetClassifier
from metriclearn.recommend import CollaborativeMetric

#: What says nothing of the result: how it is shown, where, and in how much memory.
OF_THE_RUN = {"verbose", "max_memory", "warm_start", "random_state"}
#: Limits of a search, that are not always reached.
LIMITS = {"max_iter", "tol"}
NO_SEARCH = {"sdp", "linear", "difference"}
#: Another value of each argument; those that stand for a choice are settings below.
OTHER = {
    "C": 3.0,
    "average": False,
    "balance": 0.2,
    "basis": np.diag([1.0, 2.0, 3.0])[:2],
    "batch_size": 15,
    "beta": 0.1,
    "bounds": (0.5, 20.0),
    "chunk_size": 4,
    "coef0": 3.0,
    "constraint_type": "triplets",
    "degree": 2,
    "diagonal": True,
    "embedding": "plain",
    "gamma": 0.7,
    "init": "random",
    "kernel": "laplacian",
    "learner": RCA(),
    "learning_rate": 0.1,
    "loss": "squared_hinge",
    "margin": 3.0,
    "max_iter": 1,
    "mu": 0.9,
    "n_anchors": 12,
    "n_basis": 8,
    "n_chunks": 6,
    "n_components": 2,
    "n_constraints": 9,
    "n_epochs": 1,
    "n_impostors": 2,
    "n_landmarks": 15,
    "n_negatives": 3,
    "n_neighbors": 2,
    "n_pairs": 7,
    "n_passes": 2,
    "n_positives": 2,
    "n_quadruplets": 9,
    "n_triplets": 30,
    "prior": "covariance",
    "regularization": 0.5,
    "regularizer": "trace",
    "ridge": 0.1,
    "shrinkage": 0.5,
    "solver": "sdp",
    "sparsity": 0.2,
    "t": 0.8,
    "teacher": LMNN(),
    "tol": 0.3,
    "unit": 3.0,
    "variant": "linear",
}
FEW = {"max_iter": 3}
DRAWN = {"n_constraints": 20, **FEW}
SETTINGS = [
    GMML(),
    GMML(n_pairs=20, prior="random"),
    ITML(n_pairs=20),
    LFDA(),
    LMNN(**FEW),
    LMNN(n_impostors=None, **FEW),
    LMNN(2, init="random", n_anchors=10, n_passes=1, random_state=0, **FEW),
    LMNN(n_impostors=None, solver="sdp"),
    LSML(n_quadruplets=20),
    MCML(**FEW),
    MLKR(init="random", **FEW),
    MLKR(batch_size=10, **FEW),
    MMC(n_pairs=20),
    MMC("diagonal", n_pairs=20),
    MMC("linear", n_pairs=20),
    MMC("difference", n_pairs=20),
    MMC(n_pairs=20, solver="sdp"),
    NCA(init="random", **FEW),
    NCA(batch_size=None, **FEW),
    NCA(batch_size=10, **FEW),
    POLA(),
    RCA(),
    RCA(n_chunks=5),
    SCML(n_basis=20, **FEW),
    SCML(basis=np.eye(3)),
    SDML(n_pairs=20, **FEW),
    KernelMetric(),
    KernelMetric(kernel="poly", n_landmarks=9),
    KernelMetric(kernel="linear"),
    KernelMetric(kernel="cosine"),
    KernelMetric(kernel=lambda A, B: A @ B.T),
    LinearStudent(n_components=3),
    MahalanobisLearner(random_state=0, **DRAWN),
    MahalanobisLearner(regularizer="logdet", prior="random", **DRAWN),
    MahalanobisLearner(constraint_type="triplets", random_state=0, **DRAWN),
    MahalanobisLearner("hinge", solver="proximal", **DRAWN),
    MahalanobisLearner("hinge", solver="minibatch", **DRAWN),
    MahalanobisLearner("hinge", "trace", solver="sdp", n_constraints=20),
]
DRAW = {
    Pairs: lambda y: pairs_from_labels(y, n_pairs=20, random_state=1),
    Triplets: lambda y: triplets_from_labels(y, random_state=1),
    Quadruplets: lambda y: quadruplets_from_labels(y, n_quadruplets=30, random_state=1),
    Chunks: lambda y: chunks_from_labels(y, n_chunks=8, chunk_size=3, random_state=1),
}


def data():
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(3), 9)
    return (rng.randn(27, 3) + rng.randn(3, 3)[y] * 0.7) @ rng.randn(3, 3), y


def is_slow(estimator, kind):
    return (
        getattr(estimator, "solver", None) == "sdp"
        or (
            isinstance(estimator, LMNN | MahalanobisLearner)
            and (kind is not None or estimator.random_state is None)
        )
        or (isinstance(estimator, SCML) and isinstance(estimator.basis, str))
    )


CASES = [
    pytest.param(one, kind, marks=[pytest.mark.slow] * is_slow(one, kind))
    for one in SETTINGS
    for kind in (None, *getattr(one, "_constraint_kinds", ()))
]


@pytest.mark.parametrize(("estimator", "kind"), CASES)
def test_every_argument_of_a_learner_acts_or_is_named(estimator, kind):
    X, y = data()
    given = {"y": y} if kind is None else {"constraints": DRAW[kind](y)}
    estimator = clone(estimator)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    before, _ = outcome(lambda: clone(estimator).fit(X, **given).transform(X))
    if before is None:
        return  # a setting that is an error with these constraints
    of_no_account = set(OF_THE_RUN)
    if not NO_SEARCH & {str(value) for value in estimator.get_params(deep=False).values()}:
        of_no_account |= LIMITS
    ignored = []
    for name in set(inspect.signature(type(estimator)).parameters) - of_no_account:
        changed = clone(estimator).set_params(**{name: OTHER[name]})
        after, text = outcome(lambda changed=changed: changed.fit(X, **given).transform(X))
        if unsaid(name, before, after, text) and str(OTHER[name]) != str(getattr(estimator, name)):
            ignored.append(name)
    assert not ignored


TRIPLETS = triplets_from_labels(data()[1], random_state=1)
CHOSEN = np.random.RandomState(0).rand(8, 6) < 0.5


@pytest.mark.parametrize(
    ("fit", "name"),
    [
        (lambda: CollaborativeMetric(2, patience=9, max_epochs=1).fit(CHOSEN), "patience"),
        (lambda: CollaborativeMetric(2, item_weight=2, max_epochs=1).fit(CHOSEN), "item_weight"),
        (lambda: OpenSetClassifier(calibration_size=0.4).fit(*data()), "calibration_size"),
        (lambda: KernelMetric(degree=2).fit(*data()), "degree"),
        (lambda: NCA(learning_rate=0.1, max_iter=3).fit(*data()), "learning_rate"),
        (lambda: LMNN(n_passes=3, max_iter=3).fit(data()[0], constraints=TRIPLETS), "n_passes"),
        (lambda: MahalanobisLearner(prior="random").fit(*data()), "prior"),
        (lambda: MahalanobisLearner(prior=np.eye(3)).fit(*data()), "prior"),
        (lambda: RCA(chunk_size=3).fit(*data()), "chunk_size"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*false_identification_rate")  # of few rows
def test_an_argument_without_effect_is_named(fit, name):
    with pytest.warns(UserWarning, match=rf"\w+: {name}=.* has no effect here, it is only used"):
        fit()


@pytest.mark.parametrize("threshold", ["accuracy", "eer", 1.5])
def test_a_rate_that_no_threshold_is_chosen_by_is_named(threshold):
    X, y = data()
    pairs = X[[[0, 1], [0, 20], [3, 4], [5, 22]]]
    given = FrozenEstimator(RCA().fit(X, y))
    with pytest.warns(UserWarning, match=r"max_fpr=0.2 has no effect here, .* threshold='max_tpr'"):
        PairClassifier(given, threshold=threshold, max_fpr=0.2).fit(pairs, [1, 0, 1, 0])


def test_defaults_and_what_asks_for_nothing_are_silent():
    X, y = data()
    RCA(chunk_size=2, n_chunks=None).fit(X, y)
    MahalanobisLearner(batch_size=256, margin=1.0, bounds=None).fit(X, y)
    NCA(learning_rate=0.01).fit(X, y)
