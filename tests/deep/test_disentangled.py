"""Losses that learn what classes share, or differ in, beside what they are."""

import math

import pytest
import torch
from helpers import loss_loops as loops
from helpers.loss_batches import assert_equal, batch
from torch.nn.functional import normalize

from metriclearn.deep import losses as L
from metriclearn.deep import miners as M
from metriclearn.deep.losses._characteristics import without_classes
from metriclearn.deep.tensors._selections import Reference

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 2, 3, 0, 0])

# Miners -----------------------------------------------------------------------------------------


def triples(labels, columns, right):
    """All (a, p, n) of different columns of which ``right(their labels)``."""
    n = range(len(columns))
    return {
        (a, p, q)
        for a in range(len(labels))
        for p in n
        for q in n
        if len({a, p, q}) == 3 and right(labels[a], columns[p], columns[q])
    }


RULES = {
    M.ThreeClassMiner: lambda a, p, q: len({int(a), int(p), int(q)}) == 3,
    M.WithinClassMiner: lambda a, p, q: a == p == q,
}


@pytest.mark.parametrize("miner", RULES, ids=lambda miner: miner.__name__)
@pytest.mark.parametrize("referenced", [False, True])
def test_triplets_are_all_those_of_the_rule(miner, referenced):
    labels, others = (LABELS[:6], LABELS[6:]) if referenced else (LABELS, LABELS[:0])
    reference = Reference(torch.zeros(len(others), 3), others) if referenced else None
    every = triples(labels, LABELS, RULES[miner])
    generator = torch.Generator().manual_seed(0)
    drawn = miner(400, generator)(torch.zeros(len(labels), 3), labels, reference)
    assert {tuple(row) for row in torch.stack(drawn, 1).tolist()} == every
    anchors = {a for a, _, _ in every}
    assert len(drawn.anchor) == 400 * len(anchors)


@pytest.mark.parametrize("miner", RULES, ids=lambda miner: miner.__name__)
@pytest.mark.parametrize("labels", [[0], [0, 0], [0, 1], [0, 0, 1, 1]])
def test_where_there_are_none_none_are_drawn(miner, labels):
    drawn = miner(3)(torch.zeros(len(labels), 2), torch.tensor(labels))
    assert [len(rows) for rows in drawn] == [0, 0, 0]


# Characteristics that classes share -------------------------------------------------------------


def characteristics(**params):
    torch.manual_seed(0)
    params = {"n_clusters": 3, "noise": 0.0, **params}
    loss = L.SharedCharacteristicsLoss(
        L.ProxyAnchorLoss(), **params, feature_dim=5, embedding_dim=3, n_samples=20
    )
    return loss.build(4, 3, 20, 5).double()


def test_shared_characteristics_loss_is_its_formula():
    embeddings, labels = batch()
    loss = characteristics(weight=0.7, separation=11.0)
    features = torch.randn(len(labels), 5, dtype=torch.float64)
    loss.assignment.copy_(torch.arange(20) % 3)
    at = torch.tensor([3, 8, 1, 0, 19, 12, 7, 6, 5, 10])
    shared = torch.stack([loops.unit([loss.head(f)])[0] for f in features])
    by_hand = loss.loss(embeddings, labels) + 0.7 * loss.shared_loss(shared, at % 3)
    overlap = []
    for z, u in zip(embeddings, shared, strict=True):
        guess = loss.separator.predictor(u)
        overlap += [(a * b) ** 2 for a, b in zip(z / z.norm(), guess / guess.norm(), strict=True)]
    by_hand = by_hand - 11.0 * 3 * 3 * loops.mean(overlap)
    assert_equal(loss(embeddings, labels, indices=at, features=features), by_hand)


