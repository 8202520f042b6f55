"""KernelMetric: equal to the learner on an explicit feature map, and Nyström's limit."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_circles
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import (
    GMML,
    ITML,
    LFDA,
    LSML,
    MMC,
    NCA,
    POLA,
    RCA,
    SDML,
    Covariance,
    KernelMetric,
    MahalanobisLearner,
)
from metriclearn.constraints import Pairs, Triplets, pairs_from_labels

# Learners that do not see a rotation of their data.
ROTATIONAL = [
    Covariance(),
    GMML(regularization=0),
    ITML(random_state=0, tol=1e-9),
    LFDA(),
    LSML(random_state=0, tol=1e-9),
    MMC(random_state=0),
    MahalanobisLearner(random_state=0, tol=1e-9),
    POLA(random_state=0),
    RCA(),
    SDML(sparsity=0, random_state=0),
]


def all_monomials(X):
    """The map of ``(xᵀy + 1)²`` for two features."""
    a, b = X.T
    r = np.sqrt(2)
    return np.column_stack([a * a, b * b, r * a * b, r * a, r * b, np.ones(len(X))])


@pytest.mark.parametrize("learner", ROTATIONAL, ids=lambda learner: type(learner).__name__)
def test_kernelised_is_linear_on_the_feature_map(learner, small):
    X, y = small
    X = X[:, :2]
    kernelized = KernelMetric(learner, "poly", gamma=1, degree=2).fit(X, y)
    explicit = type(learner)(**learner.get_params()).fit(all_monomials(X), y)
    new = np.random.RandomState(5).randn(20, 2)
    expected = explicit.pairwise_distances(all_monomials(new))
    np.testing.assert_allclose(
        kernelized.pairwise_distances(new), expected, rtol=1e-3, atol=1e-3 * expected.max()
    )


def test_linear_kernel_is_the_linear_learner(small):
    X, y = small
    plain = RCA().fit(X, y).pairwise_distances(X)
    np.testing.assert_allclose(
        KernelMetric(RCA(), "linear").fit(X, y).pairwise_distances(X), plain, rtol=1e-6, atol=1e-6
    )


def test_ways_to_give_a_kernel_agree(small):
    X, y = small
    train, test = X[:35], X[35:]
    named = KernelMetric(GMML(), "rbf", gamma=0.1).fit(train, y[:35])
    called = KernelMetric(GMML(), lambda A, B: rbf_kernel(A, B, gamma=0.1)).fit(train, y[:35])
    given = KernelMetric(GMML(), "precomputed").fit(rbf_kernel(train, gamma=0.1), y[:35])
    np.testing.assert_allclose(
        named.pairwise_distances(test), called.pairwise_distances(test), rtol=1e-5
    )
    np.testing.assert_allclose(
        named.pairwise_distances(test),
        given.pairwise_distances(rbf_kernel(test, train, gamma=0.1)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("kernel", ["poly", "precomputed"])
def test_nystroem_is_exact_where_landmarks_span_the_space(small, kernel):
    X, y = small
    X = X[:, :2]  # of which the polynomials have six dimensions, at most

    def data(A):
        return polynomial_kernel(A, X, gamma=1, degree=2) if kernel == "precomputed" else A

    arguments = {"gamma": 1, "degree": 2} if kernel == "poly" else {}
    exact = KernelMetric(RCA(), kernel, **arguments).fit(data(X), y)
    few = KernelMetric(RCA(), kernel, n_landmarks=12, random_state=0, **arguments).fit(data(X), y)
    assert len(few.landmarks_) == 12
    np.testing.assert_allclose(
        few.pairwise_distances(data(X)), exact.pairwise_distances(data(X)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kernel", ["rbf", "poly", "precomputed"])
def test_passthrough_is_the_distance_of_the_kernel(small, kernel):
    X, y = small
    train, new = X[:30, :2], X[30:, :2]
    function = polynomial_kernel if kernel == "poly" else rbf_kernel
    parameters = {"gamma": 1, "degree": 2} if kernel == "poly" else {"gamma": 20}

    def by_hand(u, v):
        return (u @ v + 1) ** 2 if kernel == "poly" else np.exp(-20 * np.sum((u - v) ** 2))

    def by_formula(A, B):
        d2 = np.empty((len(A), len(B)))
        for i, a in enumerate(A):
            for j, b in enumerate(B):
                k = [by_hand(u, v) for u, v in ((a, a), (a, b), (b, b))]
                d2[i, j] = k[0] - 2 * k[1] + k[2]
        return d2

    def data(A):
        return function(A, train, **parameters) if kernel == "precomputed" else A

    arguments = {} if kernel == "precomputed" else parameters
    metric = KernelMetric("passthrough", kernel, **arguments).fit(data(train))
    within = by_formula(train, train)
    found = metric.pairwise_distances(data(train)) ** 2
    np.testing.assert_allclose(found, within, atol=1e-10 * within.max())
    # A new row is nearer to all rows of fit by one amount: what their span leaves out of it.
    apart = by_formula(new, train) - metric.pairwise_distances(data(new), data(train)) ** 2
    assert apart.min() > -1e-10 * within.max()
    np.testing.assert_allclose(np.ptp(apart, axis=1), 0, atol=1e-10 * within.max())
    again = KernelMetric("passthrough", kernel, **arguments).fit(data(train), y[:30])
    np.testing.assert_array_equal(again.transform(data(new)), metric.transform(data(new)))
    assert len(metric.get_feature_names_out()) == metric.transform(data(new)).shape[1]
    with pytest.raises(ValueError, match="learns nothing; choose a learner"):
        metric.fit(data(train), constraints=Pairs([[0, 1]], [True]))


def test_circles_are_told_apart():
    X, y = make_circles(120, factor=0.4, noise=0.05, random_state=0)
    X = np.c_[X, np.random.RandomState(0).randn(120, 3)]
    knn = KNeighborsClassifier(3)
    linear = cross_val_score(make_pipeline(LFDA(1), knn), X, y).mean()
    kernel = make_pipeline(KernelMetric(LFDA(1, shrinkage=0.1), "poly", degree=2), knn)
    assert cross_val_score(kernel, X, y).mean() > 0.95 > linear + 0.2


def test_constraints_reach_the_learner(small):
    X, y = small
    pairs = pairs_from_labels(y, n_pairs=40, random_state=0)
    learner = KernelMetric(ITML(random_state=0)).fit(X, constraints=pairs)
    d = learner.pairwise_distances(X)
    first, second = pairs.indices.T
    assert d[first, second][pairs.similar].mean() < d[first, second][~pairs.similar].mean()
    with pytest.raises(ValueError, match="ITML takes Pairs, got Triplets"):
        KernelMetric(ITML()).fit(X, constraints=Triplets([[0, 1, 20]]))
    with pytest.raises(ValueError, match="Pairs names row 70, but X has 45 rows"):
        KernelMetric(ITML()).fit(X, constraints=Pairs([[0, 70]], [True]))


@pytest.mark.parametrize(
    "learner",
    [PCA(2, whiten=True), StandardScaler(), make_pipeline(StandardScaler(), RCA()), KernelMetric()],
    ids=["whitened", "scaled", "pipeline", "kernel of a kernel"],
)
def test_any_transformer_is_asked_to_transform(learner, small):
    X, y = small
    model = KernelMetric(learner, kernel="linear").fit(X, y)
    plain = KernelMetric("passthrough", kernel="linear").fit(X)
    expected = clone(learner).fit(plain.transform(X), y).transform(plain.transform(X))
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-10)
    assert len(model.get_feature_names_out()) == expected.shape[1]


def test_searches_go_through_it(small):
    X, y = small
    search = GridSearchCV(
        make_pipeline(KernelMetric(RCA()), KNeighborsClassifier(3)),
        {"kernelmetric__learner__shrinkage": [0.0, 0.5], "kernelmetric__gamma": [0.01, "scale"]},
        cv=3,
    )
    assert search.fit(X, y).best_score_ > 0.6


def test_it_needs_labels_if_its_learner_does(small):
    X, y = small
    assert KernelMetric(Covariance()).fit(X).transform(X).shape[0] == 45
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        KernelMetric(NCA()).fit(X)
    assert y is not None


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda A, B: np.tile(np.arange(float(len(B))), (len(A), 1)), "kernel is not symmetric"),
        (lambda A, B: -(A @ B.T), "kernel is not positive semidefinite"),
        (lambda A, B: np.zeros((len(A), len(B))), "kernel is not positive semidefinite"),
        (lambda A, B: np.full((len(A), len(B)), np.nan), "kernel has NaN or infinite values"),
        (
            lambda A, B: np.ones(len(A)),
            r"kernel must return .* shape \(45, 45\), got shape \(45,\)",
        ),
        (lambda A, B: np.full((len(A), len(B)), "x"), "kernel must return one number for each row"),
        (lambda a, b: float(a @ b), r"kernel failed on arrays of .* all rows at once"),
        ("precomputed", r'X must be square for kernel="precomputed", got \(45, 4\)'),
    ],
)
def test_what_is_no_kernel_is_refused(kernel, message, small):
    with pytest.raises(ValueError, match=message):
        KernelMetric(kernel=kernel).fit(*small)
