"""
Telling strangers from friends
==============================

A gallery of known people and a camera that sees others, too: the nearest neighbor always has a
name. :class:`~metriclearn.neighbors.OpenSetClassifier` says when the answer is nobody.
"""

import matplotlib.pyplot as plt
import numpy as np

from metriclearn import LFDA
from metriclearn.metrics import identification_rate_at_far
from metriclearn.neighbors import OpenSetClassifier

rng = np.random.RandomState(0)
person = np.repeat(np.arange(160), 10)
face = np.arange(16) < 8
X = 3 * rng.randn(160, 16)[person] * face + rng.randn(1600, 16) * np.where(face, 1, 2)
known, filed = person < 120, np.arange(1600) % 10 < 7
gallery, friends, strangers = known & filed, known & ~filed, ~known

# %%
# The rate is a promise: of strangers at most this share is taken for somebody, on average.
rates = [0.02, 0.05, 0.1, 0.2, 0.4]
found, fooled = [], []
for rate in rates:
    model = OpenSetClassifier(
        LFDA(n_components=8), false_identification_rate=rate, calibration_size=0.4, random_state=0
    ).fit(X[gallery], person[gallery])
    found.append(np.mean(model.predict(X[friends]) == person[friends]))
    fooled.append(np.mean(model.predict(X[strangers]) != -1))

figure, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
ax.plot(rates, found, "o-", label="friends who are named rightly")
ax.plot(rates, fooled, "s--", label="strangers who are given a name")
ax.plot(rates, rates, ":", color="black", label="what was promised")
ax.set(xlabel="false_identification_rate", ylabel="share", ylim=(0, 1.02))
legend = ax.legend()

# %%
# The usual measure of such a system, DIR@FAR: friends found where one stranger in a hundred is
# taken for somebody.
metric = LFDA(n_components=8).fit(X[gallery], person[gallery])
for name, rows in {"Euclid": X, "LFDA": metric.transform(X)}.items():
    rate = identification_rate_at_far(
        rows[~gallery],
        person[~gallery],
        gallery=rows[gallery],
        gallery_labels=person[gallery],
        far=0.01,
    )
    print(f"{name}: {rate:.2f}")
