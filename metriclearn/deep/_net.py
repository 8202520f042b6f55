"""The skorch net inside :class:`DeepEmbedder`."""

import time

import torch
from skorch import NeuralNet

from metriclearn.deep._data import recall_at_1

# Losses are read from the device this many batches at a time: each reading
# makes an accelerator wait.
BATCHES_PER_READING = 64
VALUES_AT_A_TIME = 2**17


class TrainingData:
    """What one run trains on: rows, their codes, and what validates them.

    Parameters
    ----------
    rows : Rows
    train : ndarray of int
        Row numbers to train on.
    codes : ndarray of int, shape (len(train),)
        Class of each of them, as the loss counts classes.
    validation : Validation or None
    labels : ndarray of int, shape (len(rows),)
        Class of every row, for the validation.
    """

    def __init__(self, rows, train, codes, validation, labels):
        self.rows = rows
        self.train = train
        self.codes = codes
        self.validation = validation
        self.labels = labels

    def __len__(self):
        return len(self.train)


class EpochBatches:
    """Iterates over the batches of one epoch; each iteration draws another epoch."""

    def __init__(self, data, sampler, rng):
        self.data = data
        self.sampler = sampler
        self.rng = rng
        self.codes = torch.from_numpy(data.codes).to(data.rows.device)

    def __iter__(self):
        batches = self.sampler.epoch(self.data.codes, self.rng)
        self.n_batches = len(batches)
        for chosen in batches:
            yield self.data.rows.take(self.data.train[chosen]), self.codes[chosen]


