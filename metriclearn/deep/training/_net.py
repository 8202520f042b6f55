"""The net inside :class:`DeepEmbedder`: skorch's, with a data path of our own."""

import math
import time
from contextlib import contextmanager

import torch
from torch import nn

from metriclearn.deep.callbacks import restore, snapshot
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.samplers import ClusterSampler
from metriclearn.deep.training import _distributed
from metriclearn.deep.training._average import WeightAverage
from metriclearn.deep.training._chunks import Chunks, buffers_kept, check_chunks
from metriclearn.deep.training._embedding_net import EmbeddingNet
from metriclearn.deep.training._seeding import empty_cache, out_of_memory
from metriclearn.deep.training._sparse_rows import SparseRows
from metriclearn.deep.training._split import recall_at_1
from metriclearn.deep.training._watch import Watch

# Losses are read from the device this many batches at a time: each reading
# makes an accelerator wait.
BATCHES_PER_READING = 64


class EpochBatches:
    """Iterable over the batches of one epoch; each iteration draws another epoch."""

    def __init__(self, data, sampler, rng):
        self.data = data
        self.sampler = sampler
        self.rng = rng

    def __iter__(self):
        drawn = self.data.draw(self.sampler, self.rng)
        self.n_batches = len(drawn)
        parts = [self.data.own_rows(chosen) for chosen in drawn]
        with self.data.rows.reading_ahead(parts, self.rng):
            for chosen in drawn:
                yield self.data.batch(chosen)


