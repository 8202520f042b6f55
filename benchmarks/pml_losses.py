"""pytorch-metric-learning's losses in the settings that come nearest to our defaults."""

import math


def pml_losses(n_classes, dim):
    """Name of our loss -> (maker of their loss and miner, how near).

    "same" is the same formula in value and gradient, as the tests compare it; "near" is the loss of
    that name as they define it, or the same on embeddings of length one, to which they bring them.
    """
    from pytorch_metric_learning import distances, losses, miners, regularizers

    sizes = {"num_classes": n_classes, "embedding_size": dim}
    degrees = math.degrees(0.5)

    def squared():
        return distances.LpDistance(power=2)

    def soft_triple():
        centers = regularizers.SparseCentersRegularizer(n_classes, 10)
        return losses.SoftTripleLoss(
            **sizes, weight_regularizer=centers, weight_reg_weight=0.2
        ), None

    return {
        "contrastive": (lambda: (losses.ContrastiveLoss(), None), "near"),
        "contrastive:form=absolute": (lambda: (losses.ContrastiveLoss(), None), "same"),
        "snr_contrastive": (
            lambda: (
                losses.SignalToNoiseRatioContrastiveLoss(pos_margin=0.01, neg_margin=0.2),
                None,
            ),
            "near",
        ),
        "margin": (lambda: (losses.MarginLoss(learn_beta=True), None), "near"),
        "multi_similarity": (lambda: (losses.MultiSimilarityLoss(), None), "same"),
        "circle": (lambda: (losses.CircleLoss(), None), "same"),
        "lifted_structure": (lambda: (losses.LiftedStructureLoss(), None), "near"),
        "ranked_list": (lambda: (losses.RankedListLoss(margin=0.4, Tn=10), None), "near"),
        "triplet": (
            lambda: (
                losses.TripletMarginLoss(0.2, distance=squared()),
                miners.TripletMarginMiner(0.2, "semihard", distance=squared()),
            ),
            "same",
        ),
        "angular": (lambda: (losses.AngularLoss(45), None), "same"),
        "tuplet_margin": (lambda: (losses.TupletMarginLoss(), None), "same"),
        "n_pair": (lambda: (losses.NPairsLoss(), None), "near"),
        "ntxent": (lambda: (losses.NTXentLoss(0.1), None), "same"),
        "supcon": (lambda: (losses.SupConLoss(0.1), None), "same"),
        "soft_nearest_neighbor": (lambda: (losses.NCALoss(softmax_scale=1), None), "near"),
        "normalized_softmax": (
            lambda: (losses.NormalizedSoftmaxLoss(temperature=0.05, **sizes), None),
            "same",
        ),
        "sphereface": (lambda: (losses.SphereFaceLoss(scale=30, **sizes), None), "near"),
        "cosface": (lambda: (losses.CosFaceLoss(margin=0.35, scale=64, **sizes), None), "same"),
        "arcface": (lambda: (losses.ArcFaceLoss(margin=degrees, scale=64, **sizes), None), "same"),
        "subcenter_arcface": (
            lambda: (losses.SubCenterArcFaceLoss(margin=degrees, scale=64, **sizes), None),
            "same",
        ),
        "proxy_nca++": (lambda: (losses.ProxyNCALoss(softmax_scale=9, **sizes), None), "same"),
        "soft_triple": (soft_triple, "same"),
        "proxy_anchor": (lambda: (losses.ProxyAnchorLoss(**sizes), None), "same"),
        "fastap": (lambda: (losses.FastAPLoss(), None), "same"),
        "histogram": (lambda: (losses.HistogramLoss(n_bins=100), None), "same"),
    }
