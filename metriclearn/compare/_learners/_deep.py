"""Deep learners: one network for rows, one for images, and any loss of the library."""

from importlib import import_module

from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import Pipeline

from metriclearn.compare._learners._baselines import scaler
from metriclearn.compare._learners._linear import SELECTED
from metriclearn.compare._measuring._images import shrinker

# Widths of the hidden layers, to choose from.
DEEP_AND_WIDE, SHALLOW = (512, 256), (256,)


def deep(setting, loss):
    """Make an embedder that is trained with a loss; ``Training`` says how long."""
    from metriclearn.deep import DeepEmbedder

    embedder = DeepEmbedder(loss=loss, validation=None)
    if setting.image_shape is None:
        return _for_rows(embedder, setting)
    return _for_images(embedder, setting)


def _for_rows(embedder, setting):
    embedder.set_params(module="mlp", n_components=32)
    wide, shallow = (
        {"metric__module__hidden_units": units, "metric__lr": lr}
        for units, lr in ((DEEP_AND_WIDE, 3e-3), (SHALLOW, 1e-3))
    )
    steps = [("metric", embedder)]
    if not setting.is_wide:
        gentle = {**wide, "metric__lr": 1e-3}
        return Pipeline(steps), [wide, shallow, gentle]
    # As for linear learners: all columns, or those that differ most between classes.
    select = SelectKBest(k=SELECTED)
    steps = [("scale", scaler(setting)), ("reduce", select), *steps]
    grid = [{"reduce": select, **wide}, {"reduce": "passthrough", **wide}, {**shallow}]
    return Pipeline(steps), grid


def _for_images(embedder, setting):
    shrink, shape, steps = shrinker(setting.image_shape), setting.image_shape, []
    if shrink is not None:
        steps, shape = [("shrink", shrink)], shrink.shape
    embedder.set_params(module="convnet", n_components=128, image_shape=shape)
    # Blocks that each halve the image, down to 2 to 4 pixels a side; what is
    # left of where things are in it is kept, small images are not shifted.
    channels = (32, 64) if min(shape[:2]) < 16 else (16, 32, 64)
    embedder.set_params(module_params={"channels": channels}, head_params={"pooling": "flatten"})
    wider = tuple(2 * width for width in channels)
    grid = [
        {"metric__lr": 3e-3},
        {"metric__lr": 1e-3},
        {"metric__lr": 3e-3, "metric__module_params": {"channels": wider}},
    ]
    return Pipeline([*steps, ("metric", embedder)]), grid


def linear_on_deep(setting, loss):
    """Make a linear metric on the embedding of a network."""
    estimator, grid = deep(setting, loss)
    learners = import_module("metriclearn.mahalanobis")
    tops = [learners.RCA(shrinkage=0.1), learners.LFDA(shrinkage=0.1)]
    steps = [*estimator.steps[:-1], ("deep", estimator.steps[-1][1]), ("metric", tops[0])]
    below = {key.replace("metric__", "deep__"): value for key, value in grid[0].items()}
    return Pipeline(steps), [{"metric": top, **below} for top in tops]
