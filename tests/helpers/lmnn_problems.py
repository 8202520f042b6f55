"""LMNN's problem by loops, by cvxpy and over all pairs at once."""

import numpy as np
from scipy.optimize import check_grad

from helpers.optional import cvxpy as cp


def label_triplets(X, y, k=3):
    """Target pairs and triplets of labeled rows, by loops."""
    targets, triplets = [], []
    for i in range(len(X)):
        same = np.flatnonzero((y == y[i]) & (np.arange(len(X)) != i))
        nearest = same[np.argsort(np.sum((X[same] - X[i]) ** 2, axis=1))[:k]]
        targets += [(i, j) for j in nearest]
        triplets += [(i, j, l) for j in nearest for l in np.flatnonzero(y != y[i])]
    return np.array(targets), np.array(triplets)


def loop_objective(L, X, targets, triplets, loss, mu=0.5, weights=None):
    Z = X @ L.T
    weights = np.ones(len(triplets)) if weights is None else weights
    pull = sum(np.sum((Z[i] - Z[j]) ** 2) for i, j in targets)
    push = 0
    for w, (i, j, l) in zip(weights, triplets, strict=True):
        h = max(0, 1 + np.sum((Z[i] - Z[j]) ** 2) - np.sum((Z[i] - Z[l]) ** 2))
        push += w * (h if loss == "hinge" else h**2)
    return mu * pull + (1 - mu) * push


def gradient_error(objective, L, loss):
    """Return how far a gradient is from finite differences, relative to its length."""

    def at(flat):
        value, gradient = objective.value_and_gradient(flat.reshape(L.shape), loss)
        return value, gradient.ravel()

    error = check_grad(lambda flat: at(flat)[0], lambda flat: at(flat)[1], L.ravel())
    return error / np.linalg.norm(at(L.ravel())[1])


def cvxpy_optimum(X, targets, triplets, loss, mu=0.5):
    d = X.shape[1]
    M = cp.Variable((d, d), PSD=True)

    def sq_distances(first, second):
        difference = X[first] - X[second]
        products = np.einsum("ti,tj->tij", difference, difference).reshape(-1, d * d)
        return products @ cp.vec(M, order="C")

    i, j, l = triplets.T
    h = cp.pos(1 + sq_distances(i, j) - sq_distances(i, l))
    push = cp.sum(h) if loss == "hinge" else cp.sum_squares(h)
    pull = cp.sum(sq_distances(*targets.T))
    return cp.Problem(cp.Minimize(mu * pull + (1 - mu) * push)).solve(solver=cp.CLARABEL)


def dense_objective(L, X, y, k=3, mu=0.5):
    """The hinge objective from all n × n distances at once."""

    def all_distances(A):
        return np.sum(A**2, axis=1)[:, None] + np.sum(A**2, axis=1) - 2 * A @ A.T

    same = y[:, None] == y
    before, after = all_distances(X), all_distances(X @ L.T)
    nearest = np.argsort(np.where(same & ~np.eye(len(X), dtype=bool), before, np.inf))[:, :k]
    pulled = np.take_along_axis(after, nearest, axis=1)
    push = sum(np.sum(np.maximum(1 + d[:, None] - after, 0)[~same]) for d in pulled.T)
    return mu * pulled.sum() + (1 - mu) * push


def some_triplets(X, y, n, rng):
    _, triplets = label_triplets(X, y)
    return triplets[rng.choice(len(triplets), n, replace=False)]


def by_class(X, y):
    order = np.argsort(y, kind="stable")
    return X[order], y[order], np.concatenate([[0], np.cumsum(np.bincount(y))])
