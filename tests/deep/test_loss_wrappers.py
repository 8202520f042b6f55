"""Mined losses, losses against a reference, cross-batch memory, and the needs of parts."""

import numpy as np
import pytest
import torch
from helpers.loss_batches import assert_equal, batch, fresh, value_and_gradients
from helpers.oracles import DIM, LOSSES, N_CLASSES
from torch.nn.functional import normalize

from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L
from metriclearn.deep import miners as M
from metriclearn.deep.miners._triplet_miners import list_triplets
from metriclearn.deep.tensors._pairwise import compare
from metriclearn.deep.tensors._selections import MinedPairs, MinedTriplets, Reference
from metriclearn.metrics import recall_at_k

# Mined losses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "mean_nonzero"])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize(
    "miner", [M.AllMiner, M.HardMiner, M.SemiHardMiner], ids=lambda miner: miner.__name__
)
def test_fused_window_is_the_list(miner, squared, reduction, soft):
    embeddings, labels = batch()
    loss = L.TripletLoss(margin=0.5, squared=squared, reduction=reduction, soft=soft)
    miner = miner()
    fused = value_and_gradients(lambda x: L.MinedLoss(loss, miner)(x, labels), embeddings)
    explicit = miner.window(loss)
    listed = list_triplets(
        *compare(embeddings, labels, "sq_distance" if squared else "distance"),
        explicit.low,
        explicit.high,
    )
    slow = value_and_gradients(lambda x: loss(x, labels, selection=listed), embeddings)
    assert_equal(fused[0], slow[0])
    assert_equal(fused[1][0], slow[1][0])


@pytest.mark.parametrize("miner", [M.MultiSimilarityMiner, M.PairMarginMiner, M.HDCMiner])
@pytest.mark.parametrize("loss", [L.MultiSimilarityLoss, L.ContrastiveLoss, L.NTXentLoss])
def test_masks_of_pairs_are_the_list(loss, miner):
    embeddings, labels = batch()
    loss, miner = loss(), miner()
    listed = loss(embeddings, labels, selection=miner(embeddings, labels))
    assert_equal(L.MinedLoss(loss, miner)(embeddings, labels), listed)


def test_miner_on_another_distance_is_listed():
    embeddings, labels = batch()
    loss, miner = L.TripletLoss(squared=True), M.SemiHardMiner(margin=0.5, squared=False)
    listed = loss(embeddings, labels, selection=miner(embeddings, labels))
    assert_equal(L.MinedLoss(loss, miner)(embeddings, labels), listed)


def test_triplets_of_swapped_loss_are_the_batch_form():
    embeddings, labels = batch()
    loss = L.TripletLoss(margin=0.4, swap=True)
    everything = M.AllMiner()(embeddings, labels)
    assert_equal(loss(embeddings, labels, selection=everything), loss(embeddings, labels))


def test_triplet_sums_are_exact_in_large_batches():
    # Counts of active triplets beyond 2²⁴ in float32.
    generator = torch.Generator().manual_seed(0)
    embeddings = normalize(torch.randn(600, 8, generator=generator))
    labels = torch.arange(600) % 6
    single = L.TripletLoss(margin=1.0)(embeddings, labels)
    double = L.TripletLoss(margin=1.0)(embeddings.double(), labels)
    assert_equal(single.double(), double, 1e-6)


# References -------------------------------------------------------------------------------------

REFERENCED = [case for case in LOSSES if case.loss.takes_reference and case.loss.accepts]


@pytest.mark.parametrize("case", REFERENCED, ids=lambda case: case.name)
def test_reference_is_columns_of_the_joint_batch(case):
    """Against a reference, the anchors are the batch's rows and the others are all rows."""
    loss = fresh(case)
    if case.name.startswith(("lifted", "margin")) or "swap" in case.name:
        return  # these have terms of the other rows or of the whole batch, tested below
    embeddings, labels = batch()
    n = 6
    x = embeddings[:n].clone().requires_grad_()
    value = loss(x, labels[:n], reference=Reference(embeddings[n:], labels[n:]))
    # The same by listing what the first rows see in the joint batch.
    rows, columns = (~torch.eye(len(labels), dtype=torch.bool))[:n].nonzero(as_tuple=True)
    same = labels[rows] == labels[columns]
    listed = torch.stack([rows, columns], 1)
    if "pairs" in loss.accepts:
        selection = MinedPairs(listed[same], listed[~same])
    else:
        a, p, k = M.AllMiner()(embeddings, labels)
        selection = MinedTriplets(a[a < n], p[a < n], k[a < n])
    joint = loss(embeddings, labels, selection=selection)
    if case.name.startswith(("multi-similarity", "ranked-list")):
        joint = joint * len(labels) / n  # their mean is over all rows
    if case.name.startswith("snr"):
        x_all = embeddings.sum(1).abs().mean() - embeddings[:n].sum(1).abs().mean()
        joint = joint - loss.zero_mean_weight * x_all
    assert_equal(value, joint)
    assert torch.isfinite(torch.autograd.grad(value, x)[0]).all()


