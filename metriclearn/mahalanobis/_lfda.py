"""LFDA: local Fisher discriminant analysis."""

from numbers import Integral, Real

import numpy as np
from scipy import linalg

from metriclearn._linalg import fix_signs
from metriclearn._pairs import pairwise_sq_distances
from metriclearn._sklearn import Interval, StrOptions, fit_context
from metriclearn._validation import check_labels, check_n_components, labeled_rows
from metriclearn.mahalanobis._base import MahalanobisTransformer
from metriclearn.mahalanobis._scatter._discriminant import centered_scatter, discriminant_directions
from metriclearn.mahalanobis._scatter._span import Span

_BLOCK_BYTES = 32 * 2**20


class LFDA(MahalanobisTransformer):
    """Local Fisher discriminant analysis (Sugiyama, 2007).

    ::

        S_lb v = λ S_lw v,   S_lw = ½ Σ_ij A_ij/n_c (xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ        (i, j of class c)
        S_lb = ½ Σ_ij W_ij (xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ,  W_ij = A_ij (1/n - 1/n_c) or 1/n (two classes)

    with the affinity ``A_ij = exp(-|xᵢ - xⱼ|²/(σᵢσⱼ))``, ``σᵢ`` the distance of
    ``xᵢ`` to its k-th neighbor in its class. Only near rows of a class are
    drawn together, so a class may keep several clusters, and more than
    ``n_classes - 1`` directions are of use.

    Parameters
    ----------
    n_components : int, default=None
        Rows of ``components_``; all ``n_features`` by default.
    n_neighbors : int, default=7
        The k of the local scales, lowered in a class with fewer other rows.
    embedding : {"weighted", "plain", "orthonormalized"}, default="weighted"
        Directions times ``√λ``; as they are, with ``vᵀ S_lw v = 1``; or an
        orthonormal basis of their span.
    shrinkage : float in [0, 1], default=0
        Weight of the diagonal of ``S_lw`` against ``S_lw`` itself.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Rows by falling ``λ``.
    ratios_ : ndarray of shape (n_components,)
        ``λ``, the local ratio of between- to within-class scatter.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    Notes
    -----
    metric-learn's local scales are not those of the paper: it partitions the
    distances along one axis and reads the k-th entry of the other, so that the
    ``σ`` of a class are distances to one of its rows; it lowers k for all
    classes that come after a small one; it gives two equal rows the affinity 0
    instead of 1; and on singular data its components are complex or
    arbitrary. With the same local scales the two agree. Here directions in
    which the data do not vary get zero rows.

    Memory is bounded by a block of the affinity, never n × n; time is
    O(Σ n_c² n_features).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn import LFDA
    >>> X, y = load_iris(return_X_y=True)
    >>> LFDA(n_components=2).fit(X, y).transform(X).shape
    (150, 2)
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "embedding": [StrOptions({"weighted", "plain", "orthonormalized"})],
        "shrinkage": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(self, n_components=None, *, n_neighbors=7, embedding="weighted", shrinkage=0.0):
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.embedding = embedding
        self.shrinkage = shrinkage

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Learn the metric from labels.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
            Class labels.
        sample_weight : array-like of shape (n,), default=None
            ``w ≥ 0``; a row of weight two counts as two rows, in the sums, in
            ``n`` and ``n_c``, and among the neighbors.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is one class only, or a class has one row; rows of weight zero
            do not count.
        """
        X, y = self._validate_fit(X, y)
        weights, X, y = labeled_rows(sample_weight, X, y)
        _, codes = check_labels(y, sample_weight=weights)
        check_n_components(self.n_components, X.shape[1])

        span = Span(X, weights=weights)
        within, between = local_scatters(span.rows(), codes, self.n_neighbors, weights)
        if self.shrinkage:
            diagonal = span.narrowed(span.sum_of_squares(within))
            within = (1 - self.shrinkage) * within + self.shrinkage * diagonal
        components, ratios = discriminant_directions(
            within, within + between, self.n_components or span.width
        )
        self.ratios_ = np.maximum(ratios - 1, 0)
        if self.embedding == "weighted":
            components *= np.sqrt(self.ratios_)[:, None]
        elif self.embedding == "orthonormalized":
            found = ratios > 0
            basis = linalg.qr(components[found].T, mode="economic")[0].T
            components[found] = fix_signs(basis) * span.unit  # of length one over the features
        return self._set_components(span.leave(components), like=X)


def local_scatters(X, codes, n_neighbors, weights=None):
    """Local within- and between-class scatter of Sugiyama (2007).

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of int, shape (n,)
        Class numbers, 0 to ``n_classes - 1``.
    n_neighbors : int
    weights : ndarray of shape (n,), default=None
        Above zero; one by default.

    Returns
    -------
    within, between : ndarray of shape (d, d)
    """
    weights = np.ones(len(X)) if weights is None else weights
    within, between = 0.0, centered_scatter(X, weights)
    for k in range(codes.max() + 1):
        rows, w = X[codes == k], weights[codes == k]
        share = w.sum() / weights.sum()
        local = _local_scatter(rows, n_neighbors, w) / w.sum()
        within = within + local
        # ½Σ A(1/n - 1/n_c)… of the class, beside the ½Σ 1/n… that the total scatter holds.
        between -= share * centered_scatter(rows, w) + (1 - share) * local
    return within, between


def _local_scatter(X, n_neighbors, weights):
    """``½ Σ_ij wᵢwⱼA_ij (xᵢ - xⱼ)(xᵢ - xⱼ)ᵀ`` of the rows of one class, in blocks of rows."""
    X = X - np.average(X, axis=0, weights=weights)
    step = max(1, _BLOCK_BYTES // (8 * len(X)))
    blocks = [slice(start, start + step) for start in range(0, len(X), step)]
    scale = np.empty(len(X))
    for block in blocks:
        scale[block] = np.sqrt(
            _neighbor_distances(_distances_to_all(X, block), n_neighbors, weights)
        )
    scatter = 0.0
    for block in blocks:
        affinity = _distances_to_all(X, block)
        width = np.multiply.outer(scale[block], scale)
        # Equal rows have affinity 1, also where the scale is 0; else it is 0 there.
        np.divide(affinity, width, out=affinity, where=width > 0)
        affinity[(width == 0) & (affinity > 0)] = np.inf
        np.exp(-affinity, out=affinity)
        affinity *= weights
        affinity *= weights[block, None]
        degree = affinity.sum(axis=1)
        scatter = scatter + X[block].T @ (degree[:, None] * X[block] - affinity @ X)
    return (scatter + scatter.T) / 2


def _neighbor_distances(d2, n_neighbors, weights):
    """How far rows of a weight of ``n_neighbors`` are, beside the row itself; or the farthest."""
    if np.all(weights == 1):
        k = min(n_neighbors, len(weights) - 1)
        return np.partition(d2, k, axis=1)[:, k]
    order = np.argsort(d2, axis=1)
    passed = np.cumsum(weights[order], axis=1)
    # A sum of weights may fall short of its target by rounding.
    target = (1 - 1e-9) * np.minimum(n_neighbors + 1, passed[:, -1:])
    last = np.argmax(passed >= target, axis=1)
    rows = np.arange(len(d2))
    return d2[rows, order[rows, last]]


def _distances_to_all(X, block):
    d2 = pairwise_sq_distances(X[block], X)
    d2[np.arange(len(d2)), np.arange(len(X))[block]] = 0
    return d2