def test_the_embeddings_are_driven_apart_and_the_predictor_finds_them():
    """Of the last term the predictor gets the gradient, the embeddings its negative."""
    embeddings, labels = batch()
    features = torch.randn(len(labels), 5, dtype=torch.float64)
    at = torch.arange(10)
    loss = characteristics(weight=0.0, separation=11.0)
    loss.assignment.zero_()
    leaves = [loss.head.weight, *loss.separator.parameters()]
    ours = torch.autograd.grad(loss(embeddings, labels, indices=at, features=features), leaves)
    guess = normalize(loss.separator.predictor(normalize(loss.head(features), dim=1)), dim=1)
    plain = -11.0 * 9 * (normalize(embeddings, dim=1) * guess).square().mean()
    theirs = torch.autograd.grad(plain, leaves)
    assert_equal(ours[0], -theirs[0])
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        assert_equal(a, b)


@pytest.mark.parametrize("standardize", [False, True])
def test_characteristics_do_not_depend_on_what_a_class_is(standardize):
    torch.manual_seed(0)
    labels = torch.arange(20) % 4
    features = torch.randn(20, 5, dtype=torch.float64)
    free = without_classes(features, labels, standardize)
    for c in range(4):
        rows = features[labels == c]
        by_hand = rows - rows.mean(0)
        if standardize:
            by_hand = by_hand / rows.std(0, correction=0)
        assert_equal(free[labels == c], by_hand)
    moved = features + 50 * torch.randn(4, 5, dtype=torch.float64)[labels]
    clusters = []
    for given in (features, moved):
        loss = characteristics(standardize=standardize)
        loss.refresh(torch.zeros(20, 3), labels, given)
        clusters.append(loss.assignment.tolist())
    assert clusters[0] == clusters[1]
    assert {*clusters[0]} == {0, 1, 2}


def test_a_class_of_one_row_has_no_deviation():
    free = without_classes(torch.tensor([[1.0, 2.0]]), torch.tensor([3]), standardize=True)
    assert free.tolist() == [[0.0, 0.0]]


def test_clusters_are_of_the_labeled_rows_every_so_many_epochs():
    loss = characteristics(every=2)
    labels = torch.arange(20) % 5 - 1
    seen = []
    for epoch in range(4):
        torch.manual_seed(epoch)
        loss.refresh(torch.zeros(20, 3), labels, torch.randn(20, 5, dtype=torch.float64))
        seen.append(loss.assignment.tolist())
    assert seen[0] == seen[1] != seen[2] == seen[3]
    assert {c for c, y in zip(seen[0], labels.tolist(), strict=True) if y < 0} == {-1}


@pytest.mark.parametrize("labels", [torch.arange(20), torch.full((20,), -1)], ids=["one", "none"])
def test_rows_without_another_of_their_class_share_one_characteristic(labels):
    """Nothing is left of them once the class is taken: fewer different rows than clusters."""
    loss = characteristics()
    loss.refresh(torch.zeros(20, 3), labels, torch.randn(20, 5, dtype=torch.float64))
    assert set(loss.assignment.tolist()) == {0 if labels[0] == 0 else -1}


def test_noise_changes_a_share_of_the_clusters():
    seen = []

    class Listening(L.ProxyAnchorLoss):
        def compute(self, embeddings, labels, *args, **kwargs):
            seen.append(labels)
            return super().compute(embeddings, labels, *args, **kwargs)

    loss = L.SharedCharacteristicsLoss(Listening(), 10, noise=0.5).build(4, 3, 2000, 5)
    loss.assignment.zero_()
    rows = torch.arange(2000)
    torch.manual_seed(0)
    loss(torch.randn(2000, 3), rows % 4, indices=rows, features=torch.randn(2000, 5))
    assert 0.40 < (seen[1] != 0).double().mean() < 0.50  # a tenth of those drawn is 0 again
    loss.eval()
    loss(torch.randn(2000, 3), rows % 4, indices=rows, features=torch.randn(2000, 5))
    assert not seen[3].any()


# Four tasks -------------------------------------------------------------------------------------


def diverse(**params):
    torch.manual_seed(0)
    loss = L.DiverseAggregationLoss(
        L.TripletLoss(0.6), **params, embedding_dim=12, n_samples=12
    ).double()
    loss.keys[:11] = normalize(torch.randn(11, 3, dtype=torch.float64), dim=1)
    return loss


