"""A network on pairs: the same, or not, without a distance in between."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from metriclearn._nested import NestedParamsMixin
from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, HasMethods, at_least, fit_context, one_of
from metriclearn._types import FilePath, Seed
from metriclearn.constraints._checks import as_similar
from metriclearn.verification._reranker import Reranker
from metriclearn.verification._tuples import (
    as_tuples,
    check_labels,
    check_row_numbers,
    check_rows_exist,
    logistic,
    probabilities,
)

if TYPE_CHECKING:
    import torch
    from torch import nn


class PairNetwork(NestedParamsMixin, ClassifierMixin, BaseEstimator):
    """Decide whether two rows are the same by a network that sees both.

    ::

        same  if  o(a, b) > 0,      minimizing  mean max(0, 1 - y o(a, b)) + ½ λ ‖w‖²,   y = ±1

    The score is no distance: there is no space to search in, so that it fits deciding pairs, and
    putting the best answers of a search in order (`reranker`). The wirings are those of [1]_, the
    first that of [2]_: each tower turns what it sees into ``n_components`` features, and two
    fully connected layers turn these into o.

    - ``"siamese"``: one tower, which sees a and b one by one;
    - ``"pseudo_siamese"``: two towers, one for a and one for b;
    - ``"two_channel"``: one tower, which sees a and b stacked as channels (or as features);
    - ``"central_surround"``: two towers that see both images stacked: the middle half of them, and
      the whole of them at half the size.

    Parameters
    ----------
    wiring : {"siamese", "pseudo_siamese", "two_channel", "central_surround"}, \
            default="two_channel"
        What the towers see, as above.
    module : str, class or nn.Module, default="mlp"
        The backbone of a tower, as of :class:`~metriclearn.deep.DeepEmbedder`: "mlp" for feature
        vectors, "convnet" for images.
    symmetric : bool, default=True
        Take the mean of o(a, b) and o(b, a). False where the two are of different kinds, such as
        a question and an answer.
    n_components : int, default=64
        Features that a tower gives.
    hidden_units : int, default=512
        Width of the layer that decides.
    module_params : dict, default=None
        Arguments of ``module``. Set one by one as ``module__hidden_units``, likewise those of the
        head.
    head_params : dict, default=None
        Arguments of the :class:`~metriclearn.deep.modules.Head` of a tower. By default it keeps
        all places of an image (``{"pooling": "flatten"}``), and no length is normalized.
    lr : float, default=1e-3
        Learning rate, of Adam; it falls to zero along a cosine.
    weight_decay : float, default=5e-4
        λ, at least 0.
    batch_size : int, default=128
        Pairs in a batch.
    max_epochs : int or "auto", default="auto"
        "auto" is about 2,000 batches, not fewer than 20 and not more than 100 epochs.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) where rows are images given as vectors.
    augment : {"affine", "light", "standard"}, callable or None, default=None
        Changes a batch of images in training, both of a pair alike.
    points : array-like of shape (n_points, n_features) or images, default=None
        With points, pairs are given as row numbers of it, shape (n, 2).
    pos_label : int, str or bool, default=None
        The label of pairs that are the same, as of `PairClassifier`.
    checkpoint : str or Path, default=None
        Folder that the whole state of the run is written to after each epoch, as of
        :class:`~metriclearn.deep.DeepEmbedder`; a killed ``fit`` goes on from there. Needs
        ``random_state``.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of the weights and of the order of the pairs.
    verbose : int, default=0
        1 prints the loss of each epoch.

    Attributes
    ----------
    net_ : skorch.NeuralNet
    history_ : list of dict
        For each epoch ``train_loss`` and ``dur`` (seconds).
    classes_ : ndarray of shape (2,)
        The labels given to ``fit``, sorted.
    pos_label_ : int, str or bool
        Which of them means the same.
    n_features_in_ : int

    See Also
    --------
    PairClassifier : A threshold on a learned distance, which a search can use.
    metriclearn.neighbors.RetrievalIndex.search : Takes a `reranker`.
    metriclearn.metrics.fpr_at_tpr : The measure of [1]_.

    References
    ----------
    .. [1] S. Zagoruyko and N. Komodakis, "Learning to compare image patches via convolutional
       neural networks", CVPR, 2015. :doi:`10.1109/CVPR.2015.7299064`
    .. [2] J. Bromley, I. Guyon, Y. LeCun, E. Säckinger and R. Shah, "Signature verification using
       a 'Siamese' time delay neural network", NIPS, 1993. :doi:`10.1142/S0218001493000339`

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.verification import PairNetwork
    >>> rng = np.random.RandomState(0)
    >>> pairs, same = rng.randn(200, 2, 3), rng.rand(200) < 0.5
    >>> pairs[same, 1, 0] = pairs[same, 0, 0] + 0.1  # the same if alike in the first feature
    >>> model = PairNetwork(max_epochs=20, random_state=0).fit(pairs, same)
    >>> bool(model.score(pairs, same) > 0.9)
    True
    """

    _width = 2
    _components = ("module", "head")
    _parameter_constraints: dict = {
        "wiring": [one_of("siamese", "pseudo_siamese", "two_channel", "central_surround")],
        "module": [str, HasMethods("forward")],
        "symmetric": ["boolean"],
        "n_components": [at_least(1)],
        "hidden_units": [at_least(1)],
        "module_params": [dict, None],
        "head_params": [dict, None],
        "lr": [POSITIVE],
        "weight_decay": [NOT_NEGATIVE],
        "batch_size": [at_least(2)],
        "max_epochs": [at_least(1), one_of("auto")],
        "image_shape": [tuple, list, None],
        "augment": [str, callable, None],
        "points": ["array-like", None],
        "pos_label": [Real, str, "boolean", None],
        "checkpoint": [str, PathLike, None],
        "device": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        wiring: str = "two_channel",
        module: str | type | nn.Module = "mlp",
        *,
        symmetric: bool = True,
        n_components: int = 64,
        hidden_units: int = 512,
        module_params: dict[str, Any] | None = None,
        head_params: dict[str, Any] | None = None,
        lr: float = 1e-3,
        weight_decay: float = 5e-4,
        batch_size: int = 128,
        max_epochs: int | str = "auto",
        image_shape: tuple[int, ...] | None = None,
        augment: str | Callable[..., Any] | None = None,
        points: ArrayLike | None = None,
        pos_label: int | str | bool | None = None,
        checkpoint: FilePath | None = None,
        device: str | torch.device = "auto",
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.wiring = wiring
        self.module = module
        self.symmetric = symmetric
        self.n_components = n_components
        self.hidden_units = hidden_units
        self.module_params = module_params
        self.head_params = head_params
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.image_shape = image_shape
        self.augment = augment
        self.points = points
        self.pos_label = pos_label
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _check_component(self, component, params):
        from metriclearn.deep.training._arguments import check_nested

        check_nested(self, component, params)

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network on pairs.

        Parameters
        ----------
        X : array-like of shape (n, 2, n_features), (n, 2, height, width[, channels]), or of int, \
                shape (n, 2)
            Pairs of rows or images, or row numbers of ``points``.
        y : array-like of shape (n,)
            Two values, one for pairs that are the same.
        sample_weight : array-like of shape (n,), default=None
            Not negative; all one by default. Weights of the pairs in the loss, and in the
            probabilities.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For other shapes, NaN, pairs of one kind only, or labels such as words without
            ``pos_label``.
        """
        from metriclearn.deep.pairs._net import epochs_of, train

        inputs, rows, pairs = self._check_pairs(X, reset=True)
        pairs, y, weights = check_labels(pairs, y, sample_weight)
        same = as_similar(y, self.pos_label)
        self.net_ = train(self, inputs, rows, pairs, same, weights)
        self._inputs = inputs
        self.classes_, self.pos_label_ = np.unique(y), y[np.argmax(same)]
        self.history_ = epochs_of(self.net_)
        self._slope, self._intercept = logistic(-self._scores(rows, pairs), same, weights)
        return self

    def _check_pairs(self, X, reset=False):
        """Return how rows are read, the rows as they are read, and row numbers of the pairs."""
        from metriclearn.deep._inputs._inputs import Inputs

        X = as_tuples(X)
        name = type(self).__name__
        if self.points is None:
            if X.ndim < 3 or X.shape[1] != 2:
                raise ValueError(
                    f"X must be of shape (n, 2, n_features) or (n, 2, height, width[, channels]) "
                    f"for {name} (or row numbers of shape (n, 2) with points=...), got {X.shape}"
                )
            rows, pairs = X.reshape(2 * len(X), *X.shape[2:]), np.arange(2 * len(X)).reshape(-1, 2)
        else:
            check_row_numbers(X, 2)
            rows, pairs = self.points, X
        if reset:
            own = not isinstance(self.module, str)
            inputs, rows, _ = Inputs.learn(self, rows, image_shape=self.image_shape, own_module=own)
        else:
            inputs = self._inputs
            rows, _ = inputs.check(self, rows)
        check_rows_exist(pairs, len(rows))
        return inputs, rows, pairs

    def _scores(self, rows, pairs):
        from metriclearn.deep.pairs._net import scores

        return scores(self.net_, self._inputs, rows, pairs)

    def _scores_of(self, rows, pairs):
        """Return the scores of pairs of these rows, whatever ``points`` is."""
        rows, _ = self._inputs.check(self, rows)
        return self._scores(rows, pairs)

    def score_pairs(self, X: ArrayLike) -> np.ndarray:
        """Return o(a, b) of each pair, the higher the more alike.

        Parameters
        ----------
        X : array-like of shape (n, 2, ...), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        _, rows, pairs = self._check_pairs(X)
        return self._scores(rows, pairs)

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each pair, positive towards ``classes_[1]``.

        Parameters
        ----------
        X : array-like of shape (n, 2, ...), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n,)
        """
        scores = self.score_pairs(X)
        return scores if self._same_is_second() else -scores

    def _same_is_second(self):
        return bool(self.classes_[1] == self.pos_label_)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Decide each pair: ``pos_label_`` for the same, the other label for different.

        Parameters
        ----------
        X : array-like of shape (n, 2, ...), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probabilities of both labels, by a logistic curve of the score.

        Parameters
        ----------
        X : array-like of shape (n, 2, ...), or of int, shape (n, 2)

        Returns
        -------
        ndarray of shape (n, 2)
            In the order of ``classes_``.
        """
        check_is_fitted(self)
        logit = self._intercept - self._slope * self.score_pairs(X)
        return probabilities(logit, self._same_is_second())

    def reranker(
        self, gallery: ArrayLike, ids: ArrayLike | None = None
    ) -> Callable[[ArrayLike, np.ndarray], np.ndarray]:
        """Return a function that scores queries against rows of a gallery.

        Parameters
        ----------
        gallery : array-like of shape (n_gallery, n_features) or images
            Rows as the network sees them, which need not be what an index holds of them.
        ids : array-like of shape (n_gallery,), default=None
            Their ids in the index; 0, 1, ... by default.

        Returns
        -------
        callable
            From queries and the ids found for each, shape (n_queries, k), to their scores: the
            ``rerank`` of :meth:`metriclearn.neighbors.RetrievalIndex.search`.
        """
        check_is_fitted(self)
        return Reranker(self, gallery, ids)

    def save(self, path: FilePath) -> None:
        """Write the fitted network to one file: weights as safetensors, settings as JSON.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ValueError
            If a part was given as a class or an instance, which no name can bring back.
        OSError
            If the file cannot be written.
        """
        from metriclearn.deep.pairs._file import save

        check_is_fitted(self)
        save(self, path)

    @classmethod
    def load(cls, path: FilePath) -> PairNetwork:
        """Read a network that :meth:`save` wrote; no code of the file is run.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        PairNetwork

        Raises
        ------
        ValueError
            If the file is foreign, damaged or of a newer version.
        """
        from metriclearn.deep.pairs._file import load

        return load(cls, path)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.two_d_array = self.points is not None
        tags.input_tags.three_d_array = self.points is None
        tags.non_deterministic = self.random_state is None
        return tags
