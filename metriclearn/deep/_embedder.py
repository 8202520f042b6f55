"""DeepEmbedder: a scikit-learn transformer around a network trained by a metric loss."""

import copy
import threading
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from metriclearn._metric import LearnedMetricMixin
from metriclearn._progress import progress
from metriclearn._validation import check_class_counts, check_labels
from metriclearn.deep._components import argument_names, build, resolve
from metriclearn.deep._data import Rows, split_rows
from metriclearn.deep._nested_params import NestedParamsMixin
from metriclearn.deep._net import MetricNet, TrainingData
from metriclearn.deep._schedules import SCHEDULES
from metriclearn.deep.augment import AUGMENTS
from metriclearn.deep.callbacks import BestWeights, ProgressBar
from metriclearn.deep.losses import LOSSES
from metriclearn.deep.losses._wrappers import MinedLoss
from metriclearn.deep.miners import MINERS
from metriclearn.deep.modules import MODULES, EmbeddingNetwork, Head, Standardize
from metriclearn.deep.samplers import SAMPLERS

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
# The miner of miner="auto": what the loss was published with.
PAPER_MINERS = {"TripletLoss": "semi_hard"}
DEFAULT_COMPONENTS = 64
# Rows that the input's mean and deviation are measured on, at most.
MEASURED_ROWS = 10_000

# Seeding forks torch's one global generator: two trainings in threads of one
# process would draw from each other's stream, so they take turns.
_one_training = threading.RLock()