def test_diverse_aggregation_loss_is_its_formula():
    loss = diverse(weight=0.4, separation=7.0, temperature=0.5)
    Z = torch.randn(10, 12, dtype=torch.float64)
    at = torch.tensor([3, 8, 1, 0, 11, 2, 7, 6, 5, 10])  # 11 was in no batch yet
    groups = [torch.stack([g / g.norm() for g in part]) for part in Z.chunk(4, dim=1)]

    torch.manual_seed(1)
    terms = []
    for miner, z in zip(
        (M.DistanceWeightedMiner(), M.ThreeClassMiner(), M.WithinClassMiner()), groups, strict=False
    ):
        chosen = zip(*(rows.tolist() for rows in miner(z, LABELS)), strict=True)
        gaps = [loops.sq(z[a], z[p]) - loops.sq(z[a], z[n]) + 0.6 for a, p, n in chosen]
        terms.append(loops.mean_of_active(map(loops.hinge, gaps)))

    keys = {j: m for j, m in enumerate(loss.keys) if j != 11}
    rows = []
    for z, i in zip(groups[3], at.tolist(), strict=True):
        known = {**keys, 11: groups[3][4]}
        density = {}
        for j, m in known.items():
            r = max(0.5, math.sqrt(max(0.0, 2 - 2 * float(z @ m))))
            near = math.sqrt(max(0.0, 2 - 2 * float(z @ m))) < 1.4
            density[j] = r ** (3 - 2) * (1 - r * r / 4) ** ((3 - 3) / 2) if near else math.inf
        most = max(1 / q for j, q in density.items() if j != i)
        w = {j: 1.0 if j == i else 1 / q / most for j, q in density.items()}
        total = sum((w[j] * (z @ m) / 0.5).exp() for j, m in known.items())
        rows.append(total.log() - z @ known[i] / 0.5)

    overlap = 0.0
    for separator, u in zip(loss.separators, groups[1:], strict=True):
        guess = separator.predictor(u)
        guess = guess / guess.norm(dim=1, keepdim=True)
        overlap = overlap + (groups[0] * guess).square().mean()
    by_hand = terms[0] + 0.4 * (terms[1] + terms[2] + loops.mean(rows)) - 7.0 * 9 * overlap
    torch.manual_seed(1)
    assert_equal(loss(Z, LABELS, indices=at), by_hand)


def test_keys_are_running_means_in_training_alone():
    loss = diverse(momentum=0.75)
    before = loss.keys.clone()
    Z = torch.randn(10, 12, dtype=torch.float64)
    at = torch.tensor([3, 8, 1, 0, 11, 2, 7, 6, 5, 10])
    loss.eval()(Z, LABELS, indices=at)
    assert torch.equal(loss.keys, before)
    loss.train()(Z, LABELS, indices=at)
    z = normalize(Z[:, 9:], dim=1)
    assert_equal(loss.keys[[4, 9]], before[[4, 9]])
    assert_equal(loss.keys[11], z[4])
    assert_equal(loss.keys[8], normalize(0.75 * before[8] + 0.25 * z[1], dim=0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L.DiverseAggregationLoss(L.ProxyAnchorLoss()), "must be one on triplets, ProxyAn"),
        (lambda: L.DiverseAggregationLoss(L.TripletLoss()).build(3, 10, 5), "multiple of 4"),
        (lambda: L.DiverseAggregationLoss(L.TripletLoss()).build(3, 8), "n_samples is needed"),
        (lambda: L.SharedCharacteristicsLoss(L.SupConLoss()).build(3, 8), "are needed by"),
        (lambda: diverse()(torch.randn(10, 12), LABELS), "indices of the training rows"),
        (lambda: characteristics()(torch.randn(10, 3), LABELS), "features are needed by Shared"),
        (
            lambda: characteristics()(torch.randn(10, 3), torch.rand(10)),
            "labels must be classes of an integer type",
        ),
    ],
)
def test_what_is_missing_is_one_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
