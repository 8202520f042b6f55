"""Losses and miners of others, taken at the door: plain modules, functions, index tuples."""

import pytest
import torch
from helpers.embedders import make, quick
from helpers.loss_batches import assert_equal, batch, value_and_gradients
from pytorch_metric_learning import losses, miners
from torch import nn
from torch.nn.functional import normalize

from metriclearn.deep import losses as L
from metriclearn.deep import miners as M


class Spread(nn.Module):
    """A user's own loss, which knows nothing of ours but the names of what it wants."""

    accepts = ("pairs",)
    any_length = True

    def __init__(self):
        super().__init__()
        self.seen = {}

    def build(self, n_classes):
        self.seen["build"] = n_classes

    def refresh(self, embeddings, labels):
        self.seen["refresh"] = len(embeddings)

    def forward(self, embeddings, labels, selection=None, indices=None):
        self.seen |= {"selection": selection, "indices": indices}
        return embeddings.square().sum()


def test_modules_declare_what_they_want_by_the_names_of_a_metric_loss():
    loss = L.as_metric_loss(Spread())
    assert L.as_metric_loss(loss) is loss
    assert (loss.accepts, loss.any_length, loss.needs_indices) == (("pairs",), True, True)
    assert (loss.refreshes, loss.takes_reference, loss.continuous_labels) == (True, False, False)
    embeddings, labels = batch()
    loss.build(4, 3, n_samples=10)
    loss.refresh(embeddings, labels)
    pairs = M.MultiSimilarityMiner()(embeddings, labels)
    indices = torch.arange(len(labels))
    assert_equal(loss(embeddings, labels, pairs, indices=indices), embeddings.square().sum())
    seen = loss.module.seen
    assert (seen["build"], seen["refresh"]) == (4, 10)
    assert seen["selection"] is pairs
    assert torch.equal(seen["indices"], indices)
    loss(embeddings, labels)
    assert loss.module.seen["selection"] is None


def test_modules_see_only_labeled_rows():
    embeddings, labels = batch()
    loss = L.as_metric_loss(Spread())
    labels[2:5] = -1
    kept = labels >= 0
    assert_equal(loss(embeddings, labels), embeddings[kept].square().sum())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: L.as_metric_loss(max), TypeError, r"a torch.nn.Module .*, got builtin_function"),
        (lambda: L.as_metric_loss("triplet"), TypeError, "loss must be a torch.nn.Module"),
        (lambda: M.as_miner("hard"), TypeError, "called with embeddings and labels, got str"),
        (lambda: L.MinedLoss(nn.CrossEntropyLoss(), M.HardMiner()), ValueError, "takes no miner"),
        (lambda: L.MinedLoss(L.ArcFaceLoss(), miners.BatchHardMiner()), ValueError, "takes no mi"),
        (lambda: M.as_miner(lambda x, y: None)(*batch()), TypeError, "a miner must return pairs"),
        (lambda: M.as_miner(lambda x, y: 1)(*batch()), TypeError, "MinedPairs or MinedTriplets of"),
    ],
)
def test_what_cannot_be_taken_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


OTHERS = {
    "triplets": (miners.BatchHardMiner(), M.BatchHardMiner()),
    "triplets, many": (miners.TripletMarginMiner(0.3, "semihard"), M.SemiHardMiner(0.3, False)),
    "pairs": (miners.MultiSimilarityMiner(), M.MultiSimilarityMiner()),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("with_reference", [False, True])
def test_miners_of_another_library_select_the_same(name, with_reference):
    theirs, ours = OTHERS[name]
    embeddings, labels = batch()
    embeddings = normalize(embeddings)
    given = (embeddings, labels)
    if with_reference:
        given = (embeddings[:6], labels[:6], M.Reference(embeddings[6:], labels[6:]))
    mine, other = ours(*given), M.as_miner(theirs)(*given)
    assert type(mine) is type(other)
    rows = [torch.stack(s, 1) if isinstance(s, M.MinedTriplets) else torch.cat(s)
            for s in (mine, other)]  # fmt: skip
    assert {tuple(row) for row in rows[0].tolist()} == {tuple(row) for row in rows[1].tolist()}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("loss", [L.MarginLoss(), L.MultiSimilarityLoss(), L.NTXentLoss()])
def test_losses_take_the_index_tuples_of_another_library(name, loss):
    theirs, ours = OTHERS[name]
    embeddings, labels = batch()
    embeddings = normalize(embeddings)
    plain = loss(embeddings, labels, ours(embeddings, labels))
    assert_equal(loss(embeddings, labels, theirs(embeddings, labels)), plain)
    assert_equal(L.MinedLoss(loss, theirs)(embeddings, labels), plain)


@pytest.mark.parametrize("name", OTHERS)
def test_losses_of_another_library_take_our_miners(name):
    theirs, ours = OTHERS[name]
    embeddings, labels = batch()
    embeddings = normalize(embeddings)  # as their miners do
    loss = losses.TripletMarginLoss()
    value = value_and_gradients(lambda x: L.MinedLoss(loss, ours)(x, labels), embeddings)
    truth = value_and_gradients(lambda x: loss(x, labels, theirs(x, labels)), embeddings)
    assert_equal(value[0], truth[0])
    assert_equal(value[1][0], truth[1][0])


def test_an_embedder_trains_with_both_halves_of_another_library():
    X, y = make()
    parts = {"loss": losses.MultiSimilarityLoss(), "miner": miners.MultiSimilarityMiner()}
    embedder = quick(**parts).fit(X, y)
    assert embedder.transform(X).shape == (len(X), 64)
    losses_seen = [row["train_loss"] for row in embedder.history_]
    assert losses_seen[-1] < losses_seen[0]


def test_selections_name_rows_of_the_batch():
    embeddings, labels = batch()
    some = torch.tensor([[0, 1]])
    for bad in (torch.tensor([[0, 10]]), torch.tensor([[-1, 2]])):
        with pytest.raises(ValueError, match="selection must name rows from 0 to 9, got"):
            L.ContrastiveLoss()(embeddings, None, M.MinedPairs(some, bad))
    reference = M.Reference(embeddings[:2], labels[:2])
    far = M.MinedPairs(some, torch.tensor([[0, 11]]))
    assert L.ContrastiveLoss()(embeddings, None, far, reference).isfinite()
    with pytest.raises(ValueError, match="labels are needed by ContrastiveLoss where no selection"):
        L.ContrastiveLoss()(embeddings, None)
    with pytest.raises(ValueError, match=r"labels are needed by MarginLoss\(scope='class'\)"):
        L.MarginLoss(scope="class", n_classes=4)(embeddings, None, far, reference)


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ((torch.ones(4, 3),), TypeError, r"reference must be Reference\(embeddings, labels\)"),
        (torch.ones(4, 3), TypeError, "reference must be Reference"),
        ((torch.ones(4, 2), torch.ones(4).long()), ValueError, "rows of 3 dimensions .* got 2"),
        ((torch.ones(4, 3), torch.ones(3).long()), ValueError, r"\(b, d\) and labels of shape"),
    ],
)
def test_references_are_checked(reference, error, message):
    embeddings, labels = batch()
    with pytest.raises(error, match=message):
        L.SupConLoss()(embeddings, labels, reference=reference)
    with pytest.raises(error, match=message):
        M.HardMiner()(embeddings, labels, reference)


