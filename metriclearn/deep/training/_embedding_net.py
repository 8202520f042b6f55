"""A skorch net that embeds: made from parts that are ready, moved and called, but not trained."""

import torch
from skorch import NeuralNet

from metriclearn.deep.training._optimizer import make_optimizer, takes_closure
from metriclearn.deep.training._recipe import PRECISIONS
from metriclearn.deep.training._seeding import empty_cache, out_of_memory

# Values embedded at a time where no gradient is kept: short rows go in larger
# batches than in training.
VALUES_AT_A_TIME = 2**17
# Images embedded at a time on the CPU: feature maps of more are memory that the system gives out
# page by page, each time again, which takes longer than the network.
IMAGE_VALUES_ON_CPU = 2**20
# What may be set on a trained net; the rest of skorch's parameters would rebuild it.
SETTABLE = ("lr", "optimizer__", "batch_size", "callbacks", "verbose")


class EmbeddingNet(NeuralNet):
    """A skorch net around a network and a loss that were built outside.

    Parameters
    ----------
    module : EmbeddingNetwork
        Embeds a batch; trained in place.
    criterion : nn.Module
        Of ``(embeddings, targets)``; its parameters are trained as well.
    recipe : Recipe
    inputs : Inputs
        Makes rows of what ``forward`` and ``transform`` are given.
    **settings
        skorch's own.
    """

    # Average of the weights; as its name begins with "module_", skorch pickles it like the module.
    module_average_ = None

    def __init__(self, module, criterion, *, recipe, inputs, **settings):
        # skorch takes every name without a trailing underscore for a parameter.
        self.recipe_ = recipe
        self.inputs_ = inputs
        self.backbone_frozen_ = False
        self.frozen_names_ = {}
        # Scores are of embeddings in evaluation mode, so none of training can be reused.
        settings = {"train_split": None, "verbose": 0, "use_caching": False, **settings}
        super().__init__(module, criterion, **settings)

    @property
    def sampler_(self):
        """What draws the batches, or None."""
        return self.recipe_.sampler

    @property
    def _default_callbacks(self):
        return []

    def initialize(self):
        """Initialize the net; once it is, change nothing.

        skorch would replace trained weights by fresh ones. To train from the start, fit a clone
        of the embedder.
        """
        return self if self.initialized_ else super().initialize()

    def initialize_module(self):
        """Take the module as built; held once, as ``module_``."""
        self.module_, self.module = self.module, None
        return self

    def initialize_criterion(self):
        """Take the criterion as built; held once, as ``criterion_``."""
        self.criterion_, self.criterion = self.criterion, None
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Make the optimizer, with a learning rate for each of backbone, head and proxies."""
        parts = self.trained_parts()
        self.optimizer_ = make_optimizer(self.optimizer, self.recipe_, parts, self.frozen_names_)
        self.takes_closure_ = takes_closure(self.optimizer_)
        self.initialize_scaler()
        return self

    def trained_parts(self):
        """Return the parts that have a learning rate each."""
        network = self.module_
        return {"backbone": network.backbone, "head": network.head, "proxies": self.criterion_}

    def initialize_scaler(self):
        """Make the scaler of the loss: float16's gradients would underflow, others pass through."""
        enabled = self.recipe_.precision == "float16"
        self.scaler_ = torch.amp.GradScaler(torch.device(self.device).type, enabled=enabled)

    def get_params_for(self, prefix):
        """Return nothing: all parts are built outside."""
        return {}

    def set_params(self, **params):
        """Set learning rates, the batch size, verbosity or parameters of callbacks."""
        fixed = [name for name in params if not name.startswith(SETTABLE)]
        if fixed:
            raise ValueError(
                f"{fixed[0]} cannot be set on a trained net; set_params of the embedder with "
                f"warm_start=True, then fit"
            )
        groups = self.optimizer_.param_groups
        before = [group["lr"] for group in groups]
        super().set_params(**params)
        for group, rate in zip(groups, before, strict=True):
            if "lr" in params or group["lr"] != rate:
                group["initial_lr"] = group["lr"]
        return self

    def move(self, device):
        """Move weights and optimizer to another device."""
        self.device = device
        self.module_.to(device)
        self.criterion_.to(device)
        if self.module_average_ is not None:
            self.module_average_.to(device)
        # Loading casts the state to the device of the parameters.
        self.optimizer_.load_state_dict(self.optimizer_.state_dict())
        scale = self.scaler_.state_dict()
        self.initialize_scaler()
        if self.scaler_.is_enabled():
            self.scaler_.load_state_dict(scale)

    def _forward(self, X, also=None):
        """Embed a batch, in the precision of the recipe, to float32; see `EmbeddingNetwork`."""
        weights = next(self.module_.parameters(), None)
        if weights is not None and weights.dtype != X.dtype and X.is_floating_point():
            X = X.to(weights.dtype)  # the network was cast, e.g. by half()
        dtype = PRECISIONS[self.recipe_.precision]
        if dtype is None:
            return _as_float(self._through_network(X, also))
        with torch.autocast(torch.device(self.device).type, dtype):
            return _as_float(self._through_network(X, also))

    def _through_network(self, X, also):
        if self.backbone_frozen_ and self.module_.training:
            with torch.no_grad():
                features = self.module_.features(X)
            return self.module_.embed(features, also)
        if not self.recipe_.compile:
            return self.module_(X, also)
        if "compiled_" not in self.__dict__:
            # Past skorch's __setattr__, which would register it as one more module to train.
            # Noise and dropout draw the numbers that they would draw without the compiler.
            options = {"fallback_random": True}
            self.__dict__["compiled_"] = torch.compile(self.module_, options=options)
        return self.__dict__["compiled_"](X, also)

    def embed(self, rows, indices=None, batch_size=None, also=None):
        """Embed rows in evaluation mode.

        Parameters
        ----------
        rows : Rows
        indices : ndarray of int, default=None
            Row numbers; all rows by default.
        batch_size : int, default=None
            Rows at a time; by default the net's own ``batch_size``, or more
            where rows are so short that the calls would cost more than the work. Halved as
            often as memory runs out.
        also : {"features"}, default=None
            Give the pooled features, too.

        Returns
        -------
        tensor of shape (n, embedding_dim), dtype float32
            On the net's device; with ``also`` a pair of it and (n, feature_dim).
        """
        if self.module_.training:
            self.module_.eval()
        n = len(rows) if indices is None else len(indices)
        step = batch_size or max(self.batch_size, VALUES_AT_A_TIME // rows.values_per_row)
        if batch_size is None and rows.image_shape is not None and rows.device.type == "cpu":
            step = min(step, max(1, IMAGE_VALUES_ON_CPU // rows.values_per_row))
        while True:
            try:
                return self._embed_by(step, rows, indices, n, also)
            except (RuntimeError, MemoryError) as error:
                if step == 1 or not out_of_memory(error):
                    raise
            # Behind the handler, whose traceback would hold the batch that did not fit.
            step = min(step, n) // 2 or 1
            empty_cache()

    def _embed_by(self, step, rows, indices, n, also):
        slices = [slice(start, start + step) for start in range(0, n, step)]
        taken = slices if indices is None else [indices[part] for part in slices]
        with torch.inference_mode(), rows.reading_ahead(taken):
            parts = [self._forward(rows.take(part), also) for part in taken]
            if also is not None:
                return tuple(torch.cat(of_kind) for of_kind in zip(*parts, strict=True))
            return torch.cat(parts) if len(parts) > 1 else parts[0]

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield the embeddings of ``X``; skorch's ``forward`` and ``predict`` build on it.

        Parameters
        ----------
        X : array-like, tensor of a batch, or skorch's data set
            As the embedder was fitted on.
        training : bool, default=False
            Embed in training mode, with gradients.
        device : str, default="cpu"

        Yields
        ------
        tensor of shape (n, embedding_dim), dtype float32
        """
        batch = self.inputs_.as_batch(X, self.device)
        if training:
            self._set_training(True)
            yield self._forward(batch).to(device)
        elif isinstance(batch, torch.Tensor):
            self._set_training(False)
            with torch.inference_mode():
                yield self._forward(batch).to(device)
        else:
            yield self.embed(batch).to(device)

    def transform(self, X):
        """Embed ``X``, as the embedder does, so that scorers of embeddings take the net."""
        return self.predict(X)

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("compiled_", None)
        return state


def _as_float(out):
    """Return embeddings, or embeddings and features, in single precision."""
    return tuple(part.float() for part in out) if isinstance(out, tuple) else out.float()
