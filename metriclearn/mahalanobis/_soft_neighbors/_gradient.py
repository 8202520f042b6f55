"""Soft nearest neighbors of every row, in blocks: the kernel of NCA, MLKR and MCML.

Each row chooses another at random, the nearer the likelier::

    p_ij = exp(-‖z_i - z_j‖²) / Σ_{k≠i} exp(-‖z_i - z_k‖²),   p_ii = 0

and carries a target ``t``: its class, or a number. A row of weight ``w`` is as ``w``
equal rows: ``p_ij`` has ``w_j`` as a factor, and where ``w_i`` is above 1 row ``i`` has
neighbors at its own place, of the weight ``w_i - 1``. The three objectives are sums
over rows of a function of the row's moment ``m_i = Σ_j p_ij t_j`` and of its log
normalizer, so their derivatives by squared distance have one form::

    ∂/∂d²_ij = p_ij (α_i t_j + β_i)

How it is fast. ``exp(-d²)`` is symmetric: each pair is computed once, for both its
rows. A first pass over blocks of the upper triangle sums the rows; then ``α`` and
``β`` are known, and a second pass multiplies each block, scaled, by ``Z``. The
blocks are kept between the passes as far as ``max_memory`` allows, and computed
again beyond it. Nothing else grows faster than n.

Of tensors the sums are the same, in the array API's standard functions: a block holds all
neighbors of some rows, twice the arithmetic of the upper triangle, and no more than a handful of
large operations for a device to run.
"""

import threading

import numpy as np

from metriclearn._arrays import (
    device,
    moved_to,
    namespace,
    rows_of,
    squared_norms,
    to_numpy,
    with_dtype,
)
from metriclearn._linalg import without_denormals
from metriclearn._pairs import pairwise_sq_distances
from metriclearn._threads import map_blocks, n_block_threads

# About the size of a core's cache, measured from 16 to 512 rows.
_BLOCK_BYTES = 4 * 2**20
_MIN_BLOCK_ROWS = 64
_SAMPLE_ROWS = 32
_PAIRS_PER_BLOCK = 8192
_RUNS = 32  # of blocks, added up on their threads: many enough for these to end together


def own_log_weights(weights):
    """Return the log weight, of ``w - 1``, of the other rows at a row's place; -inf for none."""
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(weights - 1, 0))