class DeepEmbedder(
    LearnedMetricMixin,
    NestedParamsMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """A neural network trained so that distance between its outputs is the metric."""

    _parameter_constraints: dict = {
        "module": [str, HasMethods("forward")],
        "loss": [str, HasMethods("forward")],
        "miner": [str, callable, None],
        "sampler": [str, HasMethods("epoch")],
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
        "module_params": [dict, None],
        "head_params": [dict, None],
        "loss_params": [dict, None],
        "miner_params": [dict, None],
        "sampler_params": [dict, None],
        "optimizer": [str, type],
        "optimizer_params": [dict, None],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "backbone_lr": [Interval(Real, 0, None, closed="left"), None],
        "proxy_lr": [Interval(Real, 0, None, closed="left"), None],
        "schedule": [str, callable],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "validation": [
            StrOptions({"auto", "class_disjoint", "stratified"}),
            "array-like",
            None,
        ],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
        "image_shape": [tuple, list, None],
        "augment": [str, callable, None],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _components = ("module", "head", "loss", "miner", "sampler", "optimizer")

    def __init__(
        self,
        module="mlp",
        loss="triplet",
        miner="auto",
        *,
        sampler="class_balanced",
        n_components="auto",
        module_params=None,
        head_params=None,
        loss_params=None,
        miner_params=None,
        sampler_params=None,
        optimizer="adam",
        optimizer_params=None,
        lr=1e-3,
        backbone_lr=None,
        proxy_lr=None,
        schedule="cosine",
        batch_size=128,
        max_epochs="auto",
        validation="auto",
        validation_fraction=0.1,
        patience="auto",
        image_shape=None,
        augment=None,
        callbacks=None,
        device="auto",
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
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
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation = validation
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.image_shape = image_shape
        self.augment = augment
        self.callbacks = callbacks
        self.device = device
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, n_features), (n, height, width) or (n, height, width, channels)
            Rows, or images; bytes are divided by 255.
        y : array-like of shape (n,)
            Class labels.

        Returns
        -------
        self
        """
        go_on = self.warm_start and hasattr(self, "net_")
        X, y = self._validate_fit(X, y, reset=not go_on)
        sampler = self._build_sampler()
        labels, codes = _encode(y, sampler.min_rows, self.sampler)
        seeds = _spawn_seeds(self.random_state)
        train, held = split_rows(
            codes, self.validation, self.validation_fraction, np.random.default_rng(seeds[0])
        )
        if not go_on:
            self._build_net(X, labels[np.unique(codes[train])], sampler, seeds)
        data = TrainingData(self._rows(X), train, self._encode(y[train]), held, codes)
        return self._train(data, self._epochs(len(train)))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None):
        """Train for one epoch on these rows, going on from the present weights.

        Nothing is held out for validation.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or images
        y : array-like of shape (n,)
        classes : array-like, default=None
            Every label that will ever come; read at the first call only. By
            default those of the first ``y``.

        Returns
        -------
        self
        """
        first = not hasattr(self, "net_")
        X, y = self._validate_fit(X, y, reset=first)
        sampler = self._build_sampler()
        labels, codes = _encode(y, sampler.min_rows, self.sampler)
        if first:
            labels = labels if classes is None else np.unique(classes)
            self._build_net(X, labels, sampler, _spawn_seeds(self.random_state))
        data = TrainingData(self._rows(X), np.arange(len(X)), self._encode(y), None, codes)
        return self._train(data, 1)

    def transform(self, X):
        """Embed rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or images

        Returns
        -------
        ndarray of shape (n, n_components), dtype float32
        """
        check_is_fitted(self)
        return self._embed(self._check_rows(X))

    def _validate_fit(self, X, y, reset):
        X, shape = _flatten_images(X)
        X, y = validate_data(self, X, y, reset=reset, ensure_min_samples=2, **_as_given(X))
        if reset:
            self.image_shape_ = _image_shape(shape, self.image_shape, X.shape[1])
            self._scale = 1 / 255 if X.dtype == np.uint8 else 1
        else:
            self._check_image_shape(shape)
        return X, y

    def _check_rows(self, X):
        X, shape = _flatten_images(X)
        X = validate_data(self, X, reset=False, **_as_given(X))
        self._check_image_shape(shape)
        return X

    def _check_image_shape(self, shape):
        if shape is not None and shape != self.image_shape_:
            raise ValueError(
                f"X has images of shape {shape}, but {type(self).__name__} was fitted on "
                f"{'rows' if self.image_shape_ is None else self.image_shape_}"
            )

    def _embed(self, X):
        return self.net_.embed(self._rows(X)).cpu().numpy()

    def _rows(self, X, device=None):
        channels_last = isinstance(self.module, str)
        device = self.net_.device if device is None else device
        return Rows(X, self.image_shape_, self._scale, device, channels_last)

    def _build_sampler(self):
        sampler = resolve("sampler", self.sampler, SAMPLERS)
        return build("sampler", sampler, self.sampler_params, {"batch_size": self.batch_size})

    def _build_net(self, X, classes, sampler, seeds):
        """Make network, loss and net, and measure what the network takes from the data."""
        device = _device(self.device)
        offers = {"in_features": X.shape[1]}
        if self.image_shape_ is not None:
            offers["in_channels"] = self.image_shape_[2]
        optimizer = resolve("optimizer", self.optimizer, OPTIMIZERS)
        module = resolve("module", self.module, MODULES)
        if "in_channels" in argument_names(module):
            self._refuse_rows(f"module={self.module!r}")
        rows = self._rows(X, "cpu")
        with _seeded(device) as generators:
            torch.manual_seed(seeds[2].generate_state(1)[0])
            backbone = build("module", module, self.module_params, offers)
            head = self._build_head(backbone.eval(), rows)
            criterion = self._build_criterion(len(classes), head.embedding_dim)
            network = EmbeddingNetwork(backbone, head)
            if rows.channels_last:
                network = network.to(memory_format=torch.channels_last)
            sample = rows.take(np.linspace(0, len(X) - 1, min(len(X), MEASURED_ROWS)).astype(int))
            for part in backbone.modules():
                if isinstance(part, Standardize):
                    part.measure(sample)
            net = MetricNet(
                network,
                criterion,
                sampler=sampler,
                rates=self._rates(),
                schedule=resolve("schedule", self.schedule, SCHEDULES),
                rng=np.random.default_rng(seeds[1]),
                augment=self._build_augment(),
                optimizer=optimizer,
                optimizer_params=self.optimizer_params or {},
                batch_size=self.batch_size,
                callbacks=copy.deepcopy(self.callbacks),
                device=device,
            ).initialize()
            net.generators_ = generators()
        self.net_ = net
        self.classes_ = classes
        self._n_features_out = head.embedding_dim

    def _build_head(self, backbone, rows):
        n_components = self.n_components
        if n_components == "auto":
            n_components = DEFAULT_COMPONENTS if isinstance(self.module, str) else None
        with torch.inference_mode():
            shape = tuple(backbone(rows.take(slice(0, 2))).shape[1:])
        offers = {"feature_shape": shape, "embedding_dim": n_components}
        return build("head", Head, self.head_params, offers)

    def _build_criterion(self, n_classes, embedding_dim):
        sizes = {"n_classes": n_classes, "embedding_dim": embedding_dim}
        loss = build("loss", resolve("loss", self.loss, LOSSES), self.loss_params, sizes)
        for part in loss.modules():
            if hasattr(part, "build") and None in (part.n_classes, part.embedding_dim):
                part.build(part.n_classes or n_classes, part.embedding_dim or embedding_dim)
        miner = self.miner
        if isinstance(miner, str) and miner == "auto":
            miner = PAPER_MINERS.get(type(loss).__name__)
        if miner is None:
            return loss
        return MinedLoss(loss, build("miner", resolve("miner", miner, MINERS), self.miner_params))

    def _build_augment(self):
        augment = resolve("augment", self.augment, AUGMENTS)
        if isinstance(self.augment, str):
            self._refuse_rows(f"augment={self.augment!r}")
            augment = augment()
        return augment

    def _refuse_rows(self, what):
        if self.image_shape_ is None:
            raise ValueError(
                f"{what} takes images, X has rows of {self.n_features_in_} features; give X of "
                f"shape (n, height, width[, channels]), or image_shape"
            )

    def _rates(self):
        return {
            "head": self.lr,
            "backbone": self.lr if self.backbone_lr is None else self.backbone_lr,
            "proxies": 10 * self.lr if self.proxy_lr is None else self.proxy_lr,
        }

    def _epochs(self, n_rows):
        if self.max_epochs != "auto":
            return self.max_epochs
        return int(np.clip(2000 * self.batch_size / n_rows, 20, 100))

    def _encode(self, y):
        """Codes of labels, as the loss counts classes."""
        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        unknown = self.classes_[codes] != y
        if unknown.any():
            raise ValueError(
                f"y has label {y[unknown][0]!r}, which was not among the classes at the first "
                f"fit; name all of them there (partial_fit(..., classes=...))"
            )
        return codes

    def _train(self, data, epochs):
        net = self.net_
        own = []
        if data.validation is not None:
            patience = max(5, 3 * epochs // 10) if self.patience == "auto" else self.patience
            own.append(("best_weights", BestWeights(patience=patience)))
        with _seeded(net.device, net.generators_) as generators:
            with progress(self.verbose, type(self).__name__, total=epochs) as advance:
                if self.verbose:
                    own.append(("progress_bar", ProgressBar(advance)))
                theirs = net.callbacks_
                net.callbacks_ = [*theirs, *own]
                try:
                    net.train(data, epochs)
                finally:
                    net.callbacks_ = theirs
            net.generators_ = generators()
        self.history_ = [
            {key: value for key, value in row.items() if key != "batches"} for row in net.history
        ]
        self.n_iter_ = len(self.history_)
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _flatten_images(X):
    """Images to rows; their shape (height, width, channels), or None where X has rows."""
    if isinstance(X, list) and np.ndim(X) > 2:
        X = np.asarray(X)
    n_dims = getattr(X, "ndim", 2)
    if n_dims not in (3, 4):
        return X, None
    shape = tuple(X.shape[1:])
    return np.reshape(X, (len(X), -1)), shape if n_dims == 4 else (*shape, 1)


def _image_shape(found, given, n_features):
    if given is None:
        return found
    given = tuple(int(side) for side in given)
    given = given if len(given) == 3 else (*given, 1)
    if found is not None and found != given:
        raise ValueError(f"image_shape={given} does not fit X, whose images are of shape {found}")
    if np.prod(given) != n_features:
        raise ValueError(
            f"image_shape={given} has {np.prod(given)} values, but X has {n_features} features"
        )
    return given


def _as_given(X):
    """Checks that keep bytes, and leave a memory-mapped array where it is."""
    kept = [np.float32, np.uint8]
    if isinstance(X, np.memmap):
        kept += [X.dtype]
    return {"dtype": kept}


def _encode(y, min_rows, sampler):
    classes, codes = check_labels(y, min_rows=1)
    try:
        check_class_counts(classes, np.bincount(codes), min_rows)
    except ValueError as error:
        raise ValueError(f"{error}, or use sampler='unbalanced' (now {sampler!r})") from None
    return classes, codes


def _spawn_seeds(random_state):
    """Independent seeds of the split, the batches and the weights."""
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    return np.random.SeedSequence(seed).spawn(3)


def _device(device):
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={str(device)!r} cannot be used here: {reason}") from None
    return str(device)


@contextmanager
def _seeded(device, state=None):
    """Run with torch's generators at ``state``; the caller's are put back.

    Yields
    ------
    callable
        Returns the present state of the generators.
    """
    cuda = torch.device(device).type == "cuda"

    def generators():
        return torch.get_rng_state(), torch.cuda.get_rng_state(device) if cuda else None

    with _one_training, torch.random.fork_rng(devices=[device] if cuda else []):
        if state is not None:
            torch.set_rng_state(state[0])
            if cuda:
                torch.cuda.set_rng_state(state[1], device)
        yield generators
