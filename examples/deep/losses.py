"""
What each loss pulls and pushes
===============================

The same batch for every loss: three classes of four points on a circle, as embeddings of length
one are. Each arrow is where the loss would have its point go, the longest arrow of a panel drawn at
one length. Points that a loss is content with have none.
"""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import torch

from metriclearn.deep.losses import (
    AdaptiveTripletLoss,
    AlignmentLoss,
    AngularLoss,
    ArcFaceLoss,
    BinomialDevianceLoss,
    CenterLoss,
    CircleLoss,
    ContrastiveLoss,
    CosFaceLoss,
    DynamicSoftMarginLoss,
    EmbeddingNormLoss,
    FastAPLoss,
    GroupLoss,
    HierarchicalTripletLoss,
    HistogramLoss,
    IntraPairVarianceLoss,
    LargeMarginSoftmaxLoss,
    LiftedStructureLoss,
    ManifoldLoss,
    MarginLoss,
    MultiSimilarityLoss,
    NormalizedSoftmaxLoss,
    NPairLoss,
    NTXentLoss,
    P2SGradLoss,
    PNPLoss,
    ProxyAnchorLoss,
    ProxyNCALoss,
    ProxyNCAPlusPlusLoss,
    ProxyRepulsionLoss,
    QuadrupletLoss,
    RankedListLoss,
    RecallAtKLoss,
    SmoothAPLoss,
    SNRContrastiveLoss,
    SoftmaxLoss,
    SoftNearestNeighborLoss,
    SoftTripleLoss,
    SphereFaceLoss,
    SubCenterArcFaceLoss,
    SupConLoss,
    ThresholdConsistentMarginLoss,
    TripletLoss,
    TupletMarginLoss,
    UniformityLoss,
    VICRegLoss,
    pair_weights,
)
from metriclearn.plots import PairWeightsDisplay

angles = np.radians([80, 95, 115, 160, 190, 205, 150, 230, 300, 330, 350, 100])
points = torch.tensor(np.column_stack([np.cos(angles), np.sin(angles)]), dtype=torch.float32)
labels = torch.arange(12) // 4


def pull(kind):
    """Return where a loss of its defaults moves each point: the gradient, turned round."""
    torch.manual_seed(0)
    wanted = {"n_classes": 3, "embedding_dim": 2}
    known = inspect.signature(kind).parameters
    loss = kind(**{name: value for name, value in wanted.items() if name in known})
    moved = points.clone().requires_grad_()
    loss(moved, labels).backward()
    return -moved.grad.numpy()


def draw(kinds):
    """Draw a panel for each loss."""
    rows = -(-len(kinds) // 4)
    _, axes = plt.subplots(rows, 4, figsize=(12, 3.2 * rows), layout="constrained")
    for ax in axes.flat[len(kinds) :]:
        ax.set_axis_off()
    for ax, kind in zip(axes.flat, kinds, strict=False):
        arrows = pull(kind)
        arrows *= 0.6 / np.linalg.norm(arrows, axis=1).max()
        ax.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.85"))
        for label, marker in enumerate("o^s"):
            ax.scatter(*points[labels == label].T, marker=marker, s=30)
        ax.quiver(*points.T, *arrows.T, angles="xy", scale_units="xy", scale=1, width=0.008)
        ax.set(title=kind.__name__, aspect="equal", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
        ax.set_axis_off()


# %%
# Pairs
# -----
# Similar rows together, others apart, each pair for itself or weighed against the others.
draw(
    [
        ContrastiveLoss,
        SNRContrastiveLoss,
        MarginLoss,
        BinomialDevianceLoss,
        MultiSimilarityLoss,
        CircleLoss,
        LiftedStructureLoss,
        RankedListLoss,
    ]
)

# %%
# Triplets and quadruplets
# ------------------------
# One row nearer than another: once that holds by the margin, most of these are content.
draw(
    [
        TripletLoss,
        AdaptiveTripletLoss,
        DynamicSoftMarginLoss,
        HierarchicalTripletLoss,
        AngularLoss,
        QuadrupletLoss,
        TupletMarginLoss,
    ]
)

# %%
# A softmax over the batch
# ------------------------
# A positive against all negatives of the batch at once: never quite content.
draw(
    [
        NPairLoss,
        NTXentLoss,
        SupConLoss,
        SoftNearestNeighborLoss,
    ]
)

# %%
# A proxy for each class
# ----------------------
# Rows meet vectors that are learned with them. Those are at random places here, so the arrows say
# where a class is to be before anything was learned.
draw(
    [
        SoftmaxLoss,
        NormalizedSoftmaxLoss,
        P2SGradLoss,
        LargeMarginSoftmaxLoss,
        SphereFaceLoss,
        CosFaceLoss,
        ArcFaceLoss,
        SubCenterArcFaceLoss,
        ProxyNCALoss,
        ProxyNCAPlusPlusLoss,
        SoftTripleLoss,
        ProxyAnchorLoss,
        ProxyRepulsionLoss,
    ]
)

# %%
# Rankings and distributions
# --------------------------
# The measure itself, made smooth: what is in the right order already is hardly moved.
draw(
    [
        FastAPLoss,
        SmoothAPLoss,
        PNPLoss,
        RecallAtKLoss,
        HistogramLoss,
        GroupLoss,
        ManifoldLoss,
        VICRegLoss,
    ]
)

# %%
# Terms to add
# ------------
# Not a metric by themselves: :class:`~metriclearn.deep.losses.WeightedSum` adds them to a loss.
draw(
    [
        CenterLoss,
        AlignmentLoss,
        UniformityLoss,
        EmbeddingNormLoss,
        IntraPairVarianceLoss,
        ThresholdConsistentMarginLoss,
    ]
)

# %%
# Which pairs count
# -----------------
# The same as weights of pairs: below zero a loss draws a pair together, above it pushes it apart.
# On a curve the loss looks at the pair alone; off it, at the others as well.
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for ax, loss in zip(axes, [ContrastiveLoss(), NTXentLoss(), MultiSimilarityLoss()], strict=True):
    similarities, weights = pair_weights(loss, points, labels)
    PairWeightsDisplay.from_predictions(
        similarities, weights, labels, name=type(loss).__name__, ax=ax
    )
