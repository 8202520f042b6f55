"""Deep learners: one network for rows, one for images, and any loss of the library."""

import numpy as np
from sklearn.pipeline import Pipeline

from metriclearn.compare._images import shrinker


def deep(setting, loss):
    """Make an embedder that is trained with a loss."""
    from metriclearn.deep import DeepEmbedder

    # Training stops after so many updates, without a validation part of its own:
    # every loss gets as much, small data as much as large, and no row is spared.
    embedder = DeepEmbedder(loss=loss, validation=None)
    steps = []
    if setting.image_shape is None:
        embedder.set_params(module="mlp", n_components=32)
        n_updates = 400
    else:
        shrink, shape = shrinker(setting.image_shape), setting.image_shape
        if shrink is not None:
            steps, shape = [("shrink", shrink)], shrink.shape
        embedder.set_params(module="convnet", n_components=128, image_shape=shape)
        # Blocks that each halve the image, down to 2 to 4 pixels a side; what is
        # left of where things are in it is kept, small images are not shifted.
        channels = (32, 64) if min(shape[:2]) < 16 else (16, 32, 64)
        embedder.set_params(
            module_params={"channels": channels}, head_params={"pooling": "flatten"}
        )
        n_updates = 150
    # Long training serves known classes, a short and gentle one unseen ones.
    grid = [
        {"metric__lr": 3e-3, "metric__max_epochs": _epochs(setting, n_updates)},
        {"metric__lr": 1e-3, "metric__max_epochs": _epochs(setting, n_updates // 4)},
    ]
    return Pipeline([*steps, ("metric", embedder)]), grid


def _epochs(setting, n_updates, batch_size=128):
    return int(np.clip(np.ceil(n_updates * batch_size / setting.n_rows), 4, 100))