#: Those that take no list of pairs or triplets.
UNLISTED = [case for case in LOSSES if case.loss.takes_reference and not case.loss.accepts]
#: Of these, why they are no mean over anchors, or active triplets, which the law below is of;
#: tested with an empty reference, and angular by itself.
NO_MEAN = {
    "histogram": "compares the distributions of all pairs",
    "angular": "takes its positives from the batch alone",
}


@pytest.mark.parametrize(
    "case", [c for c in UNLISTED if c.name not in NO_MEAN], ids=lambda case: case.name
)
def test_two_halves_each_against_the_other_are_the_joint_batch(case):
    """Each row is an anchor once, and sees all others: the sums over anchors add up."""
    embeddings, labels = batch()
    kept = labels < 3  # each row has a positive
    order = torch.argsort(torch.arange(int(kept.sum())) % 3, stable=True)
    embeddings, labels = embeddings[kept][order], labels[kept][order]
    total = 0.0
    for own in (torch.arange(9) < 5, torch.arange(9) >= 5):
        loss = fresh(case)
        others = Reference(embeddings[~own], labels[~own])
        value = loss(embeddings[own], labels[own], reference=others)
        total = total + value * (loss.active_ if "triplet" in case.name else own.sum())
    whole = fresh(case)
    joint = whole(embeddings, labels)
    joint = joint * (whole.active_ if "triplet" in case.name else len(labels))
    assert_equal(total, joint)


def test_angular_loss_takes_positives_from_the_batch_and_negatives_from_both():
    embeddings, labels = batch()
    n, t = 6, 1.0  # tan² 45°
    z = torch.nn.functional.normalize(embeddings, dim=1)
    terms = []
    for a in range(n):
        for p in range(n):
            if a == p or labels[a] != labels[p]:
                continue
            pushes = [
                4 * t * (z[a] + z[p]) @ z[k] - 2 * (1 + t) * z[a] @ z[p]
                for k in range(len(z))
                if labels[k] != labels[a]
            ]
            terms.append(torch.log1p(torch.stack(pushes).exp().sum()))
    reference = Reference(embeddings[n:], labels[n:])
    value = L.AngularLoss()(embeddings[:n], labels[:n], reference=reference)
    assert_equal(value, sum(terms) / len(terms))


@pytest.mark.parametrize("case", REFERENCED + UNLISTED, ids=lambda case: case.name)
def test_empty_reference_changes_nothing(case):
    embeddings, labels = batch()
    nothing = Reference(embeddings[:0], labels[:0])
    assert_equal(
        fresh(case)(embeddings, labels, reference=nothing), fresh(case)(embeddings, labels)
    )


@pytest.mark.parametrize("form", ["smooth", "original", "generalized"])
def test_lifted_structure_against_its_own_batch(form):
    # Every row is also a column of the reference: each pair counts twice, each negative doubles.
    embeddings, labels = batch()
    loss = L.LiftedStructureLoss(form=form)
    x = embeddings.clone().requires_grad_()
    loss(x, labels, reference=Reference(embeddings + 3, labels + 10)).backward()
    assert torch.isfinite(x.grad).all()
    far = loss(embeddings, labels, reference=Reference(embeddings + 1e3, labels + 10))
    assert_equal(far, loss(embeddings, labels))


@pytest.mark.parametrize("form", ["smooth", "original"])
def test_lifted_structure_counts_the_negatives_of_both_ends_in_batch_and_reference(form):
    embeddings, labels = batch()
    n, loss = 6, L.LiftedStructureLoss(form=form)
    d = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")

    def pushes(j):
        # A row of the reference is compared with the batch only.
        seen = range(len(labels)) if j < n else range(n)
        return [loss.margin - d[j, k] for k in seen if labels[k] != labels[j]]

    terms = []
    for i in range(n):
        for j in range(len(labels)):
            if j != i and labels[j] == labels[i]:
                both = torch.stack(pushes(i) + pushes(j))
                join = both.logsumexp(0) if form == "smooth" else both.max()
                terms.append((d[i, j] + join).relu() ** 2 / 2)
    reference = Reference(embeddings[n:], labels[n:])
    assert_equal(loss(embeddings[:n], labels[:n], reference=reference), sum(terms) / len(terms))


# Cross-batch memory -----------------------------------------------------------------------------


def chunks():
    return [batch(seed) for seed in range(4)]


def test_memory_is_a_reference_of_earlier_batches():
    (first, first_labels), (second, second_labels), *_ = chunks()
    plain = L.NTXentLoss()
    memory = L.CrossBatchMemory(plain, size=64).build(N_CLASSES, DIM).double()
    assert_equal(memory(first, first_labels), plain(first, first_labels))
    joint = plain(second, second_labels, reference=Reference(first, first_labels))
    assert_equal(memory(second, second_labels), joint)
    assert int(memory.filled) == 20


