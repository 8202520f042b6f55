"""Losses with proxies on some of the classes at a time."""

import numpy as np
import pytest
import torch
from helpers.embedders import Kill, assert_same_weights, quick, weights
from helpers.loss_batches import assert_equal
from sklearn.datasets import load_digits
from skorch.callbacks import Callback, GradientNormClipping

from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L
from metriclearn.deep.training._sparse_rows import BY_NUMBER, SparseRows


def losses():
    sizes = {"n_classes": 9, "embedding_dim": 4}
    return [
        L.ArcFaceLoss(**sizes),
        L.NormalizedSoftmaxLoss(**sizes),
        L.SoftmaxLoss(**sizes),
        L.SubCenterArcFaceLoss(**sizes),
        L.ProxyAnchorLoss(**sizes),
    ]


def batch():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(7, 4, generator=rng, dtype=torch.float64), torch.tensor(
        [1, 1, 4, 7, 4, 7, 1]
    )


@pytest.mark.parametrize("number", range(len(losses())))
def test_it_is_the_loss_of_the_sampled_classes_alone(number):
    torch.manual_seed(0)
    loss = L.SampledProxies(losses()[number].double(), 0.5)
    embeddings, labels = batch()
    value = loss(embeddings.requires_grad_(), labels)
    chosen = loss.sampled_
    assert len(chosen) == 5
    assert {1, 4, 7} <= set(chosen.tolist())
    small = type(loss.loss)(n_classes=5, embedding_dim=4).double()
    centers = small.n_centers
    state = loss.loss.state_dict()
    state["proxies"] = state["proxies"].view(centers, 9, 4)[:, chosen].reshape(-1, 4)
    if "bias" in state:
        state["bias"] = state["bias"][chosen]
    small.load_state_dict(state)
    codes = torch.tensor([chosen.tolist().index(label) for label in labels.tolist()])
    expected = small(embeddings, codes)
    assert_equal(value, expected)
    ours = torch.autograd.grad(value, [embeddings, loss.loss.proxies])
    theirs = torch.autograd.grad(expected, [embeddings, small.proxies])
    assert_equal(ours[0], theirs[0])
    by_class = ours[1].view(centers, 9, 4)
    assert_equal(by_class[:, chosen].reshape(-1, 4), theirs[1])
    others = np.setdiff1d(np.arange(9), chosen)
    assert not by_class[:, others].any()
    assert loss.loss.n_classes == 9


@pytest.mark.parametrize("number", range(len(losses())))
def test_a_sparse_gradient_is_of_the_sampled_classes(number):
    embeddings, labels = batch()
    torch.manual_seed(0)
    inner = losses()[number].double()
    found = []
    for sparse in (False, True):
        torch.manual_seed(1)
        value = L.SampledProxies(inner, 0.5, sparse)(embeddings, labels)
        found.append(torch.autograd.grad(value, list(inner.parameters())))
    for dense, sparse in zip(*found, strict=True):
        assert sparse.is_sparse
        assert len(sparse.coalesce().values()) == 5 * (inner.n_centers if dense.ndim > 1 else 1)
        assert torch.equal(sparse.to_dense(), dense)


SETTINGS = {"SGD": {"lr": 0.1, "momentum": 0.9}, "Adam": {"amsgrad": True, "weight_decay": 0.1}}


@pytest.mark.parametrize("optimizer", BY_NUMBER, ids=lambda optimizer: optimizer.__name__)
def test_a_step_of_rows_is_the_step_of_a_parameter_of_these_rows(optimizer):
    """Each row is moved as if it were one of a parameter whose other rows are drawn with it."""
    settings = SETTINGS.get(optimizer.__name__, {})
    start = torch.randn(6, 3, dtype=torch.float64, generator=torch.manual_seed(0))
    parameter = torch.nn.Parameter(start.clone())
    made = optimizer([parameter], **settings)
    single = torch.nn.Parameter(start[2:4].clone())
    alone = optimizer([single], **settings)
    sparse = SparseRows(made, [parameter])
    for others in ([5], [], [0, 1]):
        rows = torch.tensor([2, 3, *others]).sort().values
        gradient = torch.randn(6, 3, dtype=torch.float64)
        parameter.grad = torch.sparse_coo_tensor(
            rows[None], gradient[rows], (6, 3), check_invariants=True
        )
        single.grad = gradient[2:4].clone()
        sparse.take()
        assert parameter.shape == (len(rows), 3)
        made.step()
        sparse.put_back()
        alone.step()
        assert_equal(parameter.data[2:4], single.data)
    assert torch.equal(parameter.data[4], start[4])
    assert not torch.equal(parameter.data[5], start[5])
    for name, value in made.state[parameter].items():
        if value.ndim:
            assert value.shape == (6, 3)
            assert_equal(value[2:4], alone.state[single][name])
            assert not value[4].any()


class Drawn(Callback):
    """Note the classes that any batch sampled."""

    def on_train_begin(self, net, **kwargs):
        self.drawn_ = set()
        self.before_ = net.criterion_.loss.proxies.detach().clone()

    def on_batch_end(self, net, **kwargs):
        self.drawn_ |= set(net.criterion_.sampled_.tolist())


RARE = {"loss": "sampled_proxies", "batch_size": 8, "max_epochs": 1}
RARE_X = np.random.RandomState(0).randn(60, 5).astype(np.float32)


