"""Factors of Mahalanobis matrices: what they multiply to, and what they do not depend on."""

import numpy as np
import pytest
from scipy import linalg

from metriclearn._linalg import components_from_matrix, settle_ties, without_denormals


@pytest.mark.parametrize("values", [[1e12, 1.0, 1e-6, 1e-12], [3, 1, 1, 0], [2, 2, 2, 2]])
def test_the_factor_keeps_small_and_equal_eigenvalues(values, rng):
    units = np.sqrt(values)
    L = components_from_matrix(np.diag(values))
    np.testing.assert_allclose(
        (L.T @ L) / np.outer(units + (units == 0), units + (units == 0)),
        np.diag(np.sign(values)),
        atol=1e-9,
    )
    axes = linalg.qr(rng.randn(4, 4))[0]
    M = (axes * np.array(values)) @ axes.T
    L = components_from_matrix(M)
    np.testing.assert_allclose(L.T @ L, M, atol=1e-9 * max(values))


def test_equal_eigenvalues_leave_no_choice(rng):
    axes = linalg.qr(rng.randn(6, 6))[0]
    values = np.array([5.0, 2, 2, 2, 1, 1])
    turned = axes.copy()
    turned[1:4] = linalg.qr(rng.randn(3, 3))[0] @ axes[1:4]
    turned[4:] = linalg.qr(rng.randn(2, 2))[0] @ axes[4:]
    first, second = settle_ties(values, axes), settle_ties(values, turned)
    np.testing.assert_allclose(np.abs(np.sum(first * second, axis=1)), 1)
    np.testing.assert_allclose(first @ first.T, np.eye(6), atol=1e-12)
    np.testing.assert_allclose((first.T * values) @ first, (axes.T * values) @ axes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_denormal_numbers_go_and_what_counts_stays(dtype, rng):
    limits = np.finfo(dtype)
    tiny, least = float(limits.tiny), 2**22 * float(limits.tiny / limits.eps)
    stay = np.array([1.0, -1.0, 1e9, 1e-7, least, 0.0], dtype)
    go = np.array([tiny / 2, -tiny / 100, tiny], dtype)
    assert np.count_nonzero(go) == len(go)
    A = np.concatenate([stay, go])
    assert without_denormals(A) is A
    np.testing.assert_array_equal(A[: len(stay)], stay)
    np.testing.assert_array_equal(A[len(stay) :], 0)
    A = np.geomspace(tiny / 1e6, 1, 1000).astype(dtype)
    without_denormals(A)
    assert np.all((A == 0) | (limits.tiny <= A))
