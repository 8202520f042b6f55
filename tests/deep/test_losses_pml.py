"""A second oracle: pytorch-metric-learning, where its convention is the same.

Its losses normalize the embeddings by default, so ours are given normalized ones; its margins are
in degrees; what it has wrong is left out (Smooth-AP).
"""

import copy
import math

import pytest
import torch
from helpers.loss_batches import assert_equal, batch, value_and_gradients
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
from torch.nn.functional import normalize

from metriclearn.deep import losses as L
from metriclearn.deep import miners as M

C, D = 4, 3
SQUARED = {"distance": distances.LpDistance(power=2)}

PAIRS = {
    "triplet": (
        L.TripletLoss(0.2, squared=False),
        losses.TripletMarginLoss(0.2),
    ),
    "triplet-facenet": (
        L.TripletLoss(0.2, reduction="mean"),
        losses.TripletMarginLoss(0.2, reducer=reducers.MeanReducer(), **SQUARED),
    ),
    "triplet-swap": (
        L.TripletLoss(0.2, squared=False, swap=True),
        losses.TripletMarginLoss(0.2, swap=True),
    ),
    "triplet-soft": (
        L.TripletLoss(0.2, squared=False, soft=True),
        losses.TripletMarginLoss(0.2, smooth_loss=True, reducer=reducers.MeanReducer()),
    ),
    "contrastive-absolute": (L.ContrastiveLoss(form="absolute"), losses.ContrastiveLoss()),
    "lifted": (L.LiftedStructureLoss(), losses.LiftedStructureLoss()),
    "multi-similarity": (L.MultiSimilarityLoss(), losses.MultiSimilarityLoss()),
    "ntxent": (L.NTXentLoss(0.07), losses.NTXentLoss(0.07)),
    "supcon": (L.SupConLoss(), losses.SupConLoss()),
    "tuplet-margin": (L.TupletMarginLoss(scale=8), losses.TupletMarginLoss(scale=8)),
    "circle": (L.CircleLoss(), losses.CircleLoss()),
    "angular": (L.AngularLoss(40), losses.AngularLoss(40)),
    "fastap": (L.FastAPLoss(), losses.FastAPLoss()),
    "soft-nearest-neighbor": (
        # Theirs has no meaning for rows without a positive: batches without such rows.
        L.SoftNearestNeighborLoss(0.5),
        losses.NCALoss(softmax_scale=2),
    ),
    "intra-pair-variance": (
        L.IntraPairVarianceLoss(0.02, 0.03),
        losses.IntraPairVarianceLoss(0.02, 0.03),
    ),
    "threshold-consistent": (
        L.ThresholdConsistentMarginLoss(0.8, 0.2, 2.0, 3.0),
        losses.ThresholdConsistentMarginLoss(2.0, 3.0, 0.8, 0.2),
    ),
    "generalized-lifted": (
        L.LiftedStructureLoss(form="generalized"),
        losses.GeneralizedLiftedStructureLoss(),
    ),
}
#: They count rows without a positive in their mean, or drop them, where ours does the other.
WITHOUT_SINGLES = {"soft-nearest-neighbor", "generalized-lifted", "circle"}


def test_histogram_loss_agrees():
    embeddings, labels = batch()
    with pytest.warns(UserWarning, match="non-tuple sequence"):  # of theirs
        truth, expected = value_and_gradients(
            lambda x: losses.HistogramLoss(n_bins=100)(normalize(x), labels), embeddings
        )
    value, gradient = value_and_gradients(lambda x: L.HistogramLoss()(x, labels), embeddings)
    # Their nodes are float32 whatever the embeddings.
    assert_equal(value, truth, 1e-6)
    assert_equal(gradient[0], expected[0], 1e-6)


def test_vicreg_agrees():
    embeddings, _ = batch()
    labels = torch.arange(5).repeat(2)
    value, gradient = value_and_gradients(lambda x: L.VICRegLoss()(x, labels), embeddings)
    theirs = losses.VICRegLoss()
    truth, expected = value_and_gradients(lambda x: theirs(x[:5], ref_emb=x[5:]), embeddings)
    assert_equal(value, truth)
    assert_equal(gradient[0], expected[0])


@pytest.mark.parametrize("name", PAIRS)
def test_pair_losses_agree(name):
    ours, theirs = PAIRS[name]
    embeddings, labels = batch()
    if name in WITHOUT_SINGLES:
        embeddings, labels = embeddings[labels < 3], labels[labels < 3]
    with torch.random.fork_rng():
        value, gradient = value_and_gradients(lambda x: ours(normalize(x), labels), embeddings)
        truth, expected = value_and_gradients(lambda x: theirs(normalize(x), labels), embeddings)
    assert_equal(value, truth)
    assert_equal(gradient[0], expected[0])


