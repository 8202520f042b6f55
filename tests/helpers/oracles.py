"""The table of slow truths: for every loss and miner a loop written from the paper's formula.

A row of ``LOSSES`` is a name, a loss (with proxies for four classes in three dimensions where it
has any) and its loop from `loss_loops`; a row of ``MINERS`` a name, a miner and its loop from
`miner_loops`. A new one is a loop there and a row here; the laws in tests/deep do the rest.
"""

from typing import NamedTuple

import torch
from torch import nn

from helpers import further_loss_loops as further
from helpers import loss_loops as loops
from helpers import miner_loops
from helpers import proxy_loops as proxies
from metriclearn.deep import losses
from metriclearn.deep.miners import (
    AllMiner,
    AngularMiner,
    BatchHardMiner,
    DistanceHistogramMiner,
    DistanceWeightedMiner,
    EasyHardMiner,
    EasyPositiveMiner,
    HardMiner,
    HDCMiner,
    MultiSimilarityMiner,
    PairMarginMiner,
    RandomMiner,
    SemiHardMiner,
    UniformHistogramMiner,
)

N_CLASSES, DIM = 4, 3


class Case(NamedTuple):
    name: str
    loss: nn.Module
    oracle: object


# loops of losses that are made of others: they look theirs up in the table ----------------------


def mined_multi_similarity(mined, X, y):
    a, b, t = mined.loss.alpha, mined.loss.beta, mined.loss.threshold
    kept = miner_loops.multi_similarity_pairs(mined.miner, X, y)

    def anchor(i):
        pull = loops.log1p_sum_exp(-a * (loops.cos(X[i], X[p]) - t) for j, p in kept[0] if j == i)
        push = loops.log1p_sum_exp(b * (loops.cos(X[i], X[n]) - t) for j, n in kept[1] if j == i)
        return pull / a + push / b

    return loops.mean(anchor(i) for i in range(len(y)))


def listed_triplet(mined, X, y):
    """A triplet loss on listed triplets."""
    loss = mined.loss
    d = loops.sq if loss.squared else loops.dist
    chosen = MINER_LOOPS[type(mined.miner)](mined.miner, X, y)
    return loops.mean_of_active(
        loops.hinge(d(X[a], X[p]) - d(X[a], X[n]) + loss.margin) for a, p, n in chosen
    )


def matryoshka(loss, X, y):
    parts = zip(loss.losses, loss.dims, loss.weights, strict=True)
    return sum(
        weight * ORACLES[type(part)](part, [further.unit(x[:width]) for x in X], y)
        for part, width, weight in parts
    )


def grouped(loss, X, y):
    ends = [sum(loss.group_sizes[: k + 1]) for k in range(len(loss.group_sizes))]
    cuts = [slice(end - size, end) for end, size in zip(ends, loss.group_sizes, strict=True)]
    Z = [[further.unit(x[cut]) for x in X] for cut in cuts]
    value = loops.mean(
        ORACLES[type(part)](part, z, y) for part, z in zip(loss.losses, Z, strict=True)
    )
    if loss.divergence:
        for j in range(len(Z)):
            for k in range(j + 1, len(Z)):
                d = [loops.sq(a, b) for a, b in zip(Z[j], Z[k], strict=True)]
                gaps = [loss.divergence_margin - x for x in d]
                value = value + loss.divergence * loops.mean(map(loops.hinge, gaps))
    return value


