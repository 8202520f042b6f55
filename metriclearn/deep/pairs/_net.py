"""From the arguments of a pair network to a trained net."""

import math
from contextlib import contextmanager

import numpy as np
import torch
from skorch import NeuralNet
from torch import nn
from torch.utils.data import DataLoader, RandomSampler

from metriclearn.deep.pairs._rows import PairData, PairRows, tower_rows
from metriclearn.deep.pairs._scorer import PairScorer
from metriclearn.deep.samplers._class_samplers import cut_into_batches
from metriclearn.deep.training._assembly import ask_for_images, build_augment, build_network
from metriclearn.deep.training._checkpoint import checkpoint_of
from metriclearn.deep.training._seeding import check_device, seed_generators, seeded, spawn_seeds

# Arguments that what is trained does not depend on; points are known by their rows.
FREE = {"max_epochs", "checkpoint", "verbose", "device", "points"}


class PairsNet(NeuralNet):
    """skorch's net with epochs of our own: a checkpoint goes on with them, Ctrl-C ends them.

    skorch itself takes Ctrl-C for the end of the training. The rate falls to zero along a cosine.
    """

    #: What a checkpoint keeps of other nets; the order of the pairs is drawn by torch.
    rng_ = sampler_ = scaler_ = module_average_ = None

    def train(self, data, args):
        """Train, from the beginning or from where a checkpoint stopped.

        Parameters
        ----------
        data : PairData or TowerData
        args : dict
            Of the estimator's constructor.
        """
        self.initialize()
        self.epochs_done_, self.stop_training_ = 0, False
        own = self.callbacks_
        if args["checkpoint"] is not None:
            checkpoint = checkpoint_of(args, FREE, self.max_epochs, data)
            self.callbacks_ = [*own, ("checkpoint", checkpoint)]
        drawn = _Batches(RandomSampler(data), self.batch_size)
        batches = DataLoader(data, batch_sampler=drawn, collate_fn=_as_it_is)
        sets = {"dataset_train": data, "dataset_valid": None}
        try:
            self.notify("on_train_begin", X=data, y=None)
            while self.epochs_done_ < self.max_epochs and not self.stop_training_:
                for group in self.optimizer_.param_groups:
                    done = self.epochs_done_ / self.max_epochs
                    group["lr"] = self.lr * (1 + math.cos(math.pi * done)) / 2
                self.notify("on_epoch_begin", **sets)
                self.run_single_epoch(
                    batches, training=True, prefix="train", step_fn=self.train_step
                )
                self.epochs_done_ += 1
                self.notify("on_epoch_end", **sets)
        finally:
            self.notify("on_train_end", X=data, y=None)
            self.callbacks_ = own
        return self


class WeightedHinge(nn.Module):
    """Mean of ``w max(0, 1 - y o)`` over scores o, with y = ±1 and weights w in two columns."""

    def forward(self, scores, targets):
        """Return the mean."""
        sign, weight = targets.T
        return (weight * (1 - sign * scores).relu()).mean()


def make_scorer(args, inputs, rows, pairs, feature_shapes=None):
    """Make the network of a wiring, sized by what its towers see.

    Parameters
    ----------
    args : dict
        Of the estimator's constructor.
    inputs : Inputs
    rows : Rows
        On the CPU.
    pairs : ndarray of int, shape (n, 2)
    feature_shapes : list of tuple, default=None
        Of what the towers' backbones make of a row, where that is known; then no row is read.

    Returns
    -------
    PairScorer
    """
    wiring = args["wiring"]
    if wiring == "central_surround" and inputs.image_shape is None:
        ask_for_images(f"wiring={wiring!r}", inputs.n_features)
    seen = tower_rows(rows, pairs, wiring)
    shapes = feature_shapes or [None] * len(seen)
    head = {"normalize": False, "pooling": "flatten", **(args["head_params"] or {})}
    towers = [
        build_network(
            args["module"], args["module_params"], args["n_components"], head, view, shape
        )
        for view, shape in zip(seen, shapes, strict=True)
    ]
    inputs.integers = rows.integers
    augment = build_augment(args["augment"], inputs)
    return PairScorer(towers, wiring, args["hidden_units"], args["symmetric"], augment)


def make_net(args, module, criterion=WeightedHinge, kind=PairsNet, **settings):
    """Make the net around a module, not trained yet.

    Parameters
    ----------
    args : dict
        Of the estimator's constructor, and "epochs" where it is to be trained.
    module : nn.Module
    criterion : type or nn.Module, default=WeightedHinge
    kind : type, default=PairsNet
    **settings
        Of the kind.
    """
    epochs = args.get("epochs") or 1
    return kind(
        module,
        criterion,
        optimizer=torch.optim.Adam,
        optimizer__weight_decay=args["weight_decay"],
        lr=args["lr"],
        batch_size=args["batch_size"],
        max_epochs=epochs,
        iterator_valid__collate_fn=_as_it_is,
        train_split=None,
        device=check_device(args["device"]),
        verbose=args["verbose"],
        **settings,
    )


def automatic_epochs(estimator, n_pairs):
    """Return the epochs to train for on so many pairs."""
    if estimator.max_epochs != "auto":
        return estimator.max_epochs
    return int(np.clip(2000 * estimator.batch_size / n_pairs, 20, 100))


@contextmanager
def seeded_by(random_state, device):
    """Run on a device, by name, with generators seeded by ``random_state``."""
    device = check_device(device)
    with seeded(device):
        seed_generators(device, int(spawn_seeds(random_state)[2].generate_state(1)[0]))
        yield device


def epochs_of(net):
    """Return the number, the mean loss and the seconds of each epoch."""
    return [
        {"epoch": row["epoch"], "train_loss": float(row["train_loss"]), "dur": row["dur"]}
        for row in net.history
    ]


def train(network, inputs, X, pairs, same, weights):
    """Train a net on pairs.

    Parameters
    ----------
    network : PairNetwork
    inputs : Inputs
    X : ndarray of shape (n_rows, n_features)
    pairs : ndarray of int, shape (n, 2)
    same : ndarray of bool, shape (n,)
    weights : ndarray of shape (n,) or None

    Returns
    -------
    PairsNet
    """
    args = network.get_params(deep=False)
    epochs = automatic_epochs(network, len(pairs))
    weights = np.ones(len(pairs)) if weights is None else weights / weights.mean()
    targets = np.column_stack([np.where(same, 1, -1), weights]).astype(np.float32)
    with seeded_by(args["random_state"], args["device"]) as device:
        scorer = make_scorer(args, inputs, inputs.rows(X, "cpu"), pairs)
        net = make_net({**args, "epochs": epochs}, scorer)
        data = PairData(PairRows(inputs.rows(X, device), pairs), torch.from_numpy(targets))
        net.train(data, args)
    return net


def scores(net, inputs, X, pairs):
    """Return the score of each pair, float64."""
    rows = PairRows(inputs.rows(X, net.device), pairs)
    return net.predict(PairData(rows)).astype(np.float64)


class _Batches:
    """Row numbers of the batches; a last one alone, which cannot be normalized, joins another."""

    def __init__(self, order, batch_size):
        self._order, self._batch_size = order, batch_size

    def __iter__(self):
        order = np.fromiter(self._order, dtype=np.intp)
        return (part.tolist() for part in cut_into_batches(order, self._batch_size))


def _as_it_is(batch):
    return batch