@pytest.mark.parametrize(
    "params", [{}, {"optimizer": "sgd", "optimizer_params": {"momentum": 0.9}}]
)
def test_classes_that_are_not_sampled_stay_as_they_are(params):
    given = {"loss": "softmax", "share": 0.05, "sparse": True}
    embedder = quick(loss_params=given, callbacks=[Drawn()], **{**RARE, **params})
    embedder.partial_fit(RARE_X[:20], np.repeat(np.arange(10), 2), classes=np.arange(50))
    noted = dict(embedder.net_.callbacks_)["Drawn"]
    never = np.setdiff1d(np.arange(50), list(noted.drawn_))
    assert 0 < len(never) < 45
    loss = embedder.net_.criterion_.loss
    assert torch.equal(loss.proxies[never], noted.before_[never])
    assert not torch.equal(loss.proxies, noted.before_)
    for parameter in (loss.proxies, loss.bias):
        for value in embedder.net_.optimizer_.state[parameter].values():
            assert value.ndim == 0 or not value[never].any()


def test_a_run_of_sparse_steps_goes_on_to_the_bit(tmp_path):
    y = np.repeat(np.arange(20), 3)
    given = {"loss": "subcenter_arcface", "share": 0.2, "sparse": True}
    settings = {**RARE, "loss_params": given, "max_epochs": 3}
    whole = quick(**settings).fit(RARE_X, y)
    with pytest.raises(KeyboardInterrupt):
        quick(**settings, checkpoint=tmp_path, callbacks=[Kill(1)]).fit(RARE_X, y)
    resumed = quick(**settings, checkpoint=tmp_path).fit(RARE_X, y)
    assert_same_weights(resumed, whole)
    states = [e.net_.optimizer_.state_dict()["state"] for e in (resumed, whole)]
    for ours, theirs in zip(*(state.values() for state in states), strict=True):
        for name in ours:
            assert torch.equal(ours[name], theirs[name])
    dense = quick(**{**settings, "loss_params": {**given, "sparse": False}}).fit(RARE_X, y)
    assert not np.array_equal(
        weights(dense)["criterion.loss.proxies"], weights(whole)["criterion.loss.proxies"]
    )


def test_gradients_of_rows_can_be_clipped():
    y = np.repeat(np.arange(20), 3)
    settings = {**RARE, "loss_params": {"loss": "arcface", "share": 0.2, "sparse": True}}
    clipped = quick(**settings, callbacks=[GradientNormClipping(1e-3)], optimizer="sgd", lr=0.1)
    before = quick(**settings, optimizer="sgd", lr=1e-9).fit(RARE_X, y)
    after = weights(clipped.fit(RARE_X, y))["criterion.loss.proxies"]
    moved = np.linalg.norm(after - weights(before)["criterion.loss.proxies"])
    assert 0 < moved < 8 * 1e-3


def test_an_optimizer_of_whole_matrices_is_refused():
    settings = {**RARE, "loss_params": {"loss": "arcface", "sparse": True}}
    with pytest.raises(ValueError, match=r"sparse=True of the loss .* Rprop cannot; give sparse=F"):
        quick(**settings, optimizer=torch.optim.Rprop).fit(RARE_X, np.repeat(np.arange(20), 3))


def test_all_classes_are_the_loss_itself():
    embeddings, labels = batch()
    for loss in losses():
        loss = loss.double()
        plain = loss(embeddings, labels)
        assert_equal(L.SampledProxies(loss, 1.0)(embeddings, labels), plain)
        assert_equal(L.SampledProxies(loss, 0.2).eval()(embeddings, labels), plain)


def test_every_other_class_is_drawn_alike():
    torch.manual_seed(0)
    loss = L.SampledProxies(L.ArcFaceLoss(n_classes=20, embedding_dim=2), 0.3)
    counts = torch.zeros(20)
    for _ in range(600):
        loss(torch.randn(2, 2), torch.tensor([3, 3]))
        counts[loss.sampled_] += 1
    assert counts[3] == 600
    share = np.delete(counts.numpy(), 3) / 600
    assert abs(share - 5 / 19).max() < 5 * np.sqrt(5 / 19 * 14 / 19 / 600)


def test_by_name_it_learns_digits_and_is_saved(tmp_path):
    X, y = load_digits(return_X_y=True)
    embedder = DeepEmbedder(
        loss="sampled_proxies", loss_params={"loss": "normalized_softmax", "share": 0.3},
        max_epochs=8, random_state=0,
    ).fit(X[:900], y[:900])  # fmt: skip
    from sklearn.neighbors import KNeighborsClassifier

    neighbors = KNeighborsClassifier(3).fit(embedder.transform(X[:900]), y[:900])
    assert neighbors.score(embedder.transform(X[900:]), y[900:]) > 0.9
    embedder.save(tmp_path / "model")
    again = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(X), embedder.transform(X))


def test_one_error():
    with pytest.raises(ValueError, match="must be one with proxies, got SupConLoss"):
        L.SampledProxies(L.SupConLoss())
    embeddings, labels = batch()
    loss = L.SampledProxies(L.ArcFaceLoss(n_classes=5, embedding_dim=4))
    with pytest.raises(ValueError, match="labels from 0 to 4, got 7"):
        loss(embeddings.float(), labels)