PROXIES = {
    "normalized-softmax": (L.NormalizedSoftmaxLoss(), losses.NormalizedSoftmaxLoss(C, D)),
    "cosface": (L.CosFaceLoss(), losses.CosFaceLoss(C, D)),
    "arcface": (
        L.ArcFaceLoss(margin=0.1),
        losses.ArcFaceLoss(C, D, margin=math.degrees(0.1)),
    ),
    "subcenter-arcface": (
        L.SubCenterArcFaceLoss(margin=0.1),
        losses.SubCenterArcFaceLoss(num_classes=C, embedding_size=D, margin=math.degrees(0.1)),
    ),
    "sphereface": (
        L.SphereFaceLoss(scale=None, lambda_max=0, lambda_min=0),
        losses.SphereFaceLoss(C, D),
    ),
    "large-margin-softmax": (
        L.LargeMarginSoftmaxLoss(lambda_max=0, lambda_min=0),
        losses.LargeMarginSoftmaxLoss(C, D),
    ),
    "proxy-anchor": (L.ProxyAnchorLoss(), losses.ProxyAnchorLoss(C, D)),
    "proxy-nca++": (L.ProxyNCAPlusPlusLoss(1 / 9), losses.ProxyNCALoss(C, D, softmax_scale=9)),
    "soft-triple": (
        L.SoftTripleLoss(n_centers=3, tau=0),
        losses.SoftTripleLoss(C, D, centers_per_class=3),
    ),
    "proxy-separation": (
        L.ProxyRegularizer(L.ArcFaceLoss(margin=0.1), weight=0.5),
        losses.ArcFaceLoss(
            C,
            D,
            margin=math.degrees(0.1),
            weight_regularizer=regularizers.RegularFaceRegularizer(),
            weight_reg_weight=0.5,
        ),
    ),
}


@pytest.mark.parametrize("name", PROXIES)
def test_proxy_losses_agree(name):
    ours, theirs = copy.deepcopy(PROXIES[name])
    embeddings, labels = batch()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = ours.build(C, D).double()
        # Theirs has columns, and the centers of a class next to each other.
        own = getattr(ours, "loss", ours)
        by_class = own.proxies.data.view(-1, C, D).transpose(0, 1).reshape(-1, D)
        (weight,) = theirs.parameters()
        weight.data = by_class.clone() if weight.shape == by_class.shape else by_class.T.clone()
        value, gradient = value_and_gradients(lambda x: ours(x, labels), embeddings, [own.proxies])
        truth, expected = value_and_gradients(lambda x: theirs(x, labels), embeddings, [weight])
    assert_equal(value, truth)
    assert_equal(gradient[0], expected[0])
    proxies = gradient[1].view(-1, C, D).transpose(0, 1).reshape(-1, D)
    assert_equal(proxies, expected[1] if expected[1].shape == proxies.shape else expected[1].T)


MINED = {
    "semi-hard": (M.SemiHardMiner(0.3, squared=False), miners.TripletMarginMiner(0.3, "semihard")),
    "hard": (M.HardMiner(), miners.TripletMarginMiner(0.3, "hard")),
    "batch-hard": (M.BatchHardMiner(), miners.BatchHardMiner()),
    "multi-similarity": (M.MultiSimilarityMiner(), miners.MultiSimilarityMiner()),
    "angular": (M.AngularMiner(30), miners.AngularMiner(30)),
    "hard-easy": (
        M.EasyHardMiner("hard", "easy"),
        miners.BatchEasyHardMiner(pos_strategy="hard", neg_strategy="easy"),
    ),
    "semi-hard-hard": (
        M.EasyHardMiner("semi_hard", "hard"),
        miners.BatchEasyHardMiner(pos_strategy="semihard", neg_strategy="hard"),
    ),
    "hard-semi-hard": (
        M.EasyHardMiner("hard", "semi_hard"),
        miners.BatchEasyHardMiner(pos_strategy="hard", neg_strategy="semihard"),
    ),
    "pair-margin": (M.PairMarginMiner(0.9, 1.2), miners.PairMarginMiner(0.9, 1.2)),
    "easy-positive": (
        M.EasyPositiveMiner(),
        miners.BatchEasyHardMiner(pos_strategy="easy", neg_strategy="semihard"),
    ),
    "easy-positive-hard": (
        M.EasyPositiveMiner("hard"),
        miners.BatchEasyHardMiner(pos_strategy="easy", neg_strategy="hard"),
    ),
}


@pytest.mark.parametrize("name", MINED)
def test_miners_agree(name):
    ours, theirs = MINED[name]
    embeddings, labels = batch()
    embeddings = normalize(embeddings)
    selection, truth = ours(embeddings, labels), theirs(embeddings, labels)
    if len(truth) == 3:
        assert set(zip(*map(torch.Tensor.tolist, selection), strict=True)) == set(
            zip(*map(torch.Tensor.tolist, truth), strict=True)
        )
        return
    if ours.yields == "triplets":
        selection = selection.as_pairs()
    for mine, (i, j) in zip(selection, (truth[:2], truth[2:]), strict=True):
        assert {tuple(pair) for pair in mine.tolist()} == set(
            zip(i.tolist(), j.tolist(), strict=True)
        )
