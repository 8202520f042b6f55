"""
Which pairs and triplets a miner chooses
========================================

One batch, embedded on a plane, and what each miner takes of it: an unbroken line to a positive, a
dashed one to a negative. A batch holds a thousand triplets, most of which teach nothing; a miner is
a rule for those that do.
"""

import matplotlib.pyplot as plt
import torch

from metriclearn.deep.miners import (
    AllMiner,
    AngularMiner,
    BatchHardMiner,
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

torch.manual_seed(1)
labels = torch.arange(18) // 6
centers = torch.tensor([[0.0, 0.0], [1.0, 0.2], [0.4, 0.9]])
points = centers[labels] + 0.3 * torch.randn(18, 2)
miners = [
    AllMiner(),
    RandomMiner(),
    HardMiner(),
    SemiHardMiner(margin=0.2),
    BatchHardMiner(),
    EasyPositiveMiner(),
    EasyHardMiner(),
    AngularMiner(),
    DistanceWeightedMiner(),
    MultiSimilarityMiner(),
    PairMarginMiner(),
    HDCMiner(),
    UniformHistogramMiner(),
]

figure, axes = plt.subplots(3, 5, figsize=(13, 8), layout="constrained")
for ax in axes.flat:
    ax.set_axis_off()
for ax, miner in zip(axes.flat, miners, strict=False):
    mined = miner(points, labels)
    if miner.yields == "pairs":
        size = f"{len(mined.positives)} + {len(mined.negatives)} pairs"
        near, far = mined.positives, mined.negatives
    else:
        size = f"{len(mined.anchor)} triplets"
        near = torch.stack([mined.anchor, mined.positive], dim=1)
        far = torch.stack([mined.anchor, mined.negative], dim=1)
    for pairs, look in [(far, {"color": "C1", "linestyle": "--"}), (near, {"color": "C0"})]:
        ends = points[pairs.unique(dim=0)].permute(2, 1, 0).numpy()
        ax.plot(*ends, linewidth=0.6, zorder=0, **look)
    for label, marker in enumerate("o^s"):
        ax.scatter(*points[labels == label].T, marker=marker, color="0.3", s=18)
    ax.set(title=f"{type(miner).__name__}\n{size}")
