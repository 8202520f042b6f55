"""
XOR: no linear metric, but a kernel
===================================

Four clouds, opposite corners of one class. A linear metric stretches and turns the plane, and no
such map puts opposite corners together; in the space of a kernel one does.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline

from metriclearn import GMML, KernelMetric


def draw(n, rng):
    """Return n points around the corners of a square, and the class of each."""
    corner = rng.randint(4, size=n)
    corners = np.array([[-1, -1], [1, 1], [-1, 1], [1, -1]])
    return corners[corner] + 0.25 * rng.randn(n, 2), corner // 2


# %%
# A point belongs to the class whose center is nearer. So the metric has to bring the two clouds
# of a class together, which is more than nearest neighbors ask of it. The centers of both classes
# lie in the middle of the plane, and after any linear map they still do: a coin would do as well.
# The kernel ``(γ uᵀv + 1)²`` has the product of the coordinates among its own, which tells the
# classes apart, and the same learner finds it there.
rng = np.random.RandomState(0)
X, y = draw(200, rng)
X_test, y_test = draw(2000, rng)
learners = {"linear": GMML(), "kernel": KernelMetric(GMML(), kernel="poly", degree=2)}

figure, axes = plt.subplots(1, 2, figsize=(10, 5), sharey=True, layout="constrained")
axis = np.linspace(-2, 2, 200)
plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
for ax, (name, learner) in zip(axes, learners.items(), strict=True):
    model = make_pipeline(learner, NearestCentroid()).fit(X, y)
    accuracy = model.score(X_test, y_test)
    print(f"{name}: {accuracy:.1f} of the points that were not seen are right")
    regions = model.predict(plane).reshape(200, 200)
    ax.contourf(axis, axis, regions, levels=[-0.5, 0.5, 1.5], colors=["C0", "C1"], alpha=0.2)
    for label, marker in [(0, "o"), (1, "^")]:
        ax.scatter(*X[y == label].T, s=15, marker=marker, label=f"class {label}")
    ax.set(title=f"{name} metric: {accuracy:.1f}", aspect="equal")
legend = axes[0].legend()
