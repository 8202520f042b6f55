"""Networks from judgments that one pair is nearer than another."""

import numpy as np
import pytest
import torch
from helpers.embedders import Kill, assert_same_weights, make, quick, weights
from sklearn.model_selection import cross_val_score
from torch import nn

from metriclearn.constraints import Pairs, Quadruplets, Triplets
from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L
from metriclearn.deep import miners as M
from metriclearn.verification import QuadrupletClassifier


def judged(n=400, seed=0):
    """Rows, and quadruplets in order of a distance that looks at two of five columns."""
    rng = np.random.RandomState(seed)
    X = rng.randn(80, 5).astype(np.float32) * [1, 1, 3, 3, 3]
    indices = np.array([rng.choice(80, 4, replace=False) for _ in range(n)])
    # A third of them share a row: triplets.
    indices[::3, 2] = indices[::3, 0]
    near, far = (
        np.linalg.norm(X[indices[:, a], :2] - X[indices[:, b], :2], axis=1)
        for a, b in ((0, 1), (2, 3))
    )
    indices[near > far] = indices[near > far][:, [2, 3, 0, 1]]
    return X.astype(np.float32), Quadruplets(indices, n_rows=80)


def held(Z, indices):
    i, j, k, l = indices.T
    return np.linalg.norm(Z[i] - Z[j], axis=1) < np.linalg.norm(Z[k] - Z[l], axis=1)


@pytest.mark.parametrize("margins", [(1.0, 0.5), (0.0, 0.2), (0.3, 0.0), (50.0, 70.0)])
def test_loss_is_its_formula(margins):
    rng = np.random.RandomState(0)
    x = torch.tensor(rng.randn(12, 3), requires_grad=True)
    listed = torch.tensor(rng.randint(12, size=(40, 4)))
    loss = L.QuadrupletLoss(*margins)
    value = loss(x, None, M.MinedQuadruplets(*listed.T))
    value.backward()
    first, second = [], []
    z = x.detach().clone().requires_grad_()
    for i, j, k, l in listed.tolist():
        gap = ((z[i] - z[j]) ** 2).sum() - ((z[k] - z[l]) ** 2).sum()
        shared = bool({i, j} & {k, l})
        term = torch.clamp(gap + margins[not shared], min=0)
        (first if shared else second).append(term)
    active = [[t for t in terms if t > 0] for terms in (first, second)]
    expected = sum(sum(terms) / len(terms) for terms in active if terms)
    expected.backward()
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(x.grad, z.grad, rtol=1e-10, atol=1e-10)
    assert loss.active_ == sum(map(len, active))


def test_triplets_written_as_quadruplets_are_the_triplet_loss():
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).double()
    a, p, n = torch.arange(9).view(3, 3)
    ours = L.QuadrupletLoss(margin=0.7)(x, None, M.MinedQuadruplets(a, p, a, n))
    theirs = L.TripletLoss(margin=0.7)(x, None, M.MinedTriplets(a, p, n))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_and_nothing_listed(dtype):
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    none = torch.zeros(0, dtype=torch.int64)
    for listed in ([none] * 4, list(torch.tensor([[0, 0], [1, 0], [2, 3], [3, 3]]))):
        value = L.QuadrupletLoss()(x, None, M.MinedQuadruplets(*listed))
        value.backward()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert torch.isfinite(x.grad).all()
    with pytest.raises(ValueError, match="rows from 0 to 5, got 6"):
        L.QuadrupletLoss()(x, None, M.MinedQuadruplets(*torch.tensor([[0], [1], [2], [6]])))
    with pytest.raises(ValueError, match=r"TripletLoss accepts triplets as .* got quadruplets"):
        L.TripletLoss()(x, None, M.MinedQuadruplets(none, none, none, none))


def test_network_learns_the_order_of_new_judgments():
    X, quadruplets = judged()
    train, test = quadruplets.indices[:300], quadruplets.indices[300:]
    embedder = quick("linear", "quadruplet", max_epochs=12, lr=3e-2)
    Z = embedder.fit(X, constraints=Quadruplets(train)).transform(X)
    assert held(X, test).mean() < 0.75
    assert held(Z, test).mean() > 0.85
    assert embedder.classes_ is None