class MetricNet(NeuralNet):
    """A skorch net that trains on index-array batches and validates by Recall@1.

    skorch brings the callbacks, the history and the pickling; the data path is
    our own: batches are cut from ``X`` as whole arrays, and validation never
    calls the loss, which is not defined on classes held out of training.

    Parameters
    ----------
    module : nn.Module
        Embeds a batch; trained in place.
    criterion : nn.Module
        Of ``(embeddings, codes)``; its parameters are trained as well.
    sampler : object
        See :mod:`metriclearn.deep.samplers`.
    rates : dict
        Learning rates of "backbone", "head" and "proxies".
    schedule : callable
        Share of the run that is done to a factor on the rates.
    rng : numpy.random.Generator
        Draws the batches.
    augment : callable or None
        Applied to each training batch.
    **settings
        skorch's own.
    """

    def __init__(
        self,
        module,
        criterion,
        *,
        sampler,
        rates,
        schedule,
        rng,
        optimizer_params,
        augment=None,
        **settings,
    ):
        # skorch takes every name without a trailing underscore for a parameter,
        # and, once initialised, every module for a part that is trained.
        self.augment_ = augment
        self.sampler_ = sampler
        self.rates_ = rates
        self.schedule_ = schedule
        self.rng_ = rng
        self.optimizer_params_ = optimizer_params
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
        groups = [
            {"params": parameters, "lr": self.rates_[name], "initial_lr": self.rates_[name]}
            for name, part in parts.items()
            if (parameters := list(part.parameters()))
        ]
        self.optimizer_ = self.optimizer(groups, **self.get_params_for("optimizer"))
        return self

    def get_params_for(self, prefix):
        """Return the parameters of an optimizer, as given; other parts are ready-made."""
        return self.optimizer_params_ if prefix == "optimizer" else {}

    def get_split_datasets(self, X, y=None, **fit_params):
        """Return the data as they are: the rows that validate were chosen before."""
        return X, None if X.validation is None else X

    def get_iterator(self, dataset, training=False):
        """Return the training batches, or, to validate, the data themselves."""
        return EpochBatches(dataset, self.sampler_, self.rng_) if training else dataset

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train for up to ``epochs`` epochs, fewer where a callback stops.

        A callback stops by ``net.stop_training_ = True``, or, as skorch's own
        do, by ``KeyboardInterrupt`` at the end of an epoch. The user's Ctrl-C
        comes at any other time and is not swallowed.
        """
        self.stop_training_ = False
        train, valid = self.get_split_datasets(X)
        batches = self.get_iterator(train, training=True)
        epochs = self.max_epochs if epochs is None else epochs
        for epoch in range(epochs):
            self.done_ = epoch / epochs, (epoch + 1) / epochs
            started = time.perf_counter()
            self.notify("on_epoch_begin", dataset_train=train, dataset_valid=valid)
            self.run_single_epoch(batches, training=True, prefix="train", step_fn=self.train_step)
            self.history.record("rows_per_second", len(train) / (time.perf_counter() - started))
            if valid is not None:
                self.history.record("valid_recall_at_1", self.validate(valid))
            self.history.record("dur", time.perf_counter() - started)
            try:
                self.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)
            except KeyboardInterrupt:
                break
            if self.stop_training_:
                break
        return self

    def train(self, data, epochs):
        """Train, with the callbacks told of begin and end, however it ends."""
        self.notify("on_train_begin", X=data, y=None)
        try:
            self.fit_loop(data, epochs=epochs)
        finally:
            self.notify("on_train_end", X=data, y=None)
            self._set_training(False)
        return self

    def on_epoch_begin(self, net, **kwargs):
        """Begin a new row of the history; records of single batches are kept for one epoch."""
        if len(self.history):
            self.history[-1]["batches"].clear()
        super().on_epoch_begin(net, **kwargs)

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Do nothing: ``run_single_epoch`` keeps the record of the batch."""

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Train on every batch of an epoch and record its mean loss."""
        self._set_training(True)
        batches = self.history[-1]["batches"]
        unread = []
        begin, end = self.done_
        for number, batch in enumerate(iterator):
            self._set_rates(begin + (end - begin) * number / iterator.n_batches)
            batches.append({"train_batch_size": len(batch[0])})
            self.notify("on_batch_begin", batch=batch, training=True)
            step = step_fn(batch)
            unread.append(step["loss"])
            if len(unread) == BATCHES_PER_READING:
                self._read_losses(unread, batches)
            self.notify("on_batch_end", batch=batch, training=True, **step)
        self._read_losses(unread, batches)
        n_rows = sum(b["train_batch_size"] for b in batches)
        total = sum(b["train_loss"] * b["train_batch_size"] for b in batches)
        self.history.record("train_loss", total / n_rows)

    def _set_rates(self, done):
        factor = self.schedule_(done)
        for group in self.optimizer_.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def _read_losses(self, unread, batches):
        """Move losses from the device to the records of the last batches."""
        if not unread:
            return
        values = torch.stack(unread).tolist()
        for record, value in zip(batches[-len(values) :], values, strict=True):
            record["train_loss"] = value
        unread.clear()

    def train_step(self, batch, **fit_params):
        """Forward, backward and one step of the optimizer."""
        X, codes = batch
        if self.augment_ is not None:
            X = self.augment_(X)
        self._zero_grad_optimizer()
        embeddings = self.module_(X)
        loss = self.criterion_(embeddings, codes)
        loss.backward()
        self.notify(
            "on_grad_computed",
            named_parameters=self.get_all_learnable_params(),
            batch=batch,
            training=True,
        )
        self._step_optimizer(None)
        return {"loss": loss.detach(), "y_pred": embeddings}

    def embed(self, rows, indices=None, batch_size=None):
        """Embed rows in evaluation mode.

        Parameters
        ----------
        rows : Rows
        indices : ndarray of int, default=None
            Row numbers; all rows by default.
        batch_size : int, default=None
            Rows at a time; by default the net's own ``batch_size``, or more
            where rows are so short that the calls would cost more than the work.

        Returns
        -------
        tensor of shape (n, embedding_dim), dtype float32
            On the net's device.
        """
        if self.module_.training:
            self.module_.eval()
        n = len(rows) if indices is None else len(indices)
        step = batch_size or max(self.batch_size, VALUES_AT_A_TIME // rows.X.shape[1])
        parts = []
        with torch.inference_mode():
            for start in range(0, n, step):
                part = slice(start, start + step)
                batch = rows.take(part if indices is None else indices[part])
                parts.append(self.module_(batch).float())
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def validate(self, data):
        """Recall@1 of the held-out rows."""
        held = data.validation
        labels = torch.from_numpy(data.labels).to(data.rows.device)
        queries = self.embed(data.rows, held.queries)
        gallery = self.embed(data.rows, held.gallery) if len(held.gallery) else queries[:0]
        return recall_at_1(queries, labels[held.queries], gallery, labels[held.gallery])
