"""
A linear metric on a deep one
=============================

A network is trained once, on much data. Where it is used things look a little different, and there
are few labels: a linear metric, learned on its embedding, takes seconds and no training of the
network.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from metriclearn import LFDA
from metriclearn.deep import DeepEmbedder
from metriclearn.plots import EmbeddingDisplay

# %%
# Digits anywhere in the picture. The network sees a thousand of them in good light. The others are
# taken in the light of a lamp, from changing sides, and four hundred of them have labels.
digits = load_digits()
rng = np.random.RandomState(0)
y = digits.target
X = np.zeros((len(y), 12, 12))
for image, room, (row, column) in zip(
    digits.images, X, rng.randint(5, size=(len(y), 2)), strict=True
):
    room[row : row + 8, column : column + 8] = image
axis = np.linspace(-1, 1, 12)
lamp = np.stack([np.ones((12, 12)), *np.meshgrid(axis, axis)])
X[1000:] += np.tensordot(rng.normal(scale=4, size=(len(X) - 1000, 3)), lamp, axes=1)

network = DeepEmbedder("convnet", "ntxent", max_epochs=15, validation=None, random_state=0)
network.fit(X[:1000], y[:1000])

# %%
# Neighbors among the four hundred tell the rest. A linear metric alone cannot help with digits
# that move; a network alone is misled by the lamp, but leaves what a linear metric can mend.
labeled, rest = slice(1000, 1400), slice(1400, None)
pixels, embedding = X.reshape(len(X), -1), network.transform(X)
spaces = {"pixels": (pixels, []), "linear": (pixels, [LFDA(9)])}
spaces |= {"deep": (embedding, []), "linear on deep": (embedding, [LFDA(9)])}
accuracy = {}
for name, (rows, metric) in spaces.items():
    model = make_pipeline(*metric, KNeighborsClassifier(3)).fit(rows[labeled], y[labeled])
    accuracy[name] = model.score(rows[rest], y[rest])
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
bars = ax.barh(list(accuracy), list(accuracy.values()), color=["0.7", "C0", "C1", "C2"])
ax.bar_label(bars, fmt="{:.0%}", padding=3)
ax.invert_yaxis()
ax.set(xlim=(0, 1), xlabel="digits told by their three neighbors")

# %%
linear = LFDA(9).fit(embedding[labeled], y[labeled])
figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
EmbeddingDisplay.from_predictions(embedding[rest], y[rest], name="deep", ax=axes[0])
display = EmbeddingDisplay.from_predictions(
    linear.transform(embedding[rest]), y[rest], name="linear on deep", ax=axes[1]
)
