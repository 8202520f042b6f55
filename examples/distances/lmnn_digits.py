"""
LMNN against Euclid on digits
=============================

The same queries, side by side: what the plain distance finds, and what a learned one does.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from metriclearn import LMNN
from metriclearn.plots import EmbeddingDisplay, NeighborsGalleryDisplay

# %%
# Scans in good light leave little to learn. These were made in a dark room with a lamp, each from
# another side: what changes most from scan to scan is the light.
digits = load_digits()
axis = np.linspace(-1, 1, 8)
light = np.stack([np.ones((8, 8)), *np.meshgrid(axis, axis)]).reshape(3, 64)
lit = digits.data + np.random.RandomState(0).normal(scale=6, size=(len(digits.data), 3)) @ light

X_train, X, y_train, y = train_test_split(
    lit, digits.target, train_size=1000, random_state=0, stratify=digits.target
)
lmnn = LMNN(random_state=0).fit(X_train, y_train)
spaces = {"Euclid": (X_train, X), "LMNN": (lmnn.transform(X_train), lmnn.transform(X))}
for name, (train, test) in spaces.items():
    accuracy = KNeighborsClassifier(3).fit(train, y_train).score(test, y)
    print(f"{name}: {accuracy:.3f} of the new scans are read rightly by their neighbors")

# %%
# Euclid finds scans in the same light, LMNN the same digit.
figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for ax, (name, (_, test)) in zip(axes, spaces.items(), strict=True):
    NeighborsGalleryDisplay.from_predictions(
        test, y, X.reshape(-1, 8, 8), queries=[0, 3, 4, 6, 9], n_neighbors=5, name=name, ax=ax
    )

# %%
# Maps of the two spaces.
figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
for ax, (name, (_, test)) in zip(axes, spaces.items(), strict=True):
    EmbeddingDisplay.from_predictions(test[:300], y[:300], name=name, ax=ax)