def test_one_step_is_the_mean_over_these_quadruplets():
    X, _ = make()
    indices = np.array([[0, 1, 2, 3], [4, 5, 4, 7], [8, 3, 9, 1], [1, 0, 2, 0]])
    start = quick("linear", "quadruplet", max_epochs=1, lr=1e-30)
    Z = start.fit(X, constraints=Quadruplets(indices)).transform(X).astype(float)
    i, j, k, l = indices.T
    gaps = ((Z[i] - Z[j]) ** 2).sum(1) - ((Z[k] - Z[l]) ** 2).sum(1)
    first, second = (np.maximum(0, gaps[at] + m) for at, m in (([1, 3], 1.0), ([0, 2], 0.5)))
    expected = sum(terms[terms > 0].mean() for terms in (first, second) if terms.any())
    assert start.history_[0]["train_loss"] == pytest.approx(expected, rel=1e-4)


KINDS = {
    "quadruplet": lambda rows: Quadruplets(rows),
    "triplet": lambda rows: Triplets(rows[:, [0, 1, 3]]),
    "contrastive": lambda rows: Pairs(rows[:, :2], np.arange(len(rows)) % 2),
    "ntxent": lambda rows: Pairs(rows[:, :2], np.ones(len(rows), dtype=bool)),
}


@pytest.mark.parametrize("loss", KINDS)
def test_run_on_judgments_is_killed_saved_and_averaged_as_on_labels(tmp_path, loss):
    X, quadruplets = judged(100)
    judgments = KINDS[loss](quadruplets.indices)
    params = {"loss": loss, "ema_decay": 0.9}
    whole = quick(**params).fit(X, constraints=judgments)
    killed = quick(**params, checkpoint=tmp_path, callbacks=[Kill(3)])
    with pytest.raises(KeyboardInterrupt):
        killed.fit(X, constraints=judgments)
    again = quick(**params, checkpoint=tmp_path).fit(X, constraints=judgments)
    assert_same_weights(again, whole)
    whole.save(tmp_path / "embedder")
    loaded = DeepEmbedder.load(tmp_path / "embedder")
    np.testing.assert_array_equal(loaded.transform(X), whole.transform(X))
    plain = {"optimizer": "sgd", "lr": 1e-2, "max_epochs": 2}
    chunked = quick("linear", loss, chunk_size=7, **plain).fit(X, constraints=judgments)
    at_once = quick("linear", loss, **plain).fit(X, constraints=judgments)
    for name, value in weights(at_once).items():
        np.testing.assert_allclose(weights(chunked)[name], value, atol=2e-6, err_msg=name)


def test_weights_draw_and_folds_split():
    X, quadruplets = judged(60)
    X[70:] = 1e30  # would make the loss overflow
    inside = (quadruplets.indices < 70).all(1)
    weighted = Quadruplets(quadruplets.indices, weights=inside.astype(float), n_rows=80)
    module = nn.Linear(5, 3)
    embedder = quick(module, "quadruplet", head_params={"normalize": False})
    assert embedder.fit(X, constraints=weighted).n_iter_ == 4
    X, quadruplets = judged(120)
    decider = QuadrupletClassifier(quick("linear", "quadruplet", lr=1e-2, max_epochs=20), points=X)
    assert cross_val_score(decider, quadruplets.indices, cv=3).mean() > 0.6


def test_losses_and_miners_that_cannot_are_named():
    X, quadruplets = judged(20)
    with pytest.raises(ValueError, match=r"'triplet' .* Quadruplets; these can: quadruplet$"):
        quick().fit(X, constraints=quadruplets)
    with pytest.raises(ValueError, match="'quadruplet' cannot be trained on Triplets"):
        quick(loss="quadruplet").fit(X, constraints=Triplets([[0, 1, 2]]))
    with pytest.raises(ValueError, match="'quadruplet' cannot be trained on Pairs"):
        quick(loss="quadruplet").fit(X, constraints=Pairs([[0, 1]], [True]))
    with pytest.raises(ValueError, match="it accepts quadruplets"):
        quick(loss="quadruplet", miner="semi_hard").fit(*make())
