"""Data, quick embedders and callbacks that the tests of training share."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from metriclearn.deep import DeepEmbedder


def make(n_classes=6, n_rows=20, n_features=5, seed=0, apart=2.0):
    """Gaussian classes a little apart, in random order."""
    rng = np.random.RandomState(seed)
    y = rng.permutation(np.repeat(np.arange(n_classes), n_rows))
    X = rng.randn(n_classes, n_features)[y] * apart + rng.randn(len(y), n_features)
    return X.astype(np.float32), y


def quick(*args, **params):
    settings = {"max_epochs": 4, "batch_size": 32, "random_state": 0, "validation": None}
    return DeepEmbedder(*args, **{**settings, **params})


def weights(embedder):
    net = embedder.net_
    state = {**net.module_.state_dict(), **net.criterion_.state_dict(prefix="criterion.")}
    return {name: value.numpy().copy() for name, value in state.items()}


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Record(Callback):
    """Keep the weights of the backbone and the rates at each end of an epoch."""

    def on_train_begin(self, net, **kwargs):
        self.backbone_, self.rates_ = [self.look(net)], []

    def on_epoch_end(self, net, **kwargs):
        self.backbone_.append(self.look(net))
        self.rates_.append({group["part"]: group["lr"] for group in net.optimizer_.param_groups})

    def look(self, net):
        return {name: value.clone() for name, value in net.module_.backbone.state_dict().items()}


def recorded(embedder):
    return dict(embedder.net_.callbacks_)["Record"]


class Kill(Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_begin(self, net, **kwargs):
        if net.history[-1]["epoch"] == self.epoch:
            raise KeyboardInterrupt


def state_of(embedder, name):
    return dict(embedder.net_.callbacks_)[name]


class Rates(Callback):
    """Keep the rates that the optimizer used."""

    def on_train_begin(self, net, **kwargs):
        self.used_ = []

    def on_grad_computed(self, net, **kwargs):
        self.used_.append(net.optimizer_.param_groups[0]["lr"])


def digits_accuracy(**arguments):
    """Return the 3-NN accuracy of an embedder of these arguments on a held-out part of digits."""
    X, y = load_digits(return_X_y=True)
    A, B, a, b = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    scaler = StandardScaler().fit(A)
    A, B = scaler.transform(A), scaler.transform(B)
    embedder = DeepEmbedder(**{"random_state": 0, **arguments}).fit(A, a)
    return KNeighborsClassifier(3).fit(embedder.transform(A), a).score(embedder.transform(B), b)
