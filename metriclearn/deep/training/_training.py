"""How :class:`DeepEmbedder` makes its net and trains it."""

import copy

import numpy as np
import torch

from metriclearn._progress import progress
from metriclearn.deep._parts import check_params, resolve
from metriclearn.deep.callbacks import BestWeights, ProgressBar, check_callbacks
from metriclearn.deep.training import _distributed
from metriclearn.deep.training._assembly import (
    OPTIMIZERS,
    build_augment,
    build_loss,
    build_network,
    build_sampler,
    settle_length,
)
from metriclearn.deep.training._checkpoint import Checkpoint, fingerprint
from metriclearn.deep.training._net import MetricNet
from metriclearn.deep.training._recipe import PRECISIONS, Recipe
from metriclearn.deep.training._schedules import SCHEDULES
from metriclearn.deep.training._seeding import (
    check_device,
    generator_states,
    seed_generators,
    seeded,
)


class TrainingMixin:
    """From arguments to a net, and from a net and data to a trained one."""

    def _build_sampler(self):
        return build_sampler(self.sampler, self.sampler_params, self.batch_size)

    def _build_net(self, X, classes, n_samples, sampler, seeds, labels=None):
        """Make network, loss and net, all from their own seed."""
        device = _distributed.start(check_device(self.device))
        rows = self._rows(X, "cpu")
        optimizer = resolve("optimizer", self.optimizer, OPTIMIZERS)
        check_params("optimizer", optimizer, self.optimizer_params or {}, ("params", "lr"))
        if "lr" in (self.optimizer_params or {}):
            raise ValueError("optimizer_params has 'lr'; give lr, backbone_lr or proxy_lr instead")
        resolve("precision", self.precision, PRECISIONS)
        check_callbacks(self.callbacks)
        with seeded(device):
            seed_generators(device, int(seeds[2].generate_state(1)[0]))
            network = build_network(
                self.module, self.module_params, self.n_components, self.head_params, rows
            )
            sizes = {
                "n_classes": None if classes is None else len(classes),
                "embedding_dim": network.head.embedding_dim,
                "n_samples": n_samples,
                "labels": None if labels is None else torch.as_tensor(labels),
            }
            miner = None if sampler is None else self.miner
            criterion = build_loss(self.loss, self.loss_params, miner, self.miner_params, sizes)
            settle_length(network.head, self.head_params, criterion)
            recipe = Recipe(
                sampler,
                self._rates(),
                resolve("schedule", self.schedule, SCHEDULES),
                self.optimizer_params or {},
                build_augment(self.augment, rows),
                self.precision,
                self.freeze_batch_norm,
                self.warmup_epochs,
                self.compile,
            )
            net = MetricNet(
                network,
                criterion,
                recipe=recipe,
                rng=np.random.default_rng(seeds[1]),
                optimizer=optimizer,
                batch_size=self.batch_size,
                callbacks=copy.deepcopy(self.callbacks),
                device=device,
            ).initialize()
            net.generators_ = generator_states(device)
        self.net_ = net
        self._n_samples = n_samples
        self.classes_ = self._known_classes = classes
        self._n_features_out = network.head.embedding_dim

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

    def _train(self, data, epochs, checkpoint=None, scheduled=True):
        net = self.net_
        patience = max(5, 3 * epochs // 10) if self.patience == "auto" else self.patience
        best = BestWeights(patience=patience)
        own = [] if data.validation is None else [("best_weights", best)]
        verbose = self.verbose if _distributed.is_first() else 0
        with (
            seeded(net.device, net.generators_),
            progress(verbose, type(self).__name__, total=epochs) as advance,
        ):
            if checkpoint is not None:
                if self.random_state is None:
                    raise ValueError(
                        "checkpoint needs random_state, or the run could not be recognized"
                    )
                run = fingerprint({**self._settings(), "epochs": epochs}, data)
                own.append(("checkpoint", Checkpoint(checkpoint, run, best)))
            if verbose:
                own.append(("progress_bar", ProgressBar(advance)))
            theirs = net.callbacks_
            net.callbacks_ = [*theirs, *own]
            try:
                net.train(data, epochs, scheduled)
            finally:
                net.callbacks_ = theirs
                net.generators_ = generator_states(net.device)
                self._record(best)
        return self

    def _settings(self):
        """Arguments that what is trained depends on."""
        free = {"checkpoint", "verbose", "device", "compile", "warm_start", "callbacks"}
        return {k: v for k, v in self.get_params(deep=False).items() if k not in free}

    def _record(self, best):
        self.history_ = [
            {key: value for key, value in row.items() if key != "batches"}
            for row in self.net_.history
        ]
        self.n_iter_ = len(self.history_)
        self.best_epoch_ = getattr(best, "best_epoch_", None) or self.n_iter_
