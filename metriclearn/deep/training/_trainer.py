"""From the arguments of :class:`DeepEmbedder` to a net, and to a trained one."""

from types import SimpleNamespace

import numpy as np
import torch
from skorch.callbacks import PrintLog
from torch.nn.modules.batchnorm import _BatchNorm

from metriclearn._memory import large_blocks_kept
from metriclearn._progress import progress
from metriclearn.deep.callbacks import (
    BestWeights,
    ProgressBar,
    check_callbacks,
    copy_callbacks,
    settle_monitors,
)
from metriclearn.deep.losses._wrappers import Composite, MinedLoss
from metriclearn.deep.modules._input import Adapter
from metriclearn.deep.modules._parts import resolve
from metriclearn.deep.training import _distributed
from metriclearn.deep.training._arguments import copied, same, settled, shown
from metriclearn.deep.training._assembly import (
    build_augment,
    build_loss,
    build_network,
    build_sampler,
    find_loss,
    find_terms,
    head_before_loss,
    settle_head,
    with_miner,
)
from metriclearn.deep.training._checkpoint import checkpoint_of
from metriclearn.deep.training._data import ConstraintData
from metriclearn.deep.training._moving import MovingArguments
from metriclearn.deep.training._net import MetricNet
from metriclearn.deep.training._optimizer import find_optimizer
from metriclearn.deep.training._recipe import PRECISIONS, Recipe, Schedule
from metriclearn.deep.training._seeding import (
    check_device,
    generator_states,
    seed_generators,
    seeded,
    spawn_seeds,
)

# Arguments that make the network, which a warm start goes on with.
OF_THE_NETWORK = (
    "module",
    "module_params",
    "n_components",
    "head_params",
    "image_shape",
    "image_size",
)
OF_THE_LOSS = {"loss", "loss_params", "miner", "miner_params"}
OF_THE_SAMPLER = {"sampler", "sampler_params", "batch_size"}
# Arguments that what is trained does not depend on.
FREE = {"max_epochs", "checkpoint", "verbose", "device", "compile", "warm_start", "callbacks"}


