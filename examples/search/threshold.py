"""
Choosing a threshold
====================

Are these two the same? A metric gives a distance; the answer takes a threshold, and which one is
right depends on what a wrong yes costs.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator

from metriclearn import LFDA, PairClassifier
from metriclearn.metrics import (
    best_threshold,
    bootstrap_over_identities,
    equal_error_rate,
    tar_at_far,
    verification_accuracy,
    verification_curve,
    verification_pairs,
)
from metriclearn.plots import DistanceHistogramDisplay, VerificationCurveDisplay

# %%
# People the metric never saw
# ---------------------------
# Two hundred people with ten pictures each, as sixteen numbers, of which eight change with the
# light and not with the person. The metric is learned from a hundred people; pairs of pictures are
# drawn from the others.
rng = np.random.RandomState(0)
person = np.repeat(np.arange(200), 10)
face = np.arange(16) < 8
X = 2 * rng.randn(200, 16)[person] * face + rng.randn(2000, 16) * np.where(face, 1, 2)
seen = person < 100
metric = LFDA(n_components=8).fit(X[seen], person[seen])
rows, names = X[~seen], person[~seen]

pairs = verification_pairs(names, n_pairs=150, random_state=0)
first, second = rows[pairs.indices].transpose(1, 0, 2)
distances = {
    "Euclid": np.linalg.norm(first - second, axis=1),
    "LFDA": metric.paired_distances(first, second),
}

# %%
# Two heaps of distances
# ----------------------
# The same person is near, others are far, and between the heaps is the threshold that is right most
# often.
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
spaces = {"Euclid": rows, "LFDA": metric.transform(rows)}
for ax, (name, space) in zip(axes, spaces.items(), strict=True):
    threshold = best_threshold(pairs.same, distances[name])
    DistanceHistogramDisplay.from_predictions(space, names, threshold=threshold, name=name, ax=ax)
    folds = verification_accuracy(pairs.same, distances[name], pairs.folds)
    print(f"{name}: {folds.mean():.3f} of the pairs are right, threshold from other folds")

# %%
# A wrong yes, a wrong no
# -----------------------
# Along the curve the threshold grows: more pairs of one person are accepted, and more of two. For
# the band around it people are drawn, not pairs, since pairs that share a person are not
# independent.
figure, ax = plt.subplots(figsize=(6.5, 5), layout="constrained")
for name, values in distances.items():
    VerificationCurveDisplay.from_predictions(
        pairs.same, values, identities=names[pairs.indices], n_resamples=50, name=name, ax=ax
    )
    low, high = bootstrap_over_identities(
        equal_error_rate, pairs.same, values, names[pairs.indices], n_resamples=50, random_state=0
    )
    print(
        f"{name}: equal error rate {equal_error_rate(pairs.same, values):.3f} "
        f"({low:.3f} to {high:.3f}), "
        f"accepted at one wrong yes in a hundred: {tar_at_far(pairs.same, values, far=0.01):.2f}"
    )

# %%
# The same as an estimator
# ------------------------
# ``threshold="max_tpr"`` accepts as many as it can while one in a hundred strangers gets in.
model = PairClassifier(FrozenEstimator(metric), threshold="max_tpr", max_fpr=0.01, points=rows)
model.fit(pairs.indices, pairs.same)
curve = verification_curve(pairs.same, distances["LFDA"])
print(
    f"the curve has {len(curve.thresholds)} thresholds, the classifier took {model.threshold_:.2f}"
)
answers = model.predict(pairs.indices)
same, other = answers[pairs.same].mean(), answers[~pairs.same].mean()
print(f"yes to {same:.2f} of the same, {other:.3f} of others")