def test_memory_is_a_ring():
    memory = L.CrossBatchMemory(L.SupConLoss(), size=16).double()
    batches = chunks()
    for embeddings, labels in batches:
        memory(embeddings, labels)
    assert int(memory.filled) == 16
    assert int(memory.position) == 40 % 16
    last = torch.cat([x for x, _ in batches])[-16:].float()
    assert {tuple(row) for row in memory.memory.float().tolist()} == {
        tuple(row) for row in last.tolist()
    }
    small = L.CrossBatchMemory(L.SupConLoss(), size=4)
    small(*batch(dtype=torch.float32))
    assert torch.equal(small.memory, batch(dtype=torch.float32)[0][-4:])


def test_memory_resumes_from_its_state():
    batches = chunks()
    memory = L.CrossBatchMemory(L.SupConLoss(), size=16).double()
    for embeddings, labels in batches[:2]:
        memory(embeddings, labels)
    resumed = L.CrossBatchMemory(L.SupConLoss(), size=16).double()
    resumed.load_state_dict(memory.state_dict())
    resumed.double()
    for embeddings, labels in batches[2:]:
        assert_equal(memory(embeddings, labels), resumed(embeddings, labels), 1e-6)


def test_memory_waits_and_rests():
    embeddings, labels = batch()
    plain = L.SupConLoss()
    memory = L.CrossBatchMemory(plain, size=64, warmup=2).double()
    for _ in range(2):
        assert_equal(memory(embeddings, labels), plain(embeddings, labels))
    assert not torch.isclose(memory(embeddings, labels), plain(embeddings, labels))
    memory.eval()
    filled = int(memory.filled)
    memory(embeddings, labels)
    assert int(memory.filled) == filled


def test_memory_takes_mined_and_triplet_losses():
    for loss in (
        L.TripletLoss(swap=True),
        L.MinedLoss(L.TripletLoss(), M.SemiHardMiner()),
        L.MinedLoss(L.TripletLoss(), M.BatchHardMiner()),
        L.MinedLoss(L.MultiSimilarityLoss(), M.MultiSimilarityMiner()),
        L.MinedLoss(L.MarginLoss(), M.DistanceWeightedMiner()),
        L.AngularLoss(),
        L.WeightedSum([L.SupConLoss(), L.AlignmentLoss()], [1, 2]),
    ):
        memory = L.CrossBatchMemory(loss, size=16)
        for embeddings, labels in chunks():
            x = embeddings.float().requires_grad_()
            memory(x, labels).backward()
            assert torch.isfinite(x.grad).all()
    with pytest.raises(ValueError, match="takes a reference, got WeightedSum"):
        L.CrossBatchMemory(L.WeightedSum([L.SupConLoss(), L.UniformityLoss()]))


# Needs ---------------------------------------------------------------------------------------


def test_wrappers_pass_on_what_their_parts_need():
    embeddings, labels = batch(dtype=torch.float32)
    indices = torch.arange(len(labels))
    part = L.MarginLoss(scope="sample")
    for loss in (
        L.WeightedSum([part, L.HierarchicalTripletLoss()]),
        L.MinedLoss(part, M.DistanceWeightedMiner()),
        L.CrossBatchMemory(part),
        L.EmbeddingMomentsLoss(part, dim=8),
    ):
        assert loss.needs_indices
        assert not loss.continuous_labels
        loss.build(N_CLASSES, DIM, n_samples=len(labels))
        loss.refresh(embeddings, labels)
        assert torch.isfinite(loss(embeddings, labels, indices=indices))
    assert L.WeightedSum([L.LogRatioLoss()]).continuous_labels


def test_three_losses_find_people_across_cameras():
    """Batch-hard triplets, softmax and center loss; searched without the own camera."""
    rng = np.random.default_rng(0)
    who, camera = np.repeat(np.arange(100), 8), np.tile(np.arange(4), 200)
    people, places = rng.normal(size=(100, 16)), 2 * rng.normal(size=(4, 16))
    photos = people[who] + places[camera] + 0.3 * rng.normal(size=(800, 16))
    train, new = who < 60, who >= 60
    mined = L.MinedLoss(L.TripletLoss(margin=0.3), M.BatchHardMiner())
    loss = L.WeightedSum([mined, L.NormalizedSoftmaxLoss(), L.CenterLoss()], [1, 1, 5e-4])
    embedder = DeepEmbedder(loss=loss, max_epochs=10, random_state=0)
    Z = embedder.fit(photos[train], who[train]).transform(photos[new])
    assert embedder.net_.criterion_.losses[2].centers.any()
    same = (who[new, None] == who[new]) & (camera[new, None] == camera[new])
    scores = [recall_at_k(rows, who[new], k=1, ignore=same) for rows in (photos[new], Z)]
    assert scores[0] < 0.1
    assert scores[1] > 0.7
