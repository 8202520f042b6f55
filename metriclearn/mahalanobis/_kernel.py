"""KernelMetric: any linear learner in the space of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from metriclearn._arrays import unit_of
from metriclearn._linalg import fix_signs
from metriclearn._metric import LearnedMetricMixin
from metriclearn._sklearn import POSITIVE, HasMethods, at_least, between, fit_context, one_of
from metriclearn._types import Seed
from metriclearn._unused import warn_unused
from metriclearn._validation import as_labels, check_numeric, validate_rows
from metriclearn.mahalanobis._base import warn_of_long_fit
from metriclearn.mahalanobis._gmml import GMML

if TYPE_CHECKING:
    from metriclearn.constraints._kinds import Chunks, Pairs, Quadruplets, Triplets

# Directions of the kernel's space that hold less of the rows than this part of the widest.
_RANK_TOL = 1e-10
# The kernels that have each parameter.
_KERNELS = {
    "gamma": ("rbf", "poly", "sigmoid", "laplacian"),
    "degree": ("poly",),
    "coef0": ("poly", "sigmoid"),
}
_CUBES_A_SECOND = 8e8  # n³ of the kernel's eigenvectors and of GMML's


class KernelMetric(
    LearnedMetricMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """A linear metric learner in the space of a kernel [1]_.

    ::

        φ(x) = Λ^-½ Uᵀ k(Z, x),   k(Z, Z) = U Λ Uᵀ
        d(u, v) = ‖L (φ(u) - φ(v))‖,   L learned from φ(X)

    With all rows as the landmarks ``Z`` the ``φ`` are coordinates of the rows
    in the kernel's own space, so that a learner whose result lies in the span
    of its rows, as that of every learner here does, is kernelized exactly.
    With fewer landmarks it is the Nyström approximation: memory n × landmarks.

    ``learner="passthrough"`` learns nothing: ``L = I``, and between rows of ``fit``::

        d(u, v)² = k(u, u) - 2 k(u, v) + k(v, v)

    the baseline to beat. The squared distances of a new row to all of these are less by one number,
    its squared distance to what they span, so that its neighbors among them are the same.

    Parameters
    ----------
    learner : estimator or "passthrough", default=None
        A linear learner of this package, or another transformer, cloned by ``fit``; ``GMML()`` by
        default.
    kernel : {"rbf", "poly", "linear", "sigmoid", "laplacian", "cosine", "precomputed"} or \
            callable, default="rbf"
        A name as in scikit-learn; a function ``kernel(A, B) -> ndarray of shape
        (len(A), len(B))``; or ``"precomputed"``, where ``X`` is the matrix of
        kernel values with the rows of ``fit``.
    gamma : {"scale"} or float, default="scale"
        Only used by ``"rbf"``, ``"poly"``, ``"sigmoid"`` and ``"laplacian"``; ``"scale"``
        is ``1 / (n_features * X.var())``.
    degree : float, default=3
        Only used by ``"poly"``.
    coef0 : float, default=1
        Only used by ``"poly"`` and ``"sigmoid"``.
    n_landmarks : int, default=None
        Rows drawn for the Nyström approximation; all, and no approximation,
        by default.
    random_state : int, RandomState instance or None, default=None
        For drawing landmarks.

    Attributes
    ----------
    learner_ : estimator or "passthrough"
        Fitted on ``φ(X)``.
    landmarks_ : ndarray of shape (n_landmarks, n_features)
        ``Z``; for ``"precomputed"`` their row numbers.
    projection_ : ndarray of shape (n_landmarks, rank)
        ``U Λ^-½``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.decomposition.KernelPCA : The coordinates that the learner sees.
    metriclearn.deep.DeepEmbedder : Learns the features, too.

    References
    ----------
    .. [1] Chatpatanasiri, R., Korsrilabutr, T., Tangchanachaianan, P. & Kijsirikul, B. "A new
       kernelization framework for Mahalanobis distance learning algorithms", Neurocomputing 73,
       2010. :doi:`10.1016/j.neucom.2009.11.037`

    Examples
    --------
    >>> from sklearn.datasets import make_circles
    >>> from metriclearn import RCA, KernelMetric
    >>> X, y = make_circles(60, factor=0.3, noise=0.05, random_state=0)
    >>> KernelMetric(RCA(1), kernel="poly", degree=2).fit(X, y).transform(X).shape
    (60, 1)
    >>> KernelMetric("passthrough", kernel="poly", degree=2).fit(X).transform(X).shape
    (60, 6)
    """

    _parameter_constraints: dict = {
        "learner": [HasMethods(["fit", "transform"]), one_of("passthrough"), None],
        "kernel": [
            one_of("rbf", "poly", "linear", "sigmoid", "laplacian", "cosine", "precomputed"),
            callable,
        ],
        "gamma": [one_of("scale"), POSITIVE],
        "degree": [POSITIVE],
        "coef0": [between(None, None, "neither")],
        "n_landmarks": [at_least(1), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        learner: BaseEstimator | str | None = None,
        kernel: str | Callable[..., Any] = "rbf",
        *,
        gamma: str | float = "scale",
        degree: float = 3,
        coef0: float = 1,
        n_landmarks: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.learner = learner
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.n_landmarks = n_landmarks
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        constraints: Pairs | Triplets | Quadruplets | Chunks | None = None,
    ) -> Self:
        """Learn the metric from labels or from constraints.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            For ``kernel="precomputed"`` of shape (n, n).
        y : array-like of shape (n,), default=None
            Target of the learner; not used by ``"passthrough"``.
        constraints : Pairs, Triplets, Quadruplets or Chunks, default=None
            Instead of ``y``, for learners that take them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the kernel is not symmetric, not positive semidefinite, or of
            the wrong shape; or ``learner="passthrough"`` is given constraints.

        Warns
        -----
        UserWarning
            Before a fit of more than a minute or so.
        """
        check_numeric(X)
        checks = {"dtype": [np.float64, np.float32], "ensure_min_samples": 2}
        learner = self._learner()
        if learner is None and constraints is not None:
            raise ValueError(
                "constraints were given, but learner='passthrough' learns nothing; choose a learner"
            )
        if constraints is None and self.__sklearn_tags__().target_tags.required:
            if getattr(learner, "_target_is_class", False):
                y = as_labels(y)
            X, y = validate_data(self, X, y, **checks)
        else:
            X = validate_data(self, X, **checks)
        if self.kernel == "precomputed" and X.shape[0] != X.shape[1]:
            raise ValueError(
                f'X must be square for kernel="precomputed", got {X.shape}; it holds the kernel '
                f"of every row with every row"
            )
        warn_unused(
            self,
            {
                name: f"with kernel={' or '.join(map(repr, kernels))}"
                for name, kernels in _KERNELS.items()
                if callable(self.kernel) or self.kernel not in kernels
            },
        )
        self._gamma, self._unit = self._scale_of(X) if self.gamma == "scale" else (self.gamma, 1.0)
        rows = np.arange(len(X))
        if self.n_landmarks is not None and self.n_landmarks < len(X):
            drawn = check_random_state(self.random_state).permutation(len(X))
            rows = np.sort(drawn[: self.n_landmarks])
        warn_of_long_fit(
            "KernelMetric",
            float(len(rows)) ** 3 / _CUBES_A_SECOND,
            len(rows),
            "set n_landmarks=1000, which is near to it in a fraction of the time",
        )
        self.landmarks_ = rows if self.kernel == "precomputed" else X[rows]
        against_landmarks = self._kernel_to_landmarks(X)
        self.projection_ = _whitening(against_landmarks[rows])
        features = against_landmarks @ self.projection_
        self._n_features_out = features.shape[1]
        self.learner_: Any = "passthrough"
        if learner is not None:
            given = {"y": y} if constraints is None else {"constraints": constraints}
            self.learner_ = clone(learner).fit(features, **given)
            self._n_features_out = self.learner_.transform(features[:1]).shape[1]
        return self

    def _scale_of(self, X):
        """Return ``gamma="scale"`` for the rows divided by a unit, and that unit."""
        unit = unit_of(X)
        spread = X.shape[1] * (X * np.float64(1 / unit)).var()
        if self.kernel in ("rbf", "poly", "sigmoid"):  # functions of γ x², whatever the unit
            return (1 / spread if spread > 0 else unit * unit), unit
        return (1 / (spread * unit * unit) if spread * unit * unit > 0 else 1.0), 1.0

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Map rows to the learned space, where Euclidean distance is the learned metric.

        Parameters
        ----------
        X : array-like of shape (m, n_features)
            For ``kernel="precomputed"`` the kernel values with the rows of
            ``fit``, of shape (m, n).

        Returns
        -------
        ndarray of shape (m, n_components)
            In the dtype of ``X`` (float32 or float64).
        """
        check_is_fitted(self)
        return self._embed(self._check_rows(X))

    def _learner(self):
        """Return what learns in the kernel's space, None for nothing."""
        if self.learner == "passthrough":
            return None
        return GMML() if self.learner is None else self.learner

    def _check_rows(self, X):
        return validate_rows(self, X, reset=False)

    def _embed(self, X):
        features = self._kernel_to_landmarks(X) @ self.projection_
        if self.learner_ != "passthrough":
            # Whatever frames transformers are told to give.
            features = np.asarray(self.learner_.transform(features))
        return features.astype(X.dtype, copy=False)

    def _kernel_to_landmarks(self, X):
        if self.kernel == "precomputed":
            K = X[:, self.landmarks_]
        elif callable(self.kernel):
            K = _called(self.kernel, X, self.landmarks_)
        else:
            # What overflows is one clear error below.
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                K = pairwise_kernels(
                    X if self._unit == 1 else X / self._unit,
                    self.landmarks_ if self._unit == 1 else self.landmarks_ / self._unit,
                    metric=self.kernel,
                    filter_params=True,
                    gamma=self._gamma,
                    degree=self.degree,
                    coef0=self.coef0,
                )
        if not np.all(np.isfinite(K)):
            raise ValueError("kernel has NaN or infinite values on the rows of X; scale X")
        return K.astype(np.float64, copy=False)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        learner = self._learner()
        tags.target_tags.required = learner is not None and get_tags(learner).target_tags.required
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags


def _called(kernel, A, B):
    """Return the values of a function of two matrices."""
    remedy = (
        "it is called with all rows at once; of a function of two rows make one by "
        "lambda A, B: pairwise_kernels(A, B, metric=f)"
    )
    try:
        K = np.asarray(kernel(A, B))
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"kernel failed on arrays of shapes {A.shape} and {B.shape} ({error}); {remedy}"
        ) from error
    if K.shape != (len(A), len(B)) or K.dtype.kind not in "biuf":
        raise ValueError(
            f"kernel must return one number for each row of its first and its second argument, "
            f"shape {len(A), len(B)}, got shape {K.shape} of {K.dtype}; {remedy}"
        )
    return K


def _whitening(K):
    """``U Λ^-½`` of the kernel of the landmarks with themselves, its null space left out."""
    if not np.all(np.isfinite(K)):
        raise ValueError("kernel has NaN or infinite values")
    largest = np.abs(K).max()
    # Rows in float32 are the same to 1e-7 only.
    if not np.allclose(K, K.T, atol=1e-5 * largest):
        raise ValueError("kernel is not symmetric: k(a, b) differs from k(b, a)")
    values, vectors = linalg.eigh((K + K.T) / 2)
    if values[0] < -1e-5 * max(values[-1], 0) or values[-1] <= 0:
        raise ValueError(
            f"kernel is not positive semidefinite on the rows of X (eigenvalues from "
            f"{values[0]:.3g} to {values[-1]:.3g}); use another kernel or other parameters"
        )
    keep = values > _RANK_TOL * values[-1]
    return fix_signs(vectors[:, keep].T).T / np.sqrt(values[keep])