class MetricNet(EmbeddingNet):
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
    inputs : Inputs
        Makes rows of what ``forward`` and ``transform`` are given.
    **settings
        skorch's own.
    """

    def __init__(self, module, criterion, *, recipe, rng, inputs, **settings):
        self.rng_ = rng
        self.stop_training_ = False
        self.best_epoch_ = None
        super().__init__(module, criterion, recipe=recipe, inputs=inputs, **settings)

    def fit(self, X, y=None, **fit_params):
        """Raise an error: only the embedder knows how to train on arrays."""
        raise NotImplementedError("the net is trained by DeepEmbedder.fit and partial_fit")

    partial_fit = fit

    def train(self, data, epochs, scheduled=True):
        """Train; callbacks see the beginning and the end, however training ends.

        Parameters
        ----------
        data : LabeledData or ConstraintData
        epochs : int
            Most epochs of this run.
        scheduled : bool, default=True
            Move the rates by the schedule over these epochs; else they stay as at its beginning.
        """
        self.max_epochs = epochs
        self.scheduled_ = scheduled
        self.epochs_done_ = 0
        self.stop_training_ = False
        learned = any(row.get("train_loss") for row in self.history)
        self.watch_ = Watch(self.criterion_, learned)
        if _distributed.is_active():
            _distributed.agree(self.module_)
            _distributed.agree(self.criterion_)
        self._settle_average()
        criterion = self.criterion_
        parts = (criterion.loss, criterion.miner) if self.recipe_.mined else (criterion, None)
        self.moves_ = self.recipe_.moving.of(*parts)
        self.notify("on_train_begin", X=data.rows.X, y=data.y)
        try:
            self.fit_loop(data, epochs=epochs)
        finally:
            if self.history and "dur" not in self.history[-1]:
                self.history.pop()
            self.watch_ = None
            self.moves_.undo()
            self.notify("on_train_end", X=data.rows.X, y=data.y)
            self._set_training(False)
        return self

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train for up to ``epochs`` epochs, fewer where a callback stops.

        A callback stops by ``net.stop_training_ = True``, or, as skorch's own
        do, by ``KeyboardInterrupt`` at the end of an epoch. The user's Ctrl-C
        comes at any other time and is not swallowed.
        """
        train, valid = X.datasets()
        batches = EpochBatches(X, self.recipe_.sampler, self.rng_)
        while self.epochs_done_ < epochs and not self.stop_training_:
            self.done_ = self.epochs_done_ / epochs, (self.epochs_done_ + 1) / epochs
            self._one_epoch(X, batches, {"dataset_train": train, "dataset_valid": valid})
            self.epochs_done_ += 1
            try:
                self.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)
            except KeyboardInterrupt:
                self.stop_training_ = True
        return self

    def _one_epoch(self, data, batches, datasets):
        started = time.perf_counter()
        last_good = snapshot(self)
        self.notify("on_epoch_begin", **datasets)
        try:
            self._refresh(data)
            with self._trained_weights():
                self.run_single_epoch(
                    batches, training=True, prefix="train", step_fn=self.train_step
                )
                self._check_weights()
            if _distributed.is_active():
                # Each process normalized its own slices; one's statistics have to serve all.
                _distributed.agree(self.module_)
                if self.module_average_ is not None:
                    _distributed.agree(self.module_average_)
            self._record("train_loss", self.watch_.mean_loss(), math.inf, min)
            rows_per_second = self.watch_.n_rows / (time.perf_counter() - started)
            self.history.record("rows_per_second", rows_per_second)
            if data.validation is not None:
                self._record("valid_recall_at_1", self.validate(data), -math.inf, max)
        except FloatingPointError:
            restore(self, last_good)
            raise
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            restore(self, last_good)
            empty_cache()
            raise MemoryError(
                f"out of memory in epoch {len(self.history)}; lower batch_size (now "
                f"{self.batch_size}) or chunk_size, or use precision='bfloat16'. The weights of "
                f"the last epoch are kept"
            ) from error
        self.history.record("dur", time.perf_counter() - started)
        if _distributed.is_first():
            self.watch_.warn(len(self.history))

    def _settle_average(self):
        """Begin to average the weights, or go on, or end, as the recipe says."""
        decay, average = self.recipe_.ema_decay, self.module_average_
        if decay is None:
            self.module_average_ = None
        elif average is None:
            self.module_average_ = WeightAverage(self.module_, decay)
        else:
            average.decay = decay

    @contextmanager
    def _trained_weights(self):
        """Let the module hold the weights that are trained; elsewhere it holds their average."""
        average = self.module_average_
        if average is None:
            yield
            return
        average.swap(self.module_)
        try:
            yield
        finally:
            average.swap(self.module_)

    def _record(self, name, value, worst, better):
        """Record a value of the epoch, and whether it is the best so far, as skorch does."""
        best = better((row[name] for row in self.history[:-1] if name in row), default=worst)
        self.history.record(name, value)
        self.history.record(f"{name}_best", value != best and better(value, best) == value)

    def _refresh(self, data):
        """Show the training set, as embedded now, to the sampler and losses that ask for it."""
        self._show(data)
        if isinstance(self.recipe_.sampler, ClusterSampler):
            self.recipe_.sampler.follow(self.criterion_.clusters)

    def _show(self, data):
        askers = [asker for asker in (self.recipe_.sampler, self.criterion_) if _refreshes(asker)]
        if not askers:
            return
        features = {}
        if self.criterion_ in askers and wanted_features(self.criterion_):
            embeddings, pooled = self.embed(data.rows, data.train, also="features")
            features = {"features": pooled}
        else:
            embeddings = self.embed(data.rows, data.train)
        for asker in askers:
            if asker is self.recipe_.sampler:
                asker.refresh(embeddings, data.train_codes)
            else:
                asker.refresh(embeddings, data.targets, **features)

    def on_epoch_begin(self, net, **kwargs):
        """Begin a new row of the history; records of single batches are kept for one epoch."""
        if self.history:
            self.history[-1]["batches"].clear()
        super().on_epoch_begin(net, **kwargs)

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Do nothing: ``run_single_epoch`` keeps the record of the batch."""

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Train on every batch of an epoch."""
        self._freeze_backbone()
        self._set_training(True)
        batches = self.history[-1]["batches"]
        begin, end = self.done_ if self.scheduled_ else (0.0, 0.0)
        # A callback may want to see the loss of each batch at once.
        at_a_time = 1 if self.callbacks else BATCHES_PER_READING
        unread = []
        self.watch_.begin_epoch()
        for number, batch in enumerate(iterator):
            self._set_rates(begin + (end - begin) * number / iterator.n_batches)
            batches.append({"train_batch_size": len(batch.targets)})
            self.notify("on_batch_begin", batch=batch[:2], training=True)
            if not self.module_.training:  # a callback embedded something
                self._set_training(True)
            try:
                step = step_fn(batch)
            except FloatingPointError:  # it may have begun in a batch whose loss is not read yet
                self._read_losses(unread, batches[:-1])
                raise
            unread.append(step["loss"])
            self.watch_.see(step["y_pred"], batch)
            if len(unread) == at_a_time:
                self._read_losses(unread, batches)
            self.notify("on_batch_end", batch=batch[:2], training=True, **step)
        self._read_losses(unread, batches)

    def _freeze_backbone(self):
        """Freeze the backbone, or not, for the epoch that begins."""
        done = self.epochs_done_ if self.scheduled_ else len(self.history) - 1
        warming_up = done < self.recipe_.warmup_epochs
        self.backbone_frozen_ = warming_up or self.recipe_.rates["backbone"] == 0

    def _set_training(self, training=True):
        super()._set_training(training)
        if not training:
            return
        if self.backbone_frozen_:
            self.module_.backbone.eval()
        elif self.recipe_.freeze_batch_norm:
            for part in self.module_.backbone.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()

    def _set_rates(self, done):
        """Set the rates, and what else moves; a constant schedule leaves them to callbacks."""
        self.moves_(done)
        if not self.recipe_.schedule.constant:
            factor = self.recipe_.schedule.factor(done, self.max_epochs)
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
            self.watch_.count(value, batches[number]["train_batch_size"])
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss became {value} at batch {number + 1} of epoch {len(self.history)}; "
                    f"lower lr or proxy_lr, or look for extreme values in X. The weights of the "
                    f"last epoch are kept"
                )

    def _check_weights(self):
        """Check what the last step of an epoch may have broken: no loss has seen it yet."""
        parameters = [*self.module_.parameters(), *self.criterion_.parameters()]
        if not torch.stack([torch.isfinite(p).all() for p in parameters]).all():
            raise FloatingPointError(
                f"the weights became infinite or NaN at the end of epoch {len(self.history)}; "
                f"lower lr or proxy_lr. The weights of the last epoch are kept"
            )

    def train_step(self, batch, **fit_params):
        """Forward, backward and one step of the optimizer."""
        step = {}
        sparse = SparseRows(self.optimizer_, self.criterion_.parameters())

        def evaluate():
            sparse.put_back()
            loss, embeddings = self._backward(batch, sparse)
            # An optimizer may evaluate the batch again, at other weights; the first counts.
            step.setdefault("loss", loss.detach())
            step.setdefault("y_pred", embeddings.detach())
            return loss

        try:
            if self.scaler_.is_enabled() or not self.takes_closure_:
                evaluate()
                self.scaler_.step(self.optimizer_)
                self.scaler_.update()
            else:
                self.optimizer_.step(evaluate)
        finally:
            sparse.put_back()
        if self.module_average_ is not None:
            self.module_average_.update(self.module_)
        return step

    def _backward(self, batch, sparse):
        """Evaluate the loss of a batch and its gradient, of the rows that it is sparse in."""
        self._zero_grad_optimizer()
        embeddings, features, chunks = self._embed_batch(batch)
        targets, extra = batch.targets, batch.extra
        if self.criterion_.needs_views:
            targets = torch.cat([targets, targets])
            extra = {name: torch.cat([value, value]) for name, value in extra.items()}
        loss = self.criterion_(embeddings, targets, **extra, **features)
        if loss.ndim:
            name = type(self.criterion_).__name__
            raise ValueError(f"loss={name} must give one number, got shape {tuple(loss.shape)}")
        self.scaler_.scale(loss).backward()
        if chunks is not None:
            chunks.backward()
        sparse.take()
        if _distributed.is_active():
            _distributed.sum_gradients(self.module_.parameters())
            _distributed.average_gradients(self.criterion_.parameters())
        if self.scaler_.is_enabled():
            # Callbacks clip the gradient itself, not the scaled one.
            self.scaler_.unscale_(self.optimizer_)
        self.notify(
            "on_grad_computed",
            named_parameters=self.get_all_learnable_params(),
            batch=batch[:2],
            training=True,
        )
        return loss, embeddings

    def _embed_batch(self, batch):
        """Embed the rows of a training batch, those that other processes embed included.

        Returns the embeddings, the features as an argument of the loss, if it wants them, and the
        chunks that the way back is through, if there are several. Of two views the first of all
        rows come before the second of all.
        """
        also = wanted_features(self.criterion_)
        step = 1_000_000 * len(self.history) + len(self.history[-1]["batches"])
        with _distributed.own_randomness(step):
            parts, chunks = self._embed_own(self._views(batch.X), also)
        if _distributed.is_active():
            parts = tuple(self._gathered(part, len(batch.targets)) for part in parts)
        return parts[0], {} if also is None else {"features": parts[1]}, chunks

    def _embed_own(self, X, also):
        size = self.recipe_.chunk_size
        if size is not None and len(X) > size:
            check_chunks(self.module_, len(X), size)
            with buffers_kept(self.module_):
                chunks = Chunks(lambda rows: self._forward(rows, also), X, size)
            return chunks.outputs, chunks
        own = self._forward(X, also)
        return (own,) if also is None else own, None

    def _gathered(self, part, n):
        """Gather what each process made of its rows of a batch of n, view by view."""
        views = part.chunk(2 if self.criterion_.needs_views else 1)
        return torch.cat([_distributed.gather(view, n) for view in views])

    def _views(self, X):
        """Return a batch as it is trained on, changed at random once or, for two views, twice."""
        if not self.criterion_.needs_views:
            return self._augmented(X)
        return torch.cat([self._augmented(X), self._augmented(X)])

    def _augmented(self, X):
        if self.recipe_.augment is None:
            return X
        changed = self.recipe_.augment(X)
        if not isinstance(changed, torch.Tensor) or (
            changed.is_floating_point() != X.is_floating_point()
        ):
            kind = changed.dtype if isinstance(changed, torch.Tensor) else type(changed).__name__
            raise ValueError(f"augment must give a tensor of {X.dtype}, as it is given, got {kind}")
        if len(changed) != len(X):
            raise ValueError(
                f"augment must give one row for each row of a batch; of {len(X)} it made "
                f"{len(changed)}"
            )
        if changed.ndim != X.ndim or changed.shape[1] != X.shape[1]:
            raise ValueError(
                f"augment must keep the {'channels' if X.ndim == 4 else 'features'}; of "
                f"{tuple(X.shape)} it made {tuple(changed.shape)}"
            )
        return changed

    def records(self):
        """Return the history without the records of single batches and of what was best."""
        return [
            {
                name: value
                for name, value in row.items()
                if name not in ("batches", "train_loss_best", "valid_recall_at_1_best")
            }
            for row in self.history
        ]

    def validate(self, data):
        """Recall@1 of the held-out rows."""
        held = data.validation
        codes = torch.from_numpy(data.labels.codes).to(data.rows.device)
        queries = self.embed(data.rows, held.queries)
        gallery = self.embed(data.rows, held.gallery) if len(held.gallery) else queries[:0]
        return recall_at_1(queries, codes[held.queries], gallery, codes[held.gallery])


def _refreshes(asker):
    """Whether a sampler or a loss, or a part of one, wants to see the embedded training set."""
    if isinstance(asker, MetricLoss):
        return asker.refreshes
    return asker is not None and asker.due  # constraints are drawn without a sampler


def wanted_features(loss):
    """Name the features before the head that a loss wants in training: None, or of which kind."""
    if not loss.needs_features:
        return None
    if loss.needs_activations:
        return "activations"
    return "maps" if loss.needs_maps else "features"
