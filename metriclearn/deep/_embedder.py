"""DeepEmbedder: a scikit-learn transformer around a network trained by a metric loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from metriclearn._metric import LearnedMetricMixin
from metriclearn._nested import NestedParamsMixin
from metriclearn._sklearn import fit_context
from metriclearn._types import FilePath, Seed
from metriclearn.deep._inputs._prepare import prepare
from metriclearn.deep._saved._onnx import export
from metriclearn.deep._saved._persistence import load, save
from metriclearn.deep.training._arguments import COMPONENTS, CONSTRAINTS, check_nested
from metriclearn.deep.training._dataset import from_dataset
from metriclearn.deep.training._trainer import Trainer

if TYPE_CHECKING:
    import torch
    from torch import nn

    from metriclearn.constraints._kinds import Pairs, Quadruplets, Triplets


class DeepEmbedder(
    LearnedMetricMixin,
    NestedParamsMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """A neural network trained so that distance between its outputs is the metric.

    ::

        d(u, v) = ‖f(u) - f(v)‖,      f = head(backbone(x)) / ‖head(backbone(x))‖

    where ``f`` minimizes a metric loss over batches, by default of P classes × K rows. Loss,
    miner, sampler and network are arguments; :mod:`metriclearn.deep.losses` has formulas and
    papers.

    Parameters
    ----------
    module : str, class or nn.Module, default="mlp"
        The backbone: "mlp" and "linear" for feature vectors, "adapter" for vectors of a
        pretrained network (see :class:`~metriclearn.deep.modules.Adapter`), "convnet", "attention",
        "multi_level", "resnet18", "resnet34" and "resnet50" for images, and where these are
        installed "timm/NAME", "torchvision/NAME" and, of transformers, "hf/REPOSITORY" or
        "hf/FOLDER", pretrained unless ``module_params`` says otherwise. A class is called with
        those of ``in_features``, ``in_channels`` that it takes, and with ``module_params``; an
        instance is copied.
    loss : str, class or nn.Module, default="triplet"
        A name in `LOSSES` or `REGULARIZERS`, or in `WRAPPERS` with the name of another loss in
        ``loss_params={"loss": NAME}``, or "weighted_sum" of those in
        ``loss_params={"losses": [NAME, ...], "weights": [...]}``, or what is called as
        ``loss(embeddings, labels)``. Learned proxies are sized by the training classes.
    miner : str, class, callable or None, default="auto"
        A name in `MINERS` or `CLASS_MINERS`; "auto" is "semi_hard" for the triplet loss,
        as published, and none for all others (the margin loss was published with
        "distance_weighted", multi-similarity with the miner of its name); None is all tuples. A
        function ``f(embeddings, labels)`` says by its attribute ``yields`` whether it gives
        "pairs" or "triplets".
    sampler : str, class or object, default="class_balanced"
        Which rows make a batch: "class_balanced" (P × K), "unbalanced" (every row once, classes of
        one row are welcome), "random", "hierarchical" and "hard_negatives", which embed the
        training set to choose; see :mod:`metriclearn.deep.samplers`.
    n_components : int, "auto" or None, default="auto"
        Dimension of the embedding. "auto" is 64 for a backbone by name; for a class or an instance
        it is None: no linear layer, the network's output is the embedding.
    module_params, head_params, loss_params, miner_params, sampler_params : dict, default=None
        Arguments of the parts, also settable one by one as ``module__hidden_units``,
        ``head__pooling`` (see :class:`~metriclearn.deep.modules.Head`), ``loss__margin``, and
        ``loss__loss__margin`` of a loss named inside another.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"}, class or callable, default="adam"
        Called with groups of parameters and ``optimizer_params``.
    optimizer_params : dict, default=None
        Its arguments, e.g. ``{"weight_decay": 1e-4}``.
    lr : float, default=1e-3
        Learning rate of the head, and of all that follows where not given; greater than 0.
    backbone_lr : float, "auto" or None, default="auto"
        Learning rate of the backbone; None is ``lr``. "auto" is ``lr`` / 10 for a pretrained one,
        else ``lr``. 0 freezes it, batch normalization and dropout included.
    proxy_lr : float, default=None
        Learning rate of the loss's own parameters, if any; 10 times ``lr`` by default.
    schedule : {"cosine", "linear", "step", "constant"} or callable, default="cosine"
        Factor on the rates over the run, a function of the share of the run that is done.
        "constant" leaves the rates to callbacks such as skorch's ``LRScheduler``.
    schedule_params : dict, default=None
        Its arguments: of "step" ``step_size``, in epochs, and ``gamma``. Besides, numbers of the
        loss and the miner that change over the run: ``{"loss__margin": (0.1, 0.5)}`` goes from the
        first to the last in a line, a function is given the share of the run that is done.
    warmup_epochs : int or "auto", default="auto"
        First epochs, with a frozen backbone; "auto": 1 for a pretrained one below a head, else 0.
    freeze_batch_norm : bool or "auto", default="auto"
        Keep the statistics of the backbone's batch normalization; "auto": of a pretrained one.
    batch_size : int, default=128
        Rows (with ``constraints``: constraints) in a batch, at least 4.
    chunk_size : int, default=None
        Rows of a batch embedded at a time: the memory of that many, in less than twice the time,
        with the loss and the gradient of the whole batch, to rounding. What accumulating gradients
        is to a mean over rows, this is to every loss; batch normalization, though, is by chunk.
    ema_decay : float, default=None
        Decay, in (0, 1), of a moving average of the network's weights over the steps, such as
        0.999. It is what validates, is kept, embeds and is saved; training goes on from the last
        weights, which a pickle holds and a saved file does not.
    max_epochs : int or "auto", default="auto"
        "auto" is about 2,000 batches, not fewer than 20 and not more than 100 epochs.
    validation : {"auto", "class_disjoint", "stratified"}, array of int or None, default="auto"
        What Recall@1 is measured on after each epoch: rows of classes held out of training, rows
        held out of each class, or these row numbers; they are searched among the training rows,
        too. The weights of the best epoch are kept. "auto" is "class_disjoint" from 50 classes on,
        else "stratified" where that holds out 500 rows, else None: of fewer rows the measure is so
        rough that training to the end of the schedule does better.
    validation_fraction : float, default=0.1
        Share of classes or rows held out, in (0, 1). Only used where ``validation`` draws them.
    patience : int, "auto" or None, default="auto"
        Epochs without a Recall@1 as good as the best before training stops; "auto" is 30% of
        ``max_epochs``, None never stops.
    image_shape : tuple of int, default=None
        (height, width), (height, width, channels) or (channels, height, width), where the rows of
        ``X`` are images.
    image_size : int or (height, width), default=None
        Where ``X`` is image files: the size that they are read at, 224 by default. Where it is
        arrays of bytes: they are read as files are, at this size.
    augment : {"affine", "light", "standard", "corrupt"}, callable or None, default=None
        Changes a training batch (b, channels, height, width) on its device. "light" crops and
        mirrors, "standard" changes colors, too: for photos; the crops are cut from the pixels of
        the files. "affine" is for characters, "corrupt" for feature vectors: those of other rows
        are mixed in; it is what None means there where two views of each row are compared. A
        transform of torchvision or albumentations is applied to each image.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of the network, by autocast; float16 scales gradients. Losses are taken in float32.
    checkpoint : str or Path, default=None
        Folder that holds the state of the run after each epoch. ``fit`` with the same arguments
        takes it up where it stopped and ends with the same weights as without the stop (on the
        CPU to the bit, with a seed); with a larger ``max_epochs`` it goes on.
    compile : bool, default=False
        Run the network through ``torch.compile``; noise and dropout stay the same, and the
        result changes by rounding only.
    callbacks : list, default=None
        Callbacks of skorch; see :mod:`metriclearn.deep.callbacks` for what they do here. They are
        copied: after ``fit`` their state is in ``dict(net_.callbacks_)[name]``.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU. Changed after ``fit``, the network moves.
    warm_start : bool, default=False
        Let ``fit`` go on from the present weights. Arguments that were changed since are honored;
        for those of the network (``module``, ``n_components``, their parameters, ``image_shape``)
        an error says that they cannot be.
    random_state : int, RandomState instance or None, default=None
        Same seed, same bits, on the CPU, with the same number of threads and as long as no other
        thread draws from torch's global generator meanwhile; its state is put back.
    verbose : int, default=0
        1 shows a progress bar with loss, validation Recall@1 and rows per second.

    Attributes
    ----------
    net_ : MetricNet
        The skorch net: ``net_.module_``, ``net_.criterion_``, ``net_.history``.
    classes_ : ndarray
        Labels trained on, in the order of the proxies; None after ``constraints`` or amounts.
    history_ : list of dict
        For each epoch ``train_loss``, ``valid_recall_at_1``, ``dur`` (s), ``rows_per_second``.
    n_iter_ : int
        Epochs trained.
    best_epoch_ : int
        Whose weights these are; the last where nothing validates, 0 for an untrained adapter.
    image_shape_ : tuple or None
        (height, width, channels) of the images; None for feature vectors.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    See Also
    --------
    metriclearn.NCA, metriclearn.LMNN : Linear metrics, often as good on feature vectors.
    metriclearn.neighbors.RetrievalIndex : Search among many embedded rows.

    References
    ----------
    .. [1] K. Musgrave, S. Belongie and S.-N. Lim, "A metric learning reality check", ECCV, 2020,
       :doi:`10.1007/978-3-030-58595-2_41`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from metriclearn.deep import DeepEmbedder
    >>> X, y = load_iris(return_X_y=True)
    >>> embedder = DeepEmbedder(loss="proxy_anchor", max_epochs=5, random_state=0).fit(X, y)
    >>> embedder.transform(X).shape
    (150, 64)
    """

    _parameter_constraints: dict = CONSTRAINTS
    _components, _check_component = tuple(COMPONENTS), check_nested

    def __init__(
        self,
        module: str | type | nn.Module = "mlp",
        loss: str | type | nn.Module = "triplet",
        miner: str | type | Callable[..., Any] | None = "auto",
        *,
        sampler: str | type | object = "class_balanced",
        n_components: int | str | None = "auto",
        module_params: dict[str, Any] | None = None,
        head_params: dict[str, Any] | None = None,
        loss_params: dict[str, Any] | None = None,
        miner_params: dict[str, Any] | None = None,
        sampler_params: dict[str, Any] | None = None,
        optimizer: str | type | Callable[..., Any] = "adam",
        optimizer_params: dict[str, Any] | None = None,
        lr: float = 1e-3,
        backbone_lr: float | str | None = "auto",
        proxy_lr: float | None = None,
        schedule: str | Callable[..., Any] = "cosine",
        schedule_params: dict[str, Any] | None = None,
        warmup_epochs: int | str = "auto",
        freeze_batch_norm: bool | str = "auto",
        batch_size: int = 128,
        chunk_size: int | None = None,
        ema_decay: float | None = None,
        max_epochs: int | str = "auto",
        validation: str | np.ndarray | None = "auto",
        validation_fraction: float = 0.1,
        patience: int | str | None = "auto",
        image_shape: tuple[int, ...] | None = None,
        image_size: int | tuple[int, int] | None = None,
        augment: str | Callable[..., Any] | None = None,
        precision: str = "float32",
        checkpoint: FilePath | None = None,
        compile: bool = False,
        callbacks: list[Any] | None = None,
        device: str | torch.device = "auto",
        warm_start: bool = False,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.module = module
        self.loss = loss
        self.miner = miner
        self.sampler = sampler
        self.n_components = n_components
        self.module_params = module_params
        self.head_params = head_params
        self.loss_params = loss_params
        self.miner_params = miner_params
        self.sampler_params = sampler_params
        self.optimizer = optimizer
        self.optimizer_params = optimizer_params
        self.lr = lr
        self.backbone_lr = backbone_lr
        self.proxy_lr = proxy_lr
        self.schedule = schedule
        self.schedule_params = schedule_params
        self.warmup_epochs = warmup_epochs
        self.freeze_batch_norm = freeze_batch_norm
        self.batch_size = batch_size
        self.chunk_size = chunk_size
        self.ema_decay = ema_decay
        self.max_epochs = max_epochs
        self.validation = validation
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.image_shape = image_shape
        self.image_size = image_size
        self.augment = augment
        self.precision = precision
        self.checkpoint = checkpoint
        self.compile = compile
        self.callbacks = callbacks
        self.device = device
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        constraints: Pairs | Triplets | Quadruplets | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, n_features), (n, height, width) or (n, height, width, channels)
            Rows, or images, channels first or last; image files, as
            `~metriclearn.images.ImagePaths` or paths; or a map-style data set of torch or Hugging
            Face, whose labels serve where ``y`` is None. Files and memory maps are read by batch.
            Bytes are divided by 255; integers stay so for a module of your own that takes them.
        y : array-like of shape (n,), default=None
            Class labels, -1 among integers for none; for a loss of amounts floats, (n,) or (n, q);
            a loss such as "two_views" needs none.
        constraints : Pairs, Triplets or Quadruplets, default=None
            Instead of labels; if all pairs are similar, negatives are the other rows of a batch.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument, or what ``X`` and ``y`` hold, cannot be used.
        FloatingPointError, MemoryError
            If the loss is infinite or NaN, or a batch does not fit; the last weights are kept.

        Warns
        -----
        ConvergenceWarning
            If the loss of an epoch was 0 in every batch, or the embeddings have collapsed.
        """
        return self._fit(X, y, constraints, self.warm_start and self.__sklearn_is_fitted__())

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Train for one epoch on these rows, going on from the present weights.

        Nothing is held out, the learning rate stays as at the beginning of a ``fit``, and changed
        arguments are treated as by ``warm_start=True``.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or images
        y : array-like of shape (n,)
            Class labels; for a loss of continuous labels amounts, (n,) or (n, q).
        classes : array-like, default=None
            Every label that will ever come, read at the first call; those of ``y`` by default. A
            loss that learns nothing of classes takes new ones at any time.

        Returns
        -------
        self
        """
        return self._fit(X, y, None, self.__sklearn_is_fitted__(), whole=False, classes=classes)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Embed rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or images

        Returns
        -------
        ndarray of shape (n, n_components), dtype float32
            Rows of length one, unless the loss or ``head__normalize`` says otherwise.
        """
        check_is_fitted(self)
        return self._embed(self._check_rows(X))

    def save(self, path: FilePath) -> None:
        """Write the fitted embedder to one file: weights as safetensors, settings as JSON.

        Parameters
        ----------
        path : str or Path
            Replaced as a whole, or, on an error, not at all.

        Raises
        ------
        ValueError
            If a part was given as a class or an instance, which no name can bring back.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        save(self, path)

    def to_onnx(self, path: FilePath) -> None:
        """Write the network as one ONNX graph: scaling, backbone, head and normalization.

        Its input ``X`` is (n, n_features) or (n, channels, height, width), as given to ``fit``
        (files: bytes). A graph that gives other numbers than the network is a ``ValueError``.

        Parameters
        ----------
        path : str or Path
        """
        check_is_fitted(self)
        export(self.net_, path)

    @classmethod
    def load(cls, path: FilePath) -> DeepEmbedder:
        """Read an embedder that :meth:`save` wrote; no code of the file is run.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        DeepEmbedder
            Fitted; further training starts with a fresh optimizer, which a pickle keeps.

        Raises
        ------
        ValueError
            If the file is foreign, damaged, of a newer version, or sets what it may not set.
        """
        return load(cls, path)

    def _fit(self, X, y, constraints, going_on, *, whole=True, classes=None):
        trainer, net = self._trainer(), self.net_ if going_on else None
        net, data = prepare(self, trainer, net, X, y, constraints, classes=classes, whole=whole)
        try:
            trainer.run(net, data, whole=whole)
        finally:
            if net.history:  # an error before the first epoch was over leaves all as it was
                self._with_net(net)
        return self

    def _with_net(self, net):
        """Take up a net, and show what it knows as fitted attributes."""
        self.net_ = net
        self.classes_, self.image_shape_ = net.classes_, net.inputs_.image_shape
        self.history_ = net.records()
        self.n_iter_ = len(self.history_)
        self.best_epoch_ = self.n_iter_ if net.best_epoch_ is None else net.best_epoch_
        self._n_features_out = net.module_.head.embedding_dim
        return self

    def _check_rows(self, X):
        return self.net_.inputs_.check_to_embed(self, from_dataset(X, with_labels=False)[0])

    def _embed(self, X):
        self._trainer().move(self.net_)
        return self.net_.embed(self.net_.inputs_.rows(X, self.net_.device)).cpu().numpy()

    def _trainer(self):
        return Trainer(self.get_params(deep=False))

    def __sklearn_is_fitted__(self):
        return "net_" in vars(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self._trainer().needs_labels
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