class Trainer:
    """Makes a net by the arguments of an embedder, keeps it in step with them, and trains it.

    Parameters
    ----------
    arguments : dict
        Of the embedder's constructor.
    """

    def __init__(self, arguments):
        self.arguments = arguments
        self.args = SimpleNamespace(**settled(arguments))

    def loss_says(self, name):
        """Return what the loss declares under the name of a class attribute of MetricLoss.

        The loss is not made yet: it may be a class, or a module that declares nothing, which is
        None. A wrapper by name says what the loss inside says, a sum what one of its losses says.
        """
        terms = find_terms(self.args.loss, self.args.loss_params)
        if terms and isinstance(vars(Composite).get(name), property):
            answers = [_said(term, name) for term, _ in terms]
            return next((said for said in answers if said), None if None in answers else False)
        losses = [self.args.loss, (self.args.loss_params or {}).get("loss")]
        for loss in losses:
            said = None if loss is None else _said(find_loss(loss), name)
            if not isinstance(said, property):
                break
        return said

    @property
    def needs_labels(self):
        """Whether the loss cannot do without labels."""
        return self.loss_says("needs_labels") is not False

    def make_sampler(self, *, continuous=False):
        """Make the sampler of the batches."""
        return build_sampler(
            self.args.sampler,
            self.args.sampler_params,
            self.args.batch_size,
            balanced=not continuous and self.loss_says("needs_labels") is not False,
            unlabeled=bool(self.loss_says("keeps_unlabeled")),
            divided=bool(self.loss_says("divides")),
        )

    def seeds(self):
        """Return independent seeds of the split, the batches and the weights."""
        return spawn_seeds(self.args.random_state)

    def build(
        self, inputs, X, sampler, n_classes, n_samples, seeds, amounts=None, feature_shape=None
    ):
        """Make network, loss and net, all from their own seed.

        Parameters
        ----------
        inputs : Inputs
            Whose ``integers`` is settled by what the module takes.
        X : ndarray
        sampler : object or None
            None for constraints.
        n_classes : int or None
            None without classes.
        n_samples : int
            Rows to train on.
        seeds : list of SeedSequence
        amounts : ndarray, default=None
            Labels to train on, where these are amounts: losses may scale themselves by them.
        feature_shape : tuple of int, default=None
            Of what the backbone makes of a row, where that is known; then no row is read.

        Returns
        -------
        MetricNet
        """
        args = self.args
        device = self.device()
        optimizer = find_optimizer(args.optimizer, args.optimizer_params)
        self.check()
        rows = inputs.rows(X, "cpu")
        with seeded(device):
            seed_generators(device, _number(seeds[2]))
            network = build_network(
                args.module,
                args.module_params,
                args.n_components,
                head_before_loss(args.head_params),
                rows,
                feature_shape,
            )
            inputs.integers, inputs.channels_last = rows.integers, rows.channels_last
            sizes = {
                "n_classes": n_classes,
                "embedding_dim": network.head.embedding_dim,
                "n_samples": n_samples,
                "feature_dim": network.head.feature_dim,
            }
            criterion = self._make_loss(sizes, sampler is not None, amounts)
            settle_head(network.head, args.head_params, criterion)
            net = MetricNet(
                network,
                criterion,
                recipe=self._recipe(sampler, inputs, criterion),
                rng=np.random.default_rng(seeds[1]),
                inputs=inputs,
                optimizer=optimizer,
                lr=args.lr,
                batch_size=args.batch_size,
                callbacks=copy_callbacks(args.callbacks),
                device=device,
            ).initialize()
            net.generators_ = generator_states(device)
        net.sizes_, net.mined_ = sizes, sampler is not None
        net.arguments_ = copied(self.arguments)
        return net

    def update(self, net, sampler, amounts=None):
        """Bring a net in step with arguments that were changed since it was built or updated.

        Parameters
        ----------
        net : MetricNet
        sampler : object or None
            None for constraints.
        amounts : ndarray, default=None
            As in :meth:`build`.
        """
        args, changed = self.args, self._changed(net)
        for name in OF_THE_NETWORK:
            if name in changed:
                before, now = net.arguments_[name], self.arguments[name]
                raise ValueError(
                    f"{name} was changed from {before!r} to {now!r}, but training goes on with "
                    f"the network as it is; fit a clone, or set warm_start=False"
                )
        mined = sampler is not None
        self.check()
        optimizer = find_optimizer(args.optimizer, args.optimizer_params)
        self.move(net)
        if "random_state" in changed:
            seeds = self.seeds()
            net.rng_ = np.random.default_rng(seeds[1])
            with seeded(net.device):
                seed_generators(net.device, _number(seeds[2]))
                net.generators_ = generator_states(net.device)
        before = net.recipe_
        new_loss = bool(changed & OF_THE_LOSS)
        if new_loss:
            with seeded(net.device, net.generators_):
                criterion = self._make_loss(net.sizes_, mined, amounts)
                net.generators_ = generator_states(net.device)
            settle_head(net.module_.head, args.head_params, criterion)
            net.criterion_ = criterion.to(net.device)
        elif mined != net.mined_:
            net.criterion_ = self._remined(net.criterion_, mined)
        net.mined_ = mined
        if not changed & OF_THE_SAMPLER and type(sampler) is type(before.sampler):
            sampler = before.sampler  # which may know the training set
        net.recipe_ = self._recipe(sampler, net.inputs_, net.criterion_)
        net.batch_size, net.lr, net.optimizer = args.batch_size, args.lr, optimizer
        frozen = [
            {name: rate == 0 for name, rate in r.rates.items()} for r in (before, net.recipe_)
        ]
        if new_loss or changed & {"optimizer", "optimizer_params"} or frozen[0] != frozen[1]:
            net.initialize_optimizer()
        elif before.rates != net.recipe_.rates:
            for group in net.optimizer_.param_groups:
                group["lr"] = group["initial_lr"] = net.recipe_.rates[group["part"]]
        elif changed & {"schedule", "schedule_params"}:
            for group in net.optimizer_.param_groups:
                group["lr"] = group["initial_lr"]
        if "precision" in changed:
            net.initialize_scaler()
        if "callbacks" in changed:
            net.callbacks = copy_callbacks(args.callbacks)
            net.initialize_callbacks()
        net.arguments_ = copied(self.arguments)

    def check(self):
        """Check the arguments that no part checks when it is made."""
        resolve("precision", self.args.precision, PRECISIONS)
        schedule, _ = self._schedules()
        check_callbacks(self.args.callbacks, not schedule.constant)

    def device(self):
        """Return the name of the device to use."""
        return _distributed.start(check_device(self.args.device))

    def move(self, net):
        """Move a net to the device of the arguments, where that was changed."""
        if str(net.arguments_["device"]) != str(self.args.device):
            net.move(self.device())
            net.arguments_["device"] = self.args.device

    def unused(self, net, data):
        """Say when the arguments that a fit does not use are used.

        Parameters
        ----------
        net : MetricNet
        data : LabeledData or ConstraintData

        Returns
        -------
        dict of str to str
        """
        args, parts = self.args, net.trained_parts()
        empty = {name for name, part in parts.items() if not any(True for _ in part.parameters())}
        unused = {}
        if data.validation is None:
            held = "where rows are held out, as by validation='stratified'"
            unused = {"patience": held, "validation_fraction": held}
        elif not isinstance(args.validation, str):
            unused = {"validation_fraction": "where validation is no list of rows"}
        if isinstance(data, ConstraintData):
            of_labels = ("sampler", "sampler_params", "miner_params")
            unused |= dict.fromkeys(of_labels, "when fitting from labels")
        if "proxies" in empty:
            unused["proxy_lr"] = "by losses that have parameters"
        if "backbone" in empty:
            trained = "by modules that have parameters"
            unused |= {"backbone_lr": trained, "warmup_epochs": trained}
        if "head" in empty and args.backbone_lr and (args.proxy_lr or "proxies" in empty):
            unused["lr"] = "for a head, which n_components makes"
        if not any(isinstance(part, _BatchNorm) for part in parts["backbone"].modules()):
            unused["freeze_batch_norm"] = "by modules that have batch normalization"
        return unused

    def run(self, net, data, *, whole=True):
        """Train a net.

        Parameters
        ----------
        net : MetricNet
        data : LabeledData or ConstraintData
        whole : bool, default=True
            Whether this is a whole ``fit``; else one epoch, with the rates as they are at the
            beginning of one, without checkpoint.
        """
        args, epochs = self.args, self._epochs(len(data)) if whole else 1
        patience = max(5, 3 * epochs // 10) if args.patience == "auto" else args.patience
        start = None
        if data.validation is not None and isinstance(net.module_.backbone, Adapter):
            start = net.validate(data)  # it begins as a metric, which may be the best
        best = BestWeights(patience=patience, start=start)
        own = [] if data.validation is None else [("best_weights", best)]
        settle_monitors(net.callbacks_, data.validation is not None, whole)
        verbose = args.verbose if _distributed.is_first() else 0
        prints = any(isinstance(callback, PrintLog) for _, callback in net.callbacks_)
        net.verbose = verbose or int(prints)
        if verbose and (defaults := shown(self.arguments)):
            print(defaults)
        with (
            large_blocks_kept(),
            seeded(net.device, net.generators_),
            progress(verbose, "DeepEmbedder", total=epochs) as advance,
        ):
            if whole and args.checkpoint is not None:
                own.append(("checkpoint", self._checkpoint(data, epochs, best)))
            if verbose:
                own.append(("progress_bar", ProgressBar(advance)))
            theirs = net.callbacks_
            # Ours first: what a callback does to the weights at the end is not undone.
            net.callbacks_ = [*own, *theirs]
            try:
                net.train(data, epochs, scheduled=whole)
            finally:
                net.callbacks_ = theirs
                net.generators_ = generator_states(net.device)
                net.best_epoch_ = best.best_epoch_

    def _checkpoint(self, data, epochs, best):
        return checkpoint_of(self.arguments, FREE, epochs, data, best)

    def _epochs(self, n_rows):
        if self.args.max_epochs != "auto":
            return self.args.max_epochs
        return int(np.clip(2000 * self.args.batch_size / n_rows, 20, 100))

    def _make_loss(self, sizes, mined, amounts):
        args = self.args
        sizes = {**sizes, "labels": None if amounts is None else torch.as_tensor(amounts)}
        miner = args.miner if mined else None
        params = args.miner_params if mined else None
        return build_loss(args.loss, args.loss_params, miner, params, sizes)

    def _remined(self, criterion, mined):
        """Take the miner off a loss that constraints come to, or put it back for labels."""
        if mined:
            return with_miner(criterion, self.args.miner, self.args.miner_params)
        return criterion.loss if isinstance(criterion, MinedLoss) else criterion

    def _recipe(self, sampler, inputs, criterion):
        args = self.args
        rates = {
            "head": args.lr,
            "backbone": args.lr if args.backbone_lr is None else args.backbone_lr,
            "proxies": 10 * args.lr if args.proxy_lr is None else args.proxy_lr,
        }
        return Recipe(
            sampler,
            rates,
            *self._schedules(),
            isinstance(criterion, MinedLoss) and not self._is_mined(),
            args.optimizer_params or {},
            build_augment(args.augment, inputs, criterion.needs_views),
            args.precision,
            args.freeze_batch_norm,
            args.warmup_epochs,
            args.chunk_size,
            args.ema_decay,
            args.compile,
        )

    def _schedules(self):
        """Make what moves the rates, and what moves arguments of the loss and the miner."""
        params = self.args.schedule_params or {}
        of_parts = {name: value for name, value in params.items() if "__" in name}
        of_rates = {name: value for name, value in params.items() if name not in of_parts}
        return Schedule(self.args.schedule, of_rates), MovingArguments(of_parts)

    def _is_mined(self):
        """Whether the loss that was given has a miner of its own."""
        loss = find_loss(self.args.loss)
        return isinstance(loss, MinedLoss) or loss is MinedLoss

    def _changed(self, net):
        before = net.arguments_
        return {name for name, value in self.arguments.items() if not same(value, before[name])}


def _said(loss, name):
    return getattr(loss, name, None)


def _number(seed):
    return int(seed.generate_state(1)[0])
