"""The net inside :class:`DeepEmbedder`: skorch's, with a data path of our own."""

import math
import time

import torch
from skorch import NeuralNet
from torch import nn

from metriclearn.deep.callbacks import restore, snapshot
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.training import _distributed
from metriclearn.deep.training._recipe import PRECISIONS
from metriclearn.deep.training._split import recall_at_1

# Losses are read from the device this many batches at a time: each reading
# makes an accelerator wait.
BATCHES_PER_READING = 64
# Values embedded at a time where no gradient is kept: short rows go in larger
# batches than in training.
VALUES_AT_A_TIME = 2**17


class EpochBatches:
    """Iterates over the batches of one epoch; each iteration draws another epoch."""

    def __init__(self, data, sampler, rng):
        self.data = data
        self.sampler = sampler
        self.rng = rng

    def __iter__(self):
        drawn = self.data.draw(self.sampler, self.rng)
        self.n_batches = len(drawn)
        for chosen in drawn:
            yield self.data.batch(chosen)


class MetricNet(NeuralNet):
    """A skorch net that trains on index-array batches and validates by Recall@1.

    skorch brings the callbacks, the history and the pickling; the data path is
    our own: batches are cut from ``X`` as whole arrays, and validation never
    calls the loss, which is not defined on classes held out of training.

    Parameters
    ----------
    module : EmbeddingNetwork
        Embeds a batch; trained in place.
    criterion : nn.Module
        Of ``(embeddings, targets)``; its parameters are trained as well.
    recipe : Recipe
    rng : numpy.random.Generator
        Draws the batches.
    **settings
        skorch's own.
    """

    def __init__(self, module, criterion, *, recipe, rng, **settings):
        # skorch takes every name without a trailing underscore for a parameter.
        self.recipe_ = recipe
        self.rng_ = rng
        self.stop_training_ = False
        super().__init__(module, criterion, train_split=None, verbose=0, **settings)

    @property
    def _default_callbacks(self):
        return []

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
        parts = {
            "backbone": self.module_.backbone,
            "head": self.module_.head,
            "proxies": self.criterion_,
        }
        groups = []
        for name, part in parts.items():
            rate = self.recipe_.rates[name]
            parameters = [p for p in part.parameters() if p.requires_grad]
            if rate == 0:
                part.requires_grad_(False)
            elif parameters:
                groups.append({"params": parameters, "lr": rate, "initial_lr": rate, "part": name})
        only_backbone = [group["part"] for group in groups] == ["backbone"]
        if only_backbone and self.recipe_.warmup_epochs:
            raise ValueError(
                "nothing is left to train in warm-up: there is no head and no proxy; give "
                "n_components, or warmup_epochs=0"
            )
        if not groups:
            raise ValueError(
                "nothing is left to train: every learning rate is 0 or every parameter frozen"
            )
        self.optimizer_ = self.optimizer(groups, **self.recipe_.optimizer_params)
        # Gradients of float16 would underflow; elsewhere the scaler passes everything through.
        self.scaler_ = torch.amp.GradScaler(
            torch.device(self.device).type, enabled=self.recipe_.precision == "float16"
        )
        return self

    def get_params_for(self, prefix):
        """Return nothing: all parts are made ready outside."""
        return {}

    def get_split_datasets(self, X, y=None, **fit_params):
        """Return the data as they are: the rows that validate were chosen before."""
        return X, None if X.validation is None else X

    def get_iterator(self, dataset, training=False):
        """Return the training batches, or, to validate, the data themselves."""
        return EpochBatches(dataset, self.recipe_.sampler, self.rng_) if training else dataset

    def train(self, data, epochs, scheduled=True):
        """Train, with the callbacks told of begin and end, however it ends.

        Parameters
        ----------
        data : LabeledData or ConstraintData
        epochs : int
            Most epochs of this run.
        scheduled : bool, default=True
            Move the rates by the schedule over these epochs; else they stay as at its beginning.
        """
        self.scheduled_ = scheduled
        self.epochs_done_ = 0
        self.stop_training_ = False
        if _distributed.is_active():
            _distributed.agree(self.module_)
            _distributed.agree(self.criterion_)
        self.notify("on_train_begin", X=data, y=None)
        try:
            self.fit_loop(data, epochs=epochs)
        finally:
            if self.history and "dur" not in self.history[-1]:
                self.history.pop()
            self.notify("on_train_end", X=data, y=None)
            self._set_training(False)
        return self

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train for up to ``epochs`` epochs, fewer where a callback stops.

        A callback stops by ``net.stop_training_ = True``, or, as skorch's own
        do, by ``KeyboardInterrupt`` at the end of an epoch. The user's Ctrl-C
        comes at any other time and is not swallowed.
        """
        train, valid = self.get_split_datasets(X)
        batches = self.get_iterator(train, training=True)
        while self.epochs_done_ < epochs and not self.stop_training_:
            done = self.epochs_done_ / epochs, (self.epochs_done_ + 1) / epochs
            self.done_ = done if self.scheduled_ else (0.0, 0.0)
            self._one_epoch(train, valid, batches)
            self.epochs_done_ += 1
            try:
                self.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)
            except KeyboardInterrupt:
                break
        return self

    def _one_epoch(self, train, valid, batches):
        started = time.perf_counter()
        last_good = snapshot(self)
        self.notify("on_epoch_begin", dataset_train=train, dataset_valid=valid)
        try:
            self._refresh(train)
            self.run_single_epoch(batches, training=True, prefix="train", step_fn=self.train_step)
            self._check_weights()
            if _distributed.is_active():
                # Each process normalized its own slices; one's statistics have to serve all.
                _distributed.agree(self.module_)
            self.history.record("rows_per_second", len(train) / (time.perf_counter() - started))
            if valid is not None:
                self.history.record("valid_recall_at_1", self.validate(valid))
        except FloatingPointError:
            restore(self, last_good)
            raise
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            restore(self, last_good)
            _empty_cache()
            raise MemoryError(
                f"out of memory in epoch {len(self.history)}; lower batch_size (now "
                f"{self.batch_size}), or use precision='bfloat16'. The weights of the last epoch "
                f"are kept"
            ) from error
        self.history.record("dur", time.perf_counter() - started)

    def _refresh(self, data):
        """Show the training set, as embedded now, to the sampler and losses that ask for it."""
        askers = [asker for asker in (self.recipe_.sampler, self.criterion_) if _refreshes(asker)]
        if askers:
            embeddings = self.embed(data.rows, data.train)
            for asker in askers:
                codes = data.train_codes if asker is self.recipe_.sampler else data.targets
                asker.refresh(embeddings, codes)

    def on_epoch_begin(self, net, **kwargs):
        """Begin a new row of the history; records of single batches are kept for one epoch."""
        if self.history:
            self.history[-1]["batches"].clear()
        super().on_epoch_begin(net, **kwargs)

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Do nothing: ``run_single_epoch`` keeps the record of the batch."""

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Train on every batch of an epoch and record its mean loss."""
        self._set_training(True)
        self._freeze_backbone(len(self.history) <= self.recipe_.warmup_epochs)
        batches = self.history[-1]["batches"]
        begin, end = self.done_
        unread = []
        for number, batch in enumerate(iterator):
            self._set_rates(begin + (end - begin) * number / iterator.n_batches)
            batches.append({"train_batch_size": len(batch.targets)})
            self.notify("on_batch_begin", batch=batch, training=True)
            try:
                step = step_fn(batch)
            except FloatingPointError:  # it may have begun in a batch whose loss is not read yet
                self._read_losses(unread, batches[:-1])
                raise
            unread.append(step["loss"])
            if len(unread) == BATCHES_PER_READING:
                self._read_losses(unread, batches)
            self.notify("on_batch_end", batch=batch, training=True, **step)
        self._read_losses(unread, batches)
        n_rows = sum(b["train_batch_size"] for b in batches)
        total = sum(b["train_loss"] * b["train_batch_size"] for b in batches)
        self.history.record("train_loss", total / n_rows)

    def _set_training(self, training=True):
        super()._set_training(training)
        if training and self.recipe_.freeze_batch_norm:
            for part in self.module_.backbone.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()

    def _freeze_backbone(self, frozen):
        for group in self.optimizer_.param_groups:
            if group["part"] == "backbone":
                for parameter in group["params"]:
                    parameter.requires_grad_(not frozen)

    def _set_rates(self, done):
        factor = self.recipe_.schedule(done)
        for group in self.optimizer_.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def _read_losses(self, unread, batches):
        """Move losses from the device to the records of the last batches."""
        if not unread:
            return
        values = torch.stack(unread).tolist()
        unread.clear()
        first = len(batches) - len(values)
        for number, value in enumerate(values, first):
            batches[number]["train_loss"] = value
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss became {value} at batch {number + 1} of epoch {len(self.history)}; "
                    f"lower lr or proxy_lr, or look for extreme values in X. The weights of the "
                    f"last epoch are kept"
                )

    def _check_weights(self):
        """Refuse what the last step of an epoch may have broken: no loss has seen it yet."""
        parameters = [*self.module_.parameters(), *self.criterion_.parameters()]
        if not torch.stack([torch.isfinite(p).all() for p in parameters]).all():
            raise FloatingPointError(
                f"the weights became infinite or NaN at the end of epoch {len(self.history)}; "
                f"lower lr or proxy_lr. The weights of the last epoch are kept"
            )

    def train_step(self, batch, **fit_params):
        """Forward, backward and one step of the optimizer."""
        self._zero_grad_optimizer()
        embeddings = self._embed_batch(batch)
        loss = self.criterion_(embeddings, batch.targets, **batch.extra)
        if loss.ndim:
            name = type(self.criterion_).__name__
            raise ValueError(f"loss={name} must give one number, got shape {tuple(loss.shape)}")
        self.scaler_.scale(loss).backward()
        if _distributed.is_active():
            _distributed.sum_gradients(self.module_.parameters())
            _distributed.average_gradients(self.criterion_.parameters())
        self.notify(
            "on_grad_computed",
            named_parameters=self.get_all_learnable_params(),
            batch=batch,
            training=True,
        )
        self.scaler_.step(self.optimizer_)
        self.scaler_.update()
        return {"loss": loss.detach(), "y_pred": embeddings}

    def _embed_batch(self, batch):
        """Embed the rows of a training batch, those that other processes embed included."""
        if not _distributed.is_active():
            return self._forward(self._augmented(batch.X))
        step = 1_000_000 * len(self.history) + len(self.history[-1]["batches"])
        with _distributed.own_randomness(step):
            own = self._forward(self._augmented(batch.X))
        return _distributed.gather(own, len(batch.targets))

    def _augmented(self, X):
        if self.recipe_.augment is None:
            return X
        changed = self.recipe_.augment(X)
        if len(changed) != len(X):
            raise ValueError(
                f"augment must give one row for each row of a batch; of {len(X)} it made "
                f"{len(changed)}"
            )
        return changed

    def _forward(self, X):
        """Embed a batch, in the precision of the recipe, to float32."""
        dtype = PRECISIONS[self.recipe_.precision]
        if dtype is None:
            return self._compiled()(X)
        with torch.autocast(torch.device(self.device).type, dtype):
            return self._compiled()(X).float()

    def _compiled(self):
        if not self.recipe_.compile:
            return self.module_
        if "compiled_" not in self.__dict__:
            # Past skorch's __setattr__, which would register it as one more module to train.
            self.__dict__["compiled_"] = torch.compile(self.module_)
        return self.__dict__["compiled_"]

    def embed(self, rows, indices=None, batch_size=None):
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

        Returns
        -------
        tensor of shape (n, embedding_dim), dtype float32
            On the net's device.
        """
        if self.module_.training:
            self.module_.eval()
        n = len(rows) if indices is None else len(indices)
        step = batch_size or max(self.batch_size, VALUES_AT_A_TIME // rows.X.shape[1])
        while True:
            try:
                return self._embed_by(step, rows, indices, n)
            except (RuntimeError, MemoryError) as error:
                if step == 1 or not _out_of_memory(error):
                    raise
            # Behind the handler, whose traceback would hold the batch that did not fit.
            step = min(step, n) // 2 or 1
            _empty_cache()

    def _embed_by(self, step, rows, indices, n):
        with torch.inference_mode():
            parts = [
                self._forward(rows.take(part if indices is None else indices[part]))
                for part in (slice(start, start + step) for start in range(0, n, step))
            ]
            return torch.cat(parts) if len(parts) > 1 else parts[0]

    def validate(self, data):
        """Recall@1 of the held-out rows."""
        held = data.validation
        codes = torch.from_numpy(data.codes).to(data.rows.device)
        queries = self.embed(data.rows, held.queries)
        gallery = self.embed(data.rows, held.gallery) if len(held.gallery) else queries[:0]
        return recall_at_1(queries, codes[held.queries], gallery, codes[held.gallery])

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("compiled_", None)
        return state


def _refreshes(asker):
    """Whether a sampler or a loss, or a part of one, wants to see the embedded training set."""
    if isinstance(asker, MetricLoss):
        return asker.refreshes
    return asker is not None and asker.due  # constraints are drawn without a sampler


def _empty_cache():
    """Give back what torch holds of an accelerator's memory without using it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _out_of_memory(error):
    kinds = (MemoryError, torch.OutOfMemoryError)
    # The CPU's and Apple's say it in words only.
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, kinds) or any(word in str(error) for word in words)