def test_every_pair_loss_does_without_labels_where_pairs_are_given():
    embeddings, _ = batch()
    pairs = M.MinedPairs(torch.tensor([[0, 1], [2, 4]]), torch.tensor([[0, 2]]))
    for name, loss_class in L.LOSSES.items():
        loss = loss_class()
        if "pairs" in loss.accepts:
            assert loss(embeddings, None, pairs).isfinite(), name
        if "triplets" in loss.accepts:
            given = (torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
            assert loss(embeddings, None, given).isfinite(), name


def test_pairs_listed_as_both_count_as_neither():
    embeddings, _ = batch()
    clear = M.MinedPairs(torch.tensor([[0, 1], [2, 3]]), torch.tensor([[0, 4], [2, 5]]))
    mixed = M.MinedPairs(
        torch.tensor([[0, 1], [2, 3], [6, 7]]), torch.tensor([[0, 4], [2, 5], [6, 7]])
    )
    for loss in (L.ContrastiveLoss(), L.SoftNearestNeighborLoss(), L.NTXentLoss()):
        assert_equal(loss(embeddings, None, mixed), loss(embeddings, None, clear))


@pytest.mark.parametrize("make", [
    lambda: L.CrossBatchMemory(L.SupConLoss(), size=4, embedding_dim=3),
    lambda: L.EmbeddingMomentsLoss(L.SupConLoss(), dim=4, embedding_dim=3),
])  # fmt: skip
def test_losses_made_for_a_width_say_so(make):
    with pytest.raises(ValueError, match=r"embeddings must have the 3 dimensions .* got 2"):
        make()(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))


# In-batch negatives ---------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [None, torch.tensor([0, 0, 1, 1, 1, 0, 2, 2, 3, 3])])
def test_in_batch_negatives_are_all_rows_that_are_not_linked(groups):
    embeddings, _ = batch()
    listed = M.MinedPairs(
        torch.tensor([[0, 1], [2, 3], [4, 3], [1, 5], [6, 7]]), torch.tensor([[0, 8], [2, 4]])
    )
    linked = [0, 0, 1, 1, 1, 0, 2, 2, 3, 4] if groups is None else groups.tolist()
    value = L.NTXentLoss(0.5)(embeddings, None, M.InBatchNegatives(listed, groups))
    s = normalize(embeddings) @ normalize(embeddings).T / 0.5
    terms = []
    for i, j in listed.positives.tolist():
        others = [k for k in range(10) if linked[k] != linked[i]]
        others += [k for i2, k in listed.negatives.tolist() if i2 == i and k not in others]
        terms.append(torch.cat([s[i, j][None], s[i][others]]).logsumexp(0) - s[i, j])
    assert_equal(value, sum(terms) / len(terms))


def test_in_batch_negatives_of_triplets_are_added_to_their_own():
    embeddings, _ = batch()
    triplets = M.MinedTriplets(torch.tensor([0, 3]), torch.tensor([1, 4]), torch.tensor([2, 1]))
    plain = L.NTXentLoss()(embeddings, None, triplets)
    wide = L.NTXentLoss()(embeddings, None, M.InBatchNegatives(triplets))
    assert wide > plain
