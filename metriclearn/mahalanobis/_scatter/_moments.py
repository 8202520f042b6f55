"""Scatter matrices of groups of rows: block by block, added up, or merged from parts."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from metriclearn._arrays import is_dask, unit_of

_BLOCK_BYTES = 2**20  # of rows, in a core's cache
# Share of the mean square below which a spread may be rounding.
_ROUNDING = 64 * np.finfo(float).eps


@dataclass
class Moments:
    """Weights, means and scatters of groups of rows, in units of ``unit``.

    Attributes
    ----------
    unit : float
        A power of two by which the rows are divided.
    totals : ndarray of shape (n_groups,)
        Sums of the weights of the rows.
    means : ndarray of shape (n_groups, d)
    scatter : ndarray of shape (d, d) or (n_groups, d, d)
        ``Σ w (x - m)(x - m)ᵀ`` about the mean of each group: summed over the groups, or
        for each. Exactly zero for features that do not vary.
    """

    unit: float
    totals: np.ndarray
    means: np.ndarray
    scatter: np.ndarray

    def with_unit(self, unit):
        """Return the same in another unit."""
        ratio = self.unit / unit
        return replace(
            self, unit=unit, means=self.means * ratio, scatter=self.scatter * ratio * ratio
        )

    def merged(self, other):
        """Compute the moments of the rows of both, whose groups are numbered alike."""
        unit = max(self.unit, other.unit)
        a, b = self.with_unit(unit).padded(len(other.totals)), other.with_unit(unit)
        b = b.padded(len(a.totals))
        totals = a.totals + b.totals
        safe = np.where(totals > 0, totals, 1)
        share, apart = b.totals / safe, b.means - a.means
        between = np.sqrt(a.totals * share)[:, None] * apart
        if a.scatter.ndim == 3:
            scatter = a.scatter + b.scatter + between[:, :, None] * between[:, None, :]
        else:
            scatter = a.scatter + b.scatter + between.T @ between
        return Moments(unit, totals, a.means + share[:, None] * apart, scatter)

    def padded(self, n_groups):
        """Return the same with as many groups, the last of them empty."""
        more = n_groups - len(self.totals)
        if more <= 0:
            return self
        scatter = self.scatter
        if scatter.ndim == 3:
            scatter = np.concatenate([scatter, np.zeros((more, *scatter.shape[1:]))])
        return Moments(
            self.unit,
            np.concatenate([self.totals, np.zeros(more)]),
            np.concatenate([self.means, np.zeros((more, self.means.shape[1]))]),
            scatter,
        )

    def as_one_group(self):
        """Compute the moments of all rows as one group."""
        center = self.totals @ self.means / self.totals.sum()
        return Moments(self.unit, self.totals.sum()[None], center[None], self.total())

    def within(self):
        """Compute the scatter about the means of the groups."""
        return self.scatter.sum(axis=0) if self.scatter.ndim == 3 else self.scatter

    def total(self):
        """Compute the scatter about the mean of all rows."""
        center = self.totals @ self.means / self.totals.sum()
        apart = np.sqrt(self.totals)[:, None] * (self.means - center)
        # Rounding of equal means is no spread.
        apart[:, np.ptp(self.means[self.totals > 0], axis=0) == 0] = 0
        return self.within() + apart.T @ apart


def moments(X, codes=None, weights=None, *, n_groups=None, unit=None, each=False):
    """Return the moments of groups of rows, without a copy of the rows.

    Parameters
    ----------
    X : ndarray, sparse or dask array of shape (n, d)
        Of a dask array each block is summed up where it is, and the sums are merged.
    codes : ndarray of int, shape (n,), default=None
        Group of each row, from 0 on; one group of all rows by default. Rows of group -1 are
        left out.
    weights : ndarray of shape (n,), default=None
        Above zero; one by default.
    n_groups : int, default=None
        By default as many as ``codes`` has.
    unit : float, default=None
        By default that of the largest entry.
    each : bool, default=False
        Whether each group has a scatter of its own.

    Returns
    -------
    Moments
    """
    codes = np.zeros(X.shape[0], dtype=np.intp) if codes is None else codes
    n_groups = n_groups or int(codes.max()) + 1
    unit = unit_of(X) if unit is None else unit
    if is_dask(X):
        return _dask_moments(X, codes, weights, n_groups, unit)
    rows = None
    if codes.min() < 0:
        rows = np.flatnonzero(codes >= 0)
        codes = codes[rows]
        weights = None if weights is None else weights[rows]
    weights = np.ones(len(codes)) if weights is None else weights.astype(np.float64)
    if each:
        return _each_group(X, codes, weights, n_groups, unit, rows)
    if sparse.issparse(X):
        return _sparse_moments(X if rows is None else X[rows], codes, weights, n_groups, unit)
    return _dense_moments(X, codes, weights, n_groups, unit, rows)


def _each_group(X, codes, weights, n_groups, unit, rows):
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_groups))
    parts = []
    for start, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
        chosen = order[start:end]
        w, chosen = weights[chosen], chosen if rows is None else rows[chosen]
        one = np.zeros(len(chosen), dtype=np.intp)
        if len(chosen) == 0:
            d = X.shape[1]
            parts.append(Moments(unit, np.zeros(1), np.zeros((1, d)), np.zeros((d, d))))
        elif sparse.issparse(X):
            parts.append(_sparse_moments(X[chosen], one, w, 1, unit))
        else:
            parts.append(_dense_moments(X, one, w, 1, unit, chosen))
    return Moments(
        unit,
        np.concatenate([part.totals for part in parts]),
        np.concatenate([part.means for part in parts]),
        np.stack([part.scatter for part in parts]),
    )


def _dense_moments(X, codes, weights, n_groups, unit, chosen):
    """Add up blocks of the chosen rows (all, for None), whose groups and weights are given."""
    n, d = len(codes), X.shape[1]
    step = max(1, _BLOCK_BYTES // (8 * d))
    blocks = list(gen_batches(n, step))

    def rows_of_block(block):
        return X[block] if chosen is None else X[chosen[block]]

    groups = sparse.csc_array((weights / unit, codes, np.arange(n + 1)), shape=(n_groups, n))
    totals, sums = np.bincount(codes, weights, n_groups), np.zeros((n_groups, d))
    for block in blocks:
        sums += groups[:, block] @ np.asarray(rows_of_block(block), dtype=np.float64)
    means = sums / np.where(totals > 0, totals, 1)[:, None]
    scatter, roots = np.zeros((d, d)), None if np.all(weights == 1) else np.sqrt(weights)
    rows, centers = np.empty((min(step, n), d)), np.empty((min(step, n), d))
    for block in blocks:
        part = rows[: len(codes[block])]
        np.multiply(rows_of_block(block), 1 / unit, out=part)
        if n_groups == 1:
            part -= means[0]
        else:
            part -= np.take(means, codes[block], axis=0, out=centers[: len(part)], mode="clip")
        if roots is not None:
            part *= roots[block, None]
        scatter += part.T @ part
    # What rounding leaves of features that do not vary is no spread.
    suspects = np.flatnonzero(np.diag(scatter) <= (100 * _ROUNDING) ** 2 * (totals @ means**2))
    for feature in suspects:
        values = X[:, feature] if chosen is None else X[chosen, feature]
        if np.ptp(values) == 0:
            scatter[feature] = scatter[:, feature] = 0
    return Moments(unit, totals, means, scatter)


def _sparse_moments(X, codes, weights, n_groups, unit):
    """Centered implicitly: digits are lost where a mean is far larger than its spread."""
    X = sparse.csr_array(X, dtype=np.float64) / unit
    totals = np.bincount(codes, weights, n_groups)
    groups = sparse.csr_array(
        (weights, (codes, np.arange(len(codes)))), shape=(len(totals), len(codes))
    )
    sums = sparse.csr_array(groups @ X)
    safe = np.where(totals > 0, totals, 1)
    gram = (X.T @ (sparse.dia_array(sparse.diags(weights)) @ X)).toarray()
    scatter = gram - (sums.T @ (sparse.dia_array(sparse.diags(1 / safe)) @ sums)).toarray()
    # A variance that is rounding of the mean square tells nothing, its sign included.
    flat = X.max(axis=0).toarray().ravel() == X.min(axis=0).toarray().ravel()
    flat |= np.diag(scatter) <= _ROUNDING * np.diag(gram)
    scatter[flat] = 0
    scatter[:, flat] = 0
    means = sums.toarray() / safe[:, None]
    return Moments(unit, totals, means, (scatter + scatter.T) / 2)


def _dask_moments(X, codes, weights, n_groups, unit):
    """Sum up the blocks of rows where dask schedules them, and merge the sums in pairs."""
    import dask

    X = X.rechunk({1: -1})
    ends = np.cumsum(X.chunks[0])
    parts = []
    for block, start, end in zip(X.to_delayed().ravel(), ends - X.chunks[0], ends, strict=True):
        if end > start and np.any(codes[start:end] >= 0):
            of_rows = None if weights is None else weights[start:end]
            part = dask.delayed(moments)(
                block, codes[start:end], of_rows, n_groups=n_groups, unit=unit
            )
            parts.append(part)
    while len(parts) > 1:
        merged = [
            dask.delayed(Moments.merged)(*pair)
            for pair in zip(parts[::2], parts[1::2], strict=False)
        ]
        parts = merged + parts[len(merged) * 2 :]
    return dask.compute(parts[0])[0]
