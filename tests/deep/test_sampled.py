"""Losses with proxies on some of the classes at a time."""

import numpy as np
import pytest
import torch
from helpers.loss_batches import assert_equal
from sklearn.datasets import load_digits

from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L


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
