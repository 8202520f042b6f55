"""The table of estimators that the common laws run over: one row each.

A new learner is one more row: its class with parameters that make it quick on
small data. scikit-learn's checks run on the defaults.
"""

from importlib.util import find_spec

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
from metriclearn.neighbors import (
    FaissKNeighborsClassifier,
    FaissKNeighborsRegressor,
    FaissKNeighborsTransformer,
    FaissNearestNeighbors,
)

LINEAR = [
    Covariance(),
    GMML(),
    ITML(random_state=0),
    LFDA(),
    LMNN(),
    LSML(random_state=0),
    MahalanobisLearner(random_state=0),
    MahalanobisLearner(solver="minibatch", random_state=0),
    MCML(),
    MLKR(),
    MMC(random_state=0),
    NCA(),
    POLA(random_state=0),
    RCA(),
    SCML(random_state=0),
    SDML(random_state=0),
]
# Those that take weights of rows, each of which is a number of repetitions.
WEIGHTED = [
    Covariance(),
    GMML(),
    LFDA(),
    LFDA(2, n_neighbors=3),
    LMNN(),
    LMNN(2, loss="squared_hinge", init="pca"),
    MCML(),
    MLKR(),
    NCA(),
    NCA(2),
    RCA(),
    RCA(2, shrinkage=0.1),
]
# Those that learn from sparse rows without a dense copy.
SPARSE = [
    Covariance(),
    GMML(),
    GMML(n_pairs=50, random_state=0),
    GMML(prior="covariance"),
    RCA(),
    RCA(2, shrinkage=0.1),
]
DEEP, DEEP_DEFAULT = [], []
if find_spec("torch") and find_spec("skorch"):
    from metriclearn.deep import DeepEmbedder

    DEEP = [
        DeepEmbedder(max_epochs=5, random_state=0),
        DeepEmbedder("linear", "proxy_anchor", max_epochs=3, random_state=0),
    ]
    DEEP_DEFAULT = [DeepEmbedder(random_state=0)]
KERNEL = [KernelMetric(), KernelMetric(RCA(), "poly", n_landmarks=20, random_state=0)]
ALL = [*LINEAR, *KERNEL, *DEEP]
# Learners whose target, where they need one, is a class and not a number.
OF_CLASSES = [learner for learner in ALL if not isinstance(learner, MLKR)]

# Searches: scikit-learn's checks and their own laws (tests/neighbors), no metric to learn.
NEIGHBORS = [
    FaissKNeighborsClassifier(),
    FaissKNeighborsRegressor(),
    FaissKNeighborsTransformer(),
    FaissNearestNeighbors(),
]