def soft_neighbor_gradient(
    Z, targets, row_terms, *, weights=None, X=None, max_memory=512, see=None, margin=None
):
    """Compute the value and gradient of an objective of the soft-neighbor probabilities.

    Parameters
    ----------
    Z : ndarray of shape (n, r), float32 or float64
        Rows in the learned space; computed in this dtype.
    targets : SameClass, Values or NoTargets
    row_terms : callable
        ``row_terms(rows, moments, log_normalizers) -> (values, alpha, beta)``,
        arrays with one entry for each of ``rows``: its part of the objective,
        and the derivatives of that part as above.
    weights : ndarray of shape (n,), default=None
        Of the rows, above zero; one by default.
    X : ndarray of shape (n, d), default=None
        Rows that the derivatives are summed over; ``Z`` by default.
    max_memory : float, default=512
        Bound in MB on the blocks, however many rows there are.
    see : callable, default=None
        ``see(rows, first_column, near)`` is called with each block: a mask of
        the pairs of a slice or array of ``rows`` with the columns from
        ``first_column`` on of which one row chooses the other with a probability
        above ``exp(-margin)``; each such pair at least once. By several threads at once,
        and ``near`` is theirs only during the call.
    margin : callable, default=None
        ``margin(log_normalizers)``: of each row.

    Returns
    -------
    value : float
    gradient : ndarray of shape (n, r) or (n, d)
        ``2 Σ_j (w_ij + w_ji) (x_i - x_j)``, ``w`` the derivatives: the gradient
        with respect to ``Z``, for ``X`` left None. In the dtype of ``Z``.
    """
    n, dtype = Z.shape[0], Z.dtype
    exponentials = Exponentials(Z, weights)
    blocks = _Blocks(exponentials, max_memory)

    sums, moments = np.zeros(n, dtype), np.zeros(n, dtype)

    def sums_of(run):
        of_run, of_targets = np.zeros((2, n), dtype)
        for start, stop in run:
            targets.add_sums(blocks.get(start, stop), start, stop, of_run, of_targets)
        return of_run, of_targets

    for of_run, of_targets in blocks.map(sums_of):
        sums += of_run
        moments += of_targets
    own = exponentials.own()
    sums += own
    moments += own * targets.own()

    # Rows far from all others, or on top of some, in units of the common shift:
    # their sums are out of range, and they are taken by themselves.
    inside = exponentials.in_range(sums)
    rows, strays = np.flatnonzero(inside), np.flatnonzero(~inside)
    log_normalizers = exponentials.log_normalizers(rows, np.log(sums[rows]))
    values, *terms = exponentials.weighted(
        rows, row_terms(rows, moments[rows] / sums[rows], log_normalizers)
    )
    value = float(np.sum(values, dtype=np.float64))
    alpha, beta = np.zeros(n, dtype), np.zeros(n, dtype)
    alpha[rows], beta[rows] = (term / sums[rows] for term in terms)
    if see is not None:
        least = np.full(n, np.inf, dtype)
        least[rows] = exponentials.above_floor(np.log(sums[rows]) - margin(log_normalizers))

    # H = W + Wᵀ, W the derivatives: the gradient is 2 (D - H) X, D its row sums.
    X = exponentials.Z if X is None else X
    X1 = np.column_stack([X, np.ones(n, dtype)])
    HX1 = np.zeros_like(X1)

    def products_of(run):
        first = run[0][0]
        products = np.zeros((n - first, X1.shape[1]), dtype)
        for start, stop in run:
            E = blocks.get(start, stop)
            if see is not None:
                limits = blocks.scratch(E.shape)
                near = np.minimum(least[start:stop, None], least[start:], out=limits) < E
                see(slice(start, stop), start, near)
            H = targets.factor(alpha, beta, start, stop, out=blocks.scratch(E.shape))
            H *= E
            without_denormals(H)
            products[start - first : stop - first] += H @ X1[start:]
            products[start - first :] += H.T @ X1[start:stop]
        return first, products

    for first, products in blocks.map(products_of) if len(rows) else ():
        HX1[first:] += products

    for begin in range(0, len(strays), blocks.step):
        rows = strays[begin : begin + blocks.step]
        P, log_normalizers = exponentials.softmax(rows)
        if see is not None:
            least = exponentials.above_floor(-margin(log_normalizers))
            see(rows, 0, least[:, None] < P)
        t = targets.targets(rows)
        values, alpha, beta = exponentials.weighted(
            rows, row_terms(rows, np.sum(P * t, axis=1), log_normalizers)
        )
        value += float(np.sum(values, dtype=np.float64))
        P *= alpha[:, None] * t + beta[:, None]
        without_denormals(P)
        HX1[rows] += P @ X1
        HX1 += P.T @ X1[rows]
    return value, 2 * (HX1[:, -1:] * X1[:, :-1] - HX1[:, :-1])