def cascaded(loss, X, y):
    """Contrastive losses in Hadsell's form, on rows as they are."""
    n, value, begin = len(y), 0.0, 0
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    for part, size, share in zip(
        loss.losses, loss.group_sizes, (*loss.fractions, None), strict=True
    ):
        Z = [x[begin : begin + size] for x in X]
        begin += size
        terms = {}
        for i, j in pairs:
            gap = loops.hinge(part.margin - loops.dist(Z[i], Z[j]))
            terms[i, j] = (loops.sq(Z[i], Z[j]) if y[i] == y[j] else gap**2) / 2
        value = value + loops.mean(terms.values())
        if share is None:
            return value
        kept = []
        for same in (True, False):
            kind = [(i, j) for i, j in pairs if (y[i] == y[j]) is same]
            hardest = sorted(kind, key=lambda p: loops.sq(Z[p[0]], Z[p[1]]).item(), reverse=same)
            kept += hardest[: -int(-share * len(kind) // 1)]
        pairs = kept


def weighted_sum(loss, X, y):
    parts = zip(loss.losses, loss.weights, strict=True)
    return sum(weight * ORACLES[type(part)](part, X, y) for part, weight in parts)


def moments(loss, X, y):
    W = loss.projections
    value = ORACLES[type(loss.loss)](loss.loss, X, y)
    for order, part in enumerate(loss.high_order, start=2):
        lifted = []
        for x in X:
            phi = torch.ones(loss.dim, dtype=torch.float64)
            for k in range(order):
                phi = phi * (W[k] @ x)
            lifted.append(phi / (phi @ phi).sqrt())
        value = value + ORACLES[type(part)](part, lifted, y)
    return value


def proxy_regularizer(loss, X, y):
    W = loss.loss.proxies
    C = loss.loss.n_classes
    if loss.kind == "norm":
        penalty = loops.mean(w @ w for w in W)
    elif loss.kind == "zero_mean":
        center = sum(loops.unit(W)) / len(W)
        penalty = center @ center
    else:
        penalty = loops.mean(
            max(loops.cos(w, v) for j, v in enumerate(W) if j % C != i % C) for i, w in enumerate(W)
        )
    return ORACLES[type(loss.loss)](loss.loss, X, y) + loss.weight * penalty


def built(loss):
    """The loss with proxies (and whatever else it learns) that do not depend on the caller."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        loss = loss.build(N_CLASSES, DIM).double()
        for parameter in [*loss.parameters(), *loss.buffers()]:
            if parameter.is_floating_point() and parameter.dim() and not parameter.any():
                parameter.data.normal_()
        return loss


def with_tree(loss):
    """A hierarchical triplet loss that has seen a training set."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(N_CLASSES).repeat_interleave(5)
    centers = torch.randn(N_CLASSES, DIM, generator=generator, dtype=torch.float64)
    rows = centers[labels] + torch.randn(len(labels), DIM, generator=generator).double() / 3
    loss.refresh(torch.nn.functional.normalize(rows), labels)
    return loss


L = losses
LOSSES = [
    Case("contrastive", L.ContrastiveLoss(margin=1.5), loops.contrastive),
    Case(
        "contrastive-hinge", L.ContrastiveLoss(margin=1.5, form="squared_hinge"), loops.contrastive
    ),
    Case("contrastive-cosine", L.ContrastiveLoss(margin=0.1, form="cosine"), loops.contrastive),
    Case("contrastive-absolute", L.ContrastiveLoss(margin=1.5, form="absolute"), loops.contrastive),
    Case("snr-contrastive", L.SNRContrastiveLoss(margin=1.5), loops.snr_contrastive),
    Case("margin", L.MarginLoss(nu=0.1).double(), loops.margin),
    Case("margin-class", built(L.MarginLoss(nu=0.1, scope="class")), loops.margin),
    Case("margin-fixed", L.MarginLoss(beta=0.8, learn_beta=False).double(), loops.margin),
    Case("multi-similarity", L.MultiSimilarityLoss(), loops.multi_similarity),
    Case(
        "multi-similarity-mined",
        L.MinedLoss(L.MultiSimilarityLoss(), MultiSimilarityMiner()),
        mined_multi_similarity,
    ),
    Case("circle", L.CircleLoss(), loops.circle),
    Case("lifted", L.LiftedStructureLoss(), loops.lifted),
    Case("lifted-original", L.LiftedStructureLoss(form="original"), loops.lifted),
    Case("lifted-generalized", L.LiftedStructureLoss(form="generalized"), loops.lifted),
    Case("ranked-list", L.RankedListLoss(), loops.ranked_list),
    Case("ranked-list-full", L.RankedListLoss(positive_temperature=3.0), loops.ranked_list),
    Case("triplet", L.TripletLoss(), loops.triplet),
    Case("triplet-mean", L.TripletLoss(margin=0.5, squared=False, reduction="mean"), loops.triplet),
    Case(
        "triplet-soft",
        L.TripletLoss(0.0, squared=False, soft=True, reduction="mean"),
        loops.triplet,
    ),
    Case("triplet-swap", L.TripletLoss(margin=0.3, swap=True), loops.triplet),
    Case("triplet-soft-swap", L.TripletLoss(soft=True, swap=True, reduction="mean"), loops.triplet),
    Case(
        "triplet-semi-hard",
        L.MinedLoss(L.TripletLoss(0.6), SemiHardMiner()),
        loops.semi_hard_triplet,
    ),
    Case(
        "triplet-hard", L.MinedLoss(L.TripletLoss(squared=False), HardMiner()), loops.hard_triplet
    ),
    Case("triplet-batch-hard", L.MinedLoss(L.TripletLoss(), BatchHardMiner()), listed_triplet),
    Case("hierarchical-triplet", built(L.HierarchicalTripletLoss()), loops.hierarchical_triplet),
    Case(
        "hierarchical-triplet-tree",
        with_tree(built(L.HierarchicalTripletLoss())),
        loops.hierarchical_triplet,
    ),
    Case(
        "label-distance-triplet",
        L.LabelDistanceTripletLoss(near=0.5, far=0.5),
        loops.label_distance_triplet,
    ),
    Case("label-distance-wide", L.LabelDistanceTripletLoss(1.0, 1.5), loops.label_distance_triplet),
    Case("log-ratio", L.LogRatioLoss(), loops.log_ratio),
    Case("angular", L.AngularLoss(), loops.angular),
    Case("tuplet-margin", L.TupletMarginLoss(scale=8.0), loops.tuplet_margin),
    Case("quadruplet", L.QuadrupletLoss(), loops.quadruplet),
    Case("n-pair", L.NPairLoss(), loops.n_pair),
    Case("ntxent", L.NTXentLoss(), loops.ntxent),
    Case("supcon", L.SupConLoss(), loops.supcon),
    Case("soft-nearest-neighbor", L.SoftNearestNeighborLoss(), loops.soft_nearest_neighbor),
    Case("softmax", built(L.SoftmaxLoss(scale=2.0)), proxies.softmax),
    Case("softmax-smoothed", built(L.SoftmaxLoss(3.0, label_smoothing=0.2)), proxies.softmax),
    Case("softmax-neck", built(L.SoftmaxLoss(2.0, 0.1, neck=True)), proxies.softmax),
    Case("normalized-softmax", built(L.NormalizedSoftmaxLoss()), proxies.normalized_softmax),
    Case("sphereface", built(L.SphereFaceLoss()), proxies.sphereface),
    Case(
        "sphereface-lengths",
        built(L.SphereFaceLoss(3, None, lambda_max=0, lambda_min=0)),
        proxies.sphereface,
    ),
    Case("cosface", built(L.CosFaceLoss()), proxies.cosface),
    Case("arcface", built(L.ArcFaceLoss()), proxies.arcface),
    Case("arcface-wide", built(L.ArcFaceLoss(margin=1.5, scale=8.0)), proxies.arcface),
    Case("subcenter-arcface", built(L.SubCenterArcFaceLoss(scale=8.0)), proxies.subcenter_arcface),
    Case("proxy-nca", built(L.ProxyNCALoss()), proxies.proxy_nca),
    Case("proxy-nca++", built(L.ProxyNCAPlusPlusLoss()), proxies.proxy_nca_plus_plus),
    Case("soft-triple", built(L.SoftTripleLoss(n_centers=3)), proxies.soft_triple),
    Case("proxy-anchor", built(L.ProxyAnchorLoss()), proxies.proxy_anchor),
    Case("proxy-repulsion", built(L.ProxyRepulsionLoss()), proxies.proxy_repulsion),
    Case(
        "proxy-repulsion-batch",
        built(L.ProxyRepulsionLoss(variant="batch")),
        proxies.proxy_repulsion,
    ),
    Case("fastap", L.FastAPLoss(), loops.fastap),
    Case("smooth-ap", L.SmoothAPLoss(temperature=0.1), loops.smooth_ap),
    Case("recall-at-k", L.RecallAtKLoss(ks=(1, 2, 4), rank_temperature=0.1), loops.recall_at_k),
    Case("histogram", L.HistogramLoss(n_bins=25), loops.histogram),
    Case("group", built(L.GroupLoss()), loops.group),
    Case("margin-cosine", L.MarginLoss(comparison="cosine").double(), further.margin_of_cosines),
    Case("lifted-cosine", L.LiftedStructureLoss(form="cosine"), further.lifted_of_cosines),
    Case("all-n-pair", L.NPairLoss(pairs="all"), further.n_pair_of_all),
    Case("proxy-nca-plain", built(L.ProxyNCALoss(form="plain")), further.plain_proxy_nca),
    Case("p2s-grad", built(L.P2SGradLoss()), further.p2s_grad),
    Case("large-margin-softmax", built(L.LargeMarginSoftmaxLoss()), further.large_margin_softmax),
    Case(
        "large-margin-softmax-whole",
        built(L.LargeMarginSoftmaxLoss(3, 2.0, lambda_max=0, lambda_min=0)),
        further.large_margin_softmax,
    ),
    *(
        Case(f"pnp-{variant}", L.PNPLoss(variant, temperature=0.1), further.pnp)
        for variant in (
            "plain",
            "decreasing_slow",
            "decreasing_fast",
            "increasing_unbounded",
            "increasing_bounded",
        )
    ),
    Case("dynamic-soft-margin", L.DynamicSoftMarginLoss(n_bins=16), further.dynamic_soft_margin),
    Case("adaptive-triplet", L.AdaptiveTripletLoss(soft=False), further.adaptive_triplet),
    Case("adaptive-triplet-soft", L.AdaptiveTripletLoss(), further.adaptive_triplet),
    Case(
        "adaptive-triplet-mean", L.AdaptiveTripletLoss(0.3, False, "mean"), further.adaptive_triplet
    ),
    Case("manifold", built(L.ManifoldLoss()), further.manifold),
    Case("manifold-wide", built(L.ManifoldLoss(0.05, 0.5, 2.0)), further.manifold),
    Case("vicreg", L.VICRegLoss(), further.vicreg),
    Case("two-views", L.TwoViewLoss(L.NTXentLoss(0.5)), further.two_views),
    Case("intra-pair-variance", L.IntraPairVarianceLoss(), further.intra_pair_variance),
    Case(
        "threshold-consistent",
        L.ThresholdConsistentMarginLoss(0.8, 0.2, 2.0, 3.0),
        further.threshold_consistent,
    ),
    Case(
        "matryoshka",
        built(L.Matryoshka(L.ProxyAnchorLoss(), dims=(1, 3), weights=(0.5, 2.0))),
        matryoshka,
    ),
    Case("matryoshka-pairs", L.Matryoshka(L.SupConLoss(), (2, 3), (1.0, 1.0)), matryoshka),
    Case("binomial-deviance", L.BinomialDevianceLoss(), further.binomial_deviance),
    Case("binomial-deviance-wide", L.BinomialDevianceLoss(5, -0.2, 3), further.binomial_deviance),
    Case("boosted", L.BoostedLoss(2, cost=2.0), further.boosted),
    Case("boosted-three", L.BoostedLoss(3, 1.5, 0.2, 4.0), further.boosted),
    Case("boosted-sizes", L.BoostedLoss((2, 1), cost=3.0), further.boosted),
    Case("grouped", built(L.GroupedLoss(L.ProxyAnchorLoss(), 3)), grouped),
    Case(
        "grouped-apart",
        built(L.GroupedLoss(L.AngularLoss(), 3, divergence=0.7, divergence_margin=2.5)),
        grouped,
    ),
    Case(
        "cascaded",
        built(L.CascadedLoss(L.ContrastiveLoss(2.0), (0.5, 0.4))),
        cascaded,
    ),
    Case("cascaded-sizes", built(L.CascadedLoss(L.ContrastiveLoss(1.0), (0.3,), (1, 2))), cascaded),
    Case(
        "grouped-sizes",
        built(L.GroupedLoss([L.TripletLoss(0.7), L.NTXentLoss(0.5)], (1, 2))),
        grouped,
    ),
    Case("center", built(L.CenterLoss()), loops.center),
    Case("alignment", L.AlignmentLoss(), loops.alignment),
    Case("alignment-distance", L.AlignmentLoss(alpha=1.0), loops.alignment),
    Case("uniformity", L.UniformityLoss(), loops.uniformity),
    Case("embedding-norm", L.EmbeddingNormLoss(radius=0.5), loops.embedding_norm),
    Case(
        "weighted-sum",
        built(L.WeightedSum([L.AlignmentLoss(), L.ArcFaceLoss(scale=8.0)], [0.5, 2.0])),
        weighted_sum,
    ),
    Case(
        "memory-empty",
        built(L.CrossBatchMemory(L.SupConLoss(), size=4)),
        lambda loss, X, y: loops.supcon(loss.loss, X, y),
    ),
    Case("moments", built(L.EmbeddingMomentsLoss(L.SupConLoss(), n_orders=3, dim=8)), moments),
    Case(
        "moments-proxies",
        built(L.EmbeddingMomentsLoss(L.ProxyAnchorLoss(), n_orders=2, dim=8, trainable=True)),
        moments,
    ),
    Case(
        "proxy-separation",
        built(L.ProxyRegularizer(L.SubCenterArcFaceLoss(scale=8.0))),
        proxy_regularizer,
    ),
    Case(
        "proxy-norm", built(L.ProxyRegularizer(L.ProxyAnchorLoss(), 0.3, "norm")), proxy_regularizer
    ),
    Case(
        "proxy-zero-mean",
        built(L.ProxyRegularizer(L.ProxyAnchorLoss(), 0.3, "zero_mean")),
        proxy_regularizer,
    ),
]

#: For the wrappers: class to loop.
ORACLES = {type(case.loss): case.oracle for case in LOSSES}

#: Losses whose value depends on the order of the rows within a class, as their papers have it.
ORDERED = {"n-pair", "group", "vicreg"}


# miners -----------------------------------------------------------------------------------------


class MinerCase(NamedTuple):
    name: str
    miner: object
    oracle: object


MINER_LOOPS = {
    BatchHardMiner: miner_loops.batch_hard,
    EasyPositiveMiner: miner_loops.easy_positive,
}

MINERS = [
    MinerCase("easy-positive", EasyPositiveMiner(), miner_loops.easy_positive),
    MinerCase("easy-positive-hard", EasyPositiveMiner(negative="hard"), miner_loops.easy_positive),
    MinerCase("multi-similarity", MultiSimilarityMiner(), miner_loops.multi_similarity_pairs),
    MinerCase("pair-margin", PairMarginMiner(), miner_loops.pair_margin),
    MinerCase("hdc", HDCMiner(), miner_loops.hdc),
    MinerCase("hdc-less", HDCMiner(fraction=0.4), miner_loops.hdc),
    MinerCase("all", AllMiner(), miner_loops.all_triplets),
    MinerCase("semi-hard", SemiHardMiner(), miner_loops.semi_hard),
    MinerCase(
        "semi-hard-distance", SemiHardMiner(margin=0.7, squared=False), miner_loops.semi_hard
    ),
    MinerCase("hard", HardMiner(), miner_loops.hard),
    MinerCase("batch-hard", BatchHardMiner(), miner_loops.batch_hard),
    MinerCase("angular", AngularMiner(), miner_loops.angular),
    MinerCase("angular-wide", AngularMiner(45), miner_loops.angular),
    *(
        MinerCase(f"{p}-{n}", EasyHardMiner(p, n), miner_loops.easy_hard)
        for p in ("easy", "semi_hard", "hard", "all")
        for n in ("easy", "semi_hard", "hard", "all")
        if (p, n) != ("semi_hard", "semi_hard")
    ),
]

#: Miners that draw: what they may yield is tested, not what they do.
RANDOM_MINERS = [
    RandomMiner,
    DistanceHistogramMiner,
    DistanceWeightedMiner,
    UniformHistogramMiner,
]
