"""Queries and documents in one space, each by an encoder of its own."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from metriclearn._nested import NestedParamsMixin
from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, HasMethods, at_least, fit_context, one_of
from metriclearn._types import FilePath, Seed
from metriclearn._unused import warn_unused
from metriclearn.deep._inputs._inputs import Inputs
from metriclearn.deep.pairs._net import automatic_epochs, epochs_of, make_net, seeded_by
from metriclearn.deep.pairs._towers import Documents, TowerData, TowerLoss, TowerNet, TwoTowers
from metriclearn.deep.training._arguments import check_nested
from metriclearn.deep.training._assembly import build_network

if TYPE_CHECKING:
    from torch import nn

# Values embedded at a time where no gradient is kept.
_VALUES = 2**22


class TwoTowerEmbedder(
    NestedParamsMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Two encoders whose outputs are near where a query and a document belong together.

    With s the cosine of f(q) and g(d), over the pairs (q, d⁺) of a batch::

        mean  -log( exp(s(q, d⁺) / τ) / (exp(s(q, d⁺) / τ) + Σ_{d} exp(s(q, d) / τ)) )

    where d are the other documents of the batch, and those listed as ``negatives`` of its pairs,
    that are not paired with q anywhere in the training set; and half of it with the queries of the
    batch in place of the documents [1]_, [2]_.

    Parameters
    ----------
    module : str, class or nn.Module, default="mlp"
        The backbone of the queries, as of `DeepEmbedder`.
    document_module : str, class or nn.Module, default=None
        That of the documents; None is another like ``module``.
    shared : bool, default=False
        Embed documents by the encoder of the queries.
    n_components : int, default=64
        Dimension of the embedding, of length one.
    module_params, document_module_params : dict, default=None
        Arguments of the backbones; the second are the first where not given. Set one by one as
        ``module__hidden_units``.
    temperature : float, default=0.05
        τ, greater than 0.
    symmetric : bool, default=True
        Let documents look for their queries, too.
    lr : float, default=1e-3
        Learning rate, of Adam; it falls to zero along a cosine.
    weight_decay : float, default=0
        At least 0.
    batch_size : int, default=256
        Pairs in a batch, each with all others as negatives: the more the better.
    chunk_size : int, default=None
        Rows embedded at a time. The gradient is still that of the whole batch, whose memory is that
        of a chunk, at the price of a second pass [3]_; batch normalization is by chunk. None embeds
        a batch at once.
    max_epochs : int or "auto", default="auto"
        "auto" is about 2,000 batches, not fewer than 20 and not more than 100 epochs.
    checkpoint : str or Path, default=None
        Folder that the whole state of the run is written to after each epoch, as of
        `DeepEmbedder`; a killed ``fit`` goes on from there. Needs ``random_state``.
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
    n_features_in_ : int
        Of queries.
    n_document_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    DeepEmbedder : One encoder; pairs of rows of one kind are its ``constraints``.
    metriclearn.verification.PairNetwork : Puts the best documents in order.
    metriclearn.neighbors.RetrievalIndex : Searches among ``transform_documents``.

    References
    ----------
    .. [1] V. Karpukhin et al., "Dense passage retrieval for open-domain question answering", EMNLP,
       2020. :doi:`10.18653/v1/2020.emnlp-main.550`
    .. [2] A. Radford et al., "Learning transferable visual models from natural language
       supervision", ICML, 2021. :doi:`10.48550/arXiv.2103.00020`
    .. [3] L. Gao, Y. Zhang, J. Han and J. Callan, "Scaling deep contrastive learning batch size
       under memory limited setup", RepL4NLP, 2021. :doi:`10.18653/v1/2021.repl4nlp-1.31`

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.deep import TwoTowerEmbedder
    >>> rng = np.random.RandomState(0)
    >>> topics = rng.randn(300, 4)
    >>> queries, documents = topics @ rng.randn(4, 6), topics @ rng.randn(4, 9)
    >>> model = TwoTowerEmbedder(max_epochs=20, random_state=0)
    >>> bool(model.fit(queries[:200], documents[:200]).score(queries[200:], documents[200:]) > 0.5)
    True
    """

    _parameter_constraints: dict = {
        "module": [str, HasMethods("forward")],
        "document_module": [str, HasMethods("forward"), None],
        "shared": ["boolean"],
        "n_components": [at_least(1)],
        "module_params": [dict, None],
        "document_module_params": [dict, None],
        "temperature": [POSITIVE],
        "symmetric": ["boolean"],
        "lr": [POSITIVE],
        "weight_decay": [NOT_NEGATIVE],
        "batch_size": [at_least(2)],
        "chunk_size": [at_least(1), None],
        "max_epochs": [at_least(1), one_of("auto")],
        "checkpoint": [str, PathLike, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _components, _check_component = ("module", "document_module"), check_nested

    def __init__(
        self,
        module: str | type | nn.Module = "mlp",
        document_module: str | type | nn.Module | None = None,
        *,
        shared: bool = False,
        n_components: int = 64,
        module_params: dict[str, Any] | None = None,
        document_module_params: dict[str, Any] | None = None,
        temperature: float = 0.05,
        symmetric: bool = True,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        batch_size: int = 256,
        chunk_size: int | None = None,
        max_epochs: int | str = "auto",
        checkpoint: FilePath | None = None,
        device: str | torch.device = "auto",
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.module = module
        self.document_module = document_module
        self.shared = shared
        self.n_components = n_components
        self.module_params = module_params
        self.document_module_params = document_module_params
        self.temperature = temperature
        self.symmetric = symmetric
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.chunk_size = chunk_size
        self.max_epochs = max_epochs
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        pairs: ArrayLike | None = None,
        negatives: ArrayLike | None = None,
    ) -> Self:
        """Train both encoders.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or images
            Queries.
        y : array-like of shape (n_documents, n_document_features) or images
            Documents; of shape (n_documents,), one feature.
        pairs : array-like of int, shape (n_pairs, 2), default=None
            Row numbers of a query and a document that belong together; by default query i and
            document i.
        negatives : array-like of int, shape (n_pairs, n_negatives), default=None
            Row numbers of documents that are hard to tell from that of the pair; -1 for none.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If row numbers are not there, or lengths differ without ``pairs``.
        """
        own = not isinstance(self.module, str), not isinstance(self._document_module(), str)
        if y is None:
            raise ValueError(
                "TwoTowerEmbedder requires y to be passed, but the target y is None; it is the "
                "documents"
            )
        if self.shared:
            names = "document_module", "document_module_params"
            warn_unused(self, dict.fromkeys(names, "where the encoder is not shared"))
        y = _columns(y)
        queries, X, _ = Inputs.learn(self, X, own_module=own[0], ensure_min_samples=2)
        kind = Documents()
        try:
            documents, y, _ = Inputs.learn(kind, y, own_module=own[1])
        except ValueError as error:
            raise ValueError(f"y, the documents: {error}") from None
        if self.shared and queries.n_features != documents.n_features:
            raise ValueError(
                f"shared=True needs queries and documents of one kind, got {queries.n_features} "
                f"and {documents.n_features} features"
            )
        pairs, negatives = _check_pairs(pairs, negatives, len(X), len(y))
        with seeded_by(self.random_state, self.device) as device:
            towers = self._towers([queries, documents], [X, y])
            net = self._net(towers, automatic_epochs(self, len(pairs)))
            data = TowerData(queries.rows(X, device), documents.rows(y, device), pairs, negatives)
            net.train(data, self.get_params(deep=False))
        self.net_, self._inputs, self._documents = net, (queries, documents), kind
        return self._told()

    def _told(self):
        """Show what the net knows as fitted attributes."""
        self.history_ = epochs_of(self.net_)
        self.n_document_features_in_ = self._inputs[1].n_features
        self._n_features_out = self.net_.module_.queries.head.embedding_dim
        return self

    def _document_module(self):
        return self.module if self.document_module is None else self.document_module

    def _towers(self, inputs, rows, shapes=(None, None)):
        """Make both encoders, sized by rows of both kinds."""
        params = self.module_params, self.document_module_params
        if params[1] is None and self.document_module is None:
            params = params[0], params[0]
        modules = self.module, self._document_module()
        made = []
        for side in range(2 - self.shared):
            seen = inputs[side].rows(rows[side], "cpu")
            made.append(
                build_network(
                    modules[side], params[side], self.n_components, None, seen, shapes[side]
                )
            )
            inputs[side].integers, inputs[side].channels_last = seen.integers, seen.channels_last
        widths = [network.head.embedding_dim for network in made]
        if len(set(widths)) > 1:
            raise ValueError(
                f"n_components={self.n_components}: the module of queries gives {widths[0]} "
                f"dimensions and that of documents {widths[1]}, so that they cannot be compared; "
                f"give fewer, or modules that give as many"
            )
        if self.shared:
            inputs[1].integers = inputs[0].integers
            inputs[1].channels_last = inputs[0].channels_last
        return TwoTowers(made[0], made[-1])

    def _net(self, towers, epochs=None):
        args = {**self.get_params(deep=False), "epochs": epochs}
        criterion = TowerLoss(self.temperature, self.symmetric)
        return make_net(args, towers, criterion, TowerNet, chunk_size=self.chunk_size)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Embed queries.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or images

        Returns
        -------
        ndarray of shape (n, n_components), dtype float32
            Rows of length one.
        """
        check_is_fitted(self)
        return self._embed(0, self._inputs[0].check_to_embed(self, X))

    def transform_documents(self, X: ArrayLike) -> np.ndarray:
        """Embed documents.

        Parameters
        ----------
        X : array-like of shape (n, n_document_features) or images

        Returns
        -------
        ndarray of shape (n, n_components), dtype float32
            Rows of length one.
        """
        check_is_fitted(self)
        return self._embed(1, self._inputs[1].check_to_embed(self._documents, _columns(X)))

    def _embed(self, side, X):
        rows = self._inputs[side].rows(X, self.net_.device)
        towers = self.net_.module_.eval()
        network = (towers.queries, towers.documents)[side]
        step = max(1, _VALUES // rows.values_per_row)
        with torch.inference_mode():
            parts = [network(rows.take(part)) for part in gen_batches(len(X), step)]
        return torch.cat(parts).float().cpu().numpy()

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of queries whose nearest document is their own.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or images
            Queries.
        y : array-like of shape (n, n_document_features) or images
            Their documents, row by row.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If there are not as many documents as queries.
        """
        found = self.transform(X), self.transform_documents(y)
        if len(found[0]) != len(found[1]):
            raise ValueError(
                f"y must have a document for each of the {len(found[0])} queries, got "
                f"{len(found[1])}"
            )
        nearest = (found[0] @ found[1].T).argmax(axis=1)
        return float(np.mean(nearest == np.arange(len(nearest))))

    def save(self, path: FilePath) -> None:
        """Write the fitted encoders to one file: weights as safetensors, settings as JSON.

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
        from metriclearn.deep.pairs._file import save_towers

        check_is_fitted(self)
        save_towers(self, path)

    @classmethod
    def load(cls, path: FilePath) -> TwoTowerEmbedder:
        """Read encoders that :meth:`save` wrote; no code of the file is run.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        TwoTowerEmbedder

        Raises
        ------
        ValueError
            If the file is foreign, damaged or of a newer version.
        """
        from metriclearn.deep.pairs._file import load_towers

        return load_towers(cls, path)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _columns(documents):
    """Return documents of one feature as rows of it."""
    rows = np.asanyarray(documents)
    return rows[:, None] if rows.ndim == 1 else documents  # a frame keeps the names of its columns


def _check_pairs(pairs, negatives, n_queries, n_documents):
    """Return row numbers of pairs and negatives, which are there."""
    if pairs is None:
        if n_queries != n_documents:
            raise ValueError(
                f"X has {n_queries} queries and y {n_documents} documents, an inconsistent number "
                f"of samples; say by pairs which belong together"
            )
        pairs = np.column_stack([np.arange(n_queries)] * 2)
    pairs = _row_numbers(pairs, "pairs", 0)
    if pairs.shape[1] != 2 or len(pairs) < 2:
        raise ValueError(f"pairs must be of shape (n, 2) with n of 2 or more, got {pairs.shape}")
    for side, n, name in ((0, n_queries, "X"), (1, n_documents, "y")):
        if pairs[:, side].max() >= n:
            raise ValueError(
                f"pairs names row {pairs[:, side].max()} of {name}, which has rows 0 to {n - 1}"
            )
    if negatives is None:
        return pairs, None
    negatives = _row_numbers(negatives, "negatives", -1)
    if len(negatives) != len(pairs):
        raise ValueError(
            f"negatives must have a row for each of the {len(pairs)} pairs, got {len(negatives)}"
        )
    if negatives.size and negatives.max() >= n_documents:
        raise ValueError(
            f"negatives names row {negatives.max()} of y, which has rows 0 to {n_documents - 1}"
        )
    return pairs, negatives


def _row_numbers(given, name, least):
    numbers = np.asarray(given)
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu" or not numbers.size:
        raise ValueError(
            f"{name} must hold row numbers, integers of shape (n, k), got {numbers.dtype} of shape "
            f"{numbers.shape}"
        )
    if numbers.min() < least:
        raise ValueError(f"{name} names row {numbers.min()}; rows are numbered from 0")
    return numbers.astype(np.intp)