def unit_scale(Z):
    """Factor that brings rows in extreme units to where neighbors are soft.

    Where all distances are tiny every neighbor is as likely as any other, and
    where they are huge only one is likely at all: gradients vanish, and a search
    ends where it began. This is the factor that makes the typical squared distance
    of a nearest neighbor one, if that is beyond 1e±4, else 1.
    """
    Z = with_dtype(Z, "float64")
    sample = np.arange(0, Z.shape[0], -(-Z.shape[0] // _SAMPLE_ROWS))
    d2 = to_numpy(pairwise_sq_distances(rows_of(Z, sample), Z))
    # Rows at one place, as itself, are no neighbors: what is between them is rounding.
    d2[d2 <= 1e-13 * d2.max()] = np.inf
    nearest = d2.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    typical = np.percentile(nearest, 75) if len(nearest) else 1.0
    return 1.0 if 1e-4 <= typical <= 1e4 else float(typical**-0.5)


class Exponentials:
    """``exp(shift - d²)`` of blocks of pairs: one product of two augmented matrices.

    ``shift - d² = 2 z_i z_j - |z_j|² + (shift - |z_i|²)``. The shift, about the
    distance of a nearest neighbor, brings the sums of most rows near one. Weights
    add their logarithms, ``log w_i + log w_j``: what is symmetric stays so.
    """

    def __init__(self, Z, weights=None):
        n, r = Z.shape
        # exp(lowest) is nothing beside any sum in range, and no denormal number:
        # those make the matrix products ten times slower.
        single = Z.dtype == np.float32
        self.lowest, self._highest = (-80, 80) if single else (-650, 700)
        self._range = (-50, 75) if single else (-600, 650)
        # Distances do not see a shift of the data, the expanded square loses digits to it.
        self.Z = Z = Z - Z.mean(axis=0)
        self._left, right = (np.ones((n, r + 2), dtype=Z.dtype) for _ in range(2))
        np.multiply(Z, 2, out=self._left[:, :r])
        right[:, :r] = Z
        right[:, r] = self._left[:, r + 1] = -np.einsum("ij,ij->i", Z, Z)
        self._weights = self._log_weights = None
        if weights is not None:
            self._weights = weights.astype(Z.dtype, copy=False)
            self._log_weights = np.log(weights).astype(Z.dtype)
            self._own = self._log_weights + own_log_weights(weights).astype(Z.dtype)
            right[:, r] += self._log_weights
            self._left[:, r + 1] += self._log_weights
        self._rows, self._right = right, np.ascontiguousarray(right.T)
        sample = np.arange(0, n, -(-n // _SAMPLE_ROWS))
        self.shift = 0.0
        self.shift = float(np.percentile(self._nearest(sample), 75))
        self._left[:, r + 1] += self.shift

    def __len__(self):
        return len(self._left)

    def own_scores(self):
        """Compute ``shift - d²`` of each row with others at its place: -inf, if there are none."""
        if self._weights is None:
            return np.full(len(self), -np.inf, dtype=self.Z.dtype)
        return self._own + self._left.dtype.type(self.shift)

    def own(self):
        """Return the exponentials of these."""
        # Clipped beyond the range of the sums, so that none of them is infinite.
        return np.exp(np.minimum(self.own_scores(), self._highest))

    def log_normalizers(self, rows, log_sums):
        """Compute ``log Σ_j w_j exp(-d²_ij)`` of rows, from the logarithm of their sums."""
        if self._weights is None:
            return log_sums - self.shift
        return log_sums - self.shift - self._log_weights[rows]

    def weighted(self, rows, terms):
        """Multiply parts of the objective and their derivatives by the weights of their rows."""
        if self._weights is None:
            return terms
        return [self._weights[rows] * term for term in terms]

    def scores(self, rows, first=0, out=None):
        """Compute ``shift - d²`` of ``rows`` with the columns from ``first`` on."""
        return np.matmul(self._left[rows], self._right[:, first:], out=out)

    def of_pairs(self, first, second):
        """Compute ``shift - d²`` of listed pairs."""

        def of_block(begin):
            block = slice(begin, begin + _PAIRS_PER_BLOCK)
            return np.einsum("ij,ij->i", self._left[first[block]], self._rows[second[block]])

        empty = np.empty(0, dtype=self.Z.dtype)
        begins = range(0, len(first), _PAIRS_PER_BLOCK)
        return np.concatenate([empty, *map_blocks(of_block, begins)])

    def softmax(self, rows):
        """Compute probabilities of single rows and their log normalizers, at any distances."""
        P = self.scores(rows)
        own = np.arange(len(rows)), rows
        P[own] = self.own_scores()[rows]
        nobody = np.isneginf(P[own])
        largest = P.max(axis=1)
        P -= largest[:, None]
        np.maximum(P, self.lowest, out=P)
        np.exp(P, out=P)
        P[own] *= ~nobody
        sums = P.sum(axis=1)
        P /= sums[:, None]
        return P, self.log_normalizers(rows, np.log(sums) + largest)

    def above_floor(self, exponents):
        """Compute exponentials, all above those that stand for zero."""
        return np.exp(np.maximum(exponents, self.lowest + 1))

    def in_range(self, sums):
        """Tell which rows have a sum that the dtype holds with all that counts."""
        with np.errstate(divide="ignore"):
            log_sums = np.log(sums)
        return (self._range[0] <= log_sums) & (log_sums <= self._range[1])

    def _nearest(self, rows):
        scores = self.scores(rows)
        scores[np.arange(len(rows)), rows] = -np.inf
        return np.maximum(-scores.max(axis=1), 0)

    def upper(self, start, stop, out):
        """Fill rows ``start`` to ``stop``, columns from ``start``, above the diagonal."""
        E = self.scores(slice(start, stop), start, out)
        np.maximum(E, self.lowest, out=E)
        if self.shift > self._highest:
            np.minimum(E, self._highest, out=E)
        np.exp(E, out=E)
        for row in range(stop - start):
            E[row, : row + 1] = 0
        return E


class _Blocks:
    """The blocks of the upper triangle, gone through twice on threads and kept if they fit."""

    def __init__(self, exponentials, max_memory):
        self._exponentials = exponentials
        n, itemsize = len(exponentials), exponentials.Z.itemsize
        budget = int(max_memory * 2**20 / itemsize)
        at_a_time = 2 * n_block_threads() + 2
        # Few rows make small blocks all the same: half of a diagonal one is in vain.
        wanted = max(min(_BLOCK_BYTES // itemsize // n, n // 8), _MIN_BLOCK_ROWS)
        # Of each thread two kept here, and two temporary ones of the targets.
        step = int(np.clip(wanted, 1, max(1, min(n, budget // (at_a_time * n)))))
        self.step = step
        bounds = [(start, min(n, start + step)) for start in range(0, n, step)]
        together = -(-len(bounds) // _RUNS)
        self._runs = [bounds[i : i + together] for i in range(0, len(bounds), together)]
        room, self._to_keep, self._kept = budget - at_a_time * step * n, set(), {}
        for start, stop in bounds:
            size = (stop - start) * (n - start)
            if size <= room:
                room -= size
                self._to_keep.add(start)
        self._buffers = threading.local()

    def map(self, function):
        """Yield ``function(run)``, in order: a run is the bounds of some blocks in a row."""
        return map_blocks(function, self._runs)

    def get(self, start, stop):
        """Return the exponentials of rows ``start`` to ``stop``, columns from ``start``."""
        if start in self._kept:
            return self._kept[start]
        shape = (stop - start, len(self._exponentials) - start)
        if start not in self._to_keep:
            return self._exponentials.upper(start, stop, self._buffer(0, shape))
        out = np.empty(shape, dtype=self._exponentials.Z.dtype)
        self._kept[start] = self._exponentials.upper(start, stop, out)
        return self._kept[start]

    def scratch(self, shape):
        """Return memory of this thread for a second block of this shape."""
        return self._buffer(1, shape)

    def _buffer(self, number, shape):
        if not hasattr(self._buffers, "both"):
            size = self.step * len(self._exponentials)
            self._buffers.both = np.empty((2, size), dtype=self._exponentials.Z.dtype)
        return self._buffers.both[number, : shape[0] * shape[1]].reshape(shape)


_BLOCKS_AT_A_TIME = 8


def tensor_soft_neighbor_gradient(Z, targets, row_terms, *, weights=None, max_memory=512):
    """Compute the value and gradient as of :func:`soft_neighbor_gradient`, for a tensor.

    Parameters
    ----------
    Z : tensor of shape (n, r)
    targets : SameClass or Values
    row_terms : callable
        As for :func:`soft_neighbor_gradient`.
    weights : ndarray of shape (n,), default=None
    max_memory : float, default=512
        Bound in MB on the blocks.

    Returns
    -------
    value : float
    gradient : tensor of shape (n, r)
    """
    xp, n = namespace(Z), Z.shape[0]
    Z = Z - xp.mean(Z, axis=0)
    # Not counted: -|z_i|² of the row itself, which probabilities do not see.
    of_column = -squared_norms(Z)
    own = xp.full_like(of_column, -xp.inf)
    if weights is not None:
        of_row = moved_to(Z, weights)
        of_column = of_column + xp.log(of_row)
        own = squared_norms(Z) + moved_to(Z, own_log_weights(weights))
    numbers = xp.arange(n, device=device(Z))
    targets_of = targets.beside(Z)
    value, degrees, HZ = 0.0, xp.zeros_like(of_column), xp.zeros_like(Z)
    step = max(1, int(max_memory * 2**20 / (8 * _BLOCKS_AT_A_TIME * n)))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        scores = 2 * (Z[rows, :] @ Z.T) + of_column
        diagonal = numbers[rows][:, None] == numbers
        scores = xp.where(diagonal, own[rows][:, None], scores)
        largest = xp.max(scores, axis=1, keepdims=True)
        P = xp.exp(scores - largest)
        sums = xp.sum(P, axis=1, keepdims=True)
        P = P / sums
        log_normalizers = (xp.log(sums) + largest)[:, 0] - squared_norms(Z[rows, :])
        t = xp.astype(targets_of(rows), Z.dtype, copy=False)
        terms = row_terms(rows, xp.sum(P * t, axis=1), log_normalizers)
        if weights is not None:
            terms = [of_row[rows] * term for term in terms]
        values, alpha, beta = terms
        value += float(xp.sum(values, dtype=xp.float64))
        W = P * (alpha[:, None] * t + beta[:, None])
        HZ[rows, :] += W @ Z
        HZ += W.T @ Z[rows, :]
        degrees[rows] += xp.sum(W, axis=1)
        degrees += xp.sum(W, axis=0)
    return value, 2 * (degrees[:, None] * Z - HZ)
