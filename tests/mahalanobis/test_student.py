"""The linear student of a teacher: exact where the teacher is linear, and the best where not."""

from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import metriclearn
from metriclearn import LMNN, NCA, RCA, KernelMetric
from metriclearn.mahalanobis import LinearStudent
from metriclearn.mahalanobis._student import _Distances, _spread

X, y = load_iris(return_X_y=True)


@parametrize_with_checks([LinearStudent()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "teacher", [NCA(), LMNN(2), RCA(), make_pipeline(StandardScaler(), NCA(2))], ids=repr
)
@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_a_linear_teacher_is_found_again(teacher, unit):
    student = LinearStudent(teacher).fit(unit * X, y)
    last = student.teacher_
    if hasattr(last, "steps"):
        L = last[-1].components_ / last[0].scale_
    else:
        L = last.components_
    M, expected = student.get_mahalanobis_matrix(), L.T @ L
    np.testing.assert_allclose(M, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert student.fidelity_ == pytest.approx(1, abs=1e-8)


def bent(rng, n=25, d=3):
    """Rows, and a teacher's of them that is far from linear."""
    A = rng.randn(n, d)
    return A, np.column_stack([np.abs(A[:, 0]), A[:, 1] * A[:, 2], A[:, 1] ** 2])


def objective(M, A, Z):
    total = 0.0
    for i in range(len(A)):
        for j in range(len(A)):
            u, t = A[i] - A[j], Z[i] - Z[j]
            total += (u @ M @ u - t @ t) ** 2
    return total


def fixed(A, Z):
    """A fitted teacher that gives these rows."""
    return FrozenEstimator(FunctionTransformer(lambda X: Z).fit(A))


@pytest.mark.parametrize("seed", range(3))
def test_any_other_is_the_exact_program(seed):
    cvxpy = pytest.importorskip("cvxpy")
    A, Z = bent(np.random.RandomState(seed))
    student = LinearStudent(fixed(A, Z)).fit(A)
    M = student.get_mahalanobis_matrix()
    i, j = np.triu_indices(len(A), 1)
    u, t = A[i] - A[j], np.sum((Z[i] - Z[j]) ** 2, axis=1)
    variable = cvxpy.Variable((3, 3), PSD=True)
    features = np.einsum("ij,ik->ijk", u, u).reshape(len(u), 9)
    residual = features @ cvxpy.vec(variable, order="F") - t
    cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(residual))).solve(solver="CLARABEL")
    np.testing.assert_allclose(M, variable.value, atol=1e-4)
    assert objective(M, A, Z) <= objective(variable.value, A, Z) * (1 + 1e-6)
    mean = t.mean()
    assert student.fidelity_ == pytest.approx(
        1 - objective(M, A, Z) / 2 / np.sum((t - mean) ** 2), abs=1e-10
    )


def test_the_gradient_is_that_of_the_loops():
    rng = np.random.RandomState(0)
    A, Z = bent(rng)
    U, S, Vt = _spread(A)
    problem = _Distances(U, Z - Z.mean(axis=0))
    N = rng.randn(3, 3)
    N = N + N.T
    ours = 4 * (problem.apply(N) - problem.target)

    def value(N):
        return objective(Vt.T @ (N / np.outer(S, S)) @ Vt, A, Z)

    step = 1e-4
    for a in range(3):
        for b in range(a + 1):
            E = np.zeros((3, 3))
            E[a, b] = E[b, a] = step
            slope = (value(N + E) - value(N - E)) / (2 * step)
            expected = ours[a, b] * (1 if a == b else 2)
            assert slope == pytest.approx(expected, rel=1e-6)


def test_fewer_components_and_constant_rows():
    full, two = LinearStudent(NCA()).fit(X, y), LinearStudent(NCA(), 2).fit(X, y)
    assert two.components_.shape == (2, 4)
    assert two.fidelity_ < full.fidelity_
    constant = LinearStudent(fixed(X, np.ones((150, 2)))).fit(X)
    assert not constant.components_.any()


def test_what_is_left_of_the_gain(tmp_path):
    digits, labels = load_digits(return_X_y=True)
    digits, labels = digits[:600], labels[:600]
    student = LinearStudent(KernelMetric(RCA(), random_state=0)).fit(digits[:400], labels[:400])
    found = student.share_of_gain(digits[400:], labels[400:])
    assert set(found) == {"euclid", "student", "teacher", "share"}
    gain = found["teacher"] - found["euclid"]
    if gain > 0:
        assert found["share"] == (found["student"] - found["euclid"]) / gain
    assert 0 < student.fidelity_ < 1
    metriclearn.save(student, tmp_path / "model")
    again = metriclearn.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(digits), student.transform(digits))


@pytest.mark.skipif(
    not (find_spec("torch") and find_spec("skorch")), reason="needs torch and skorch"
)
def test_a_network_is_a_teacher():
    from metriclearn.deep import DeepEmbedder

    teacher = DeepEmbedder(loss="proxy_anchor", max_epochs=5, random_state=0).fit(X, y)
    student = LinearStudent(FrozenEstimator(teacher)).fit(X)
    assert 0.5 < student.fidelity_ < 1


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (LinearStudent(NCA(), 5), "more than the 4 features"),
        (LinearStudent(fixed(X, np.ones(3))), "a finite row for each"),
        (LinearStudent(fixed(X, np.full((150, 1), np.nan))), "a finite row for each"),
    ],
)
def test_one_error(student, message):
    with pytest.raises(ValueError, match=message):
        student.fit(X, y)
