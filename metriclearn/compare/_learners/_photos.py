"""Photos: their pixels as a yardstick, and adapters on vectors that a network made."""

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from metriclearn.compare._images import ImageScaler


def pixels(setting):
    """Make the cosine of pixels, which says how much of the answer is color and light."""
    steps = [
        ("numbers", FunctionTransformer(_as_numbers)),
        ("scale", ImageScaler()),
        ("normalize", Normalizer()),
    ]
    return Pipeline(steps), [{}]


#: Epochs that an adapter is trained, and its dimension.
ADAPTER_EPOCHS, ADAPTER_WIDTH = 12, 512
ADAPTER_RATES = {"proxy_anchor": 6e-4, "supcon": 2e-4}


def adapter(setting, loss):
    """Make a linear map that begins as the metric of the vectors; staying there may win."""
    from metriclearn.deep import DeepEmbedder

    embedder = DeepEmbedder(
        "adapter",
        loss,
        n_components=ADAPTER_WIDTH,
        lr=ADAPTER_RATES[loss],
        optimizer="adamw",
        optimizer_params={"weight_decay": 0.1},
        max_epochs=ADAPTER_EPOCHS,
        validation=None,
        device="cpu",
    )
    frozen = Normalizer()
    return Pipeline([("metric", embedder)]), [{"metric": embedder}, {"metric": frozen}]


def stayed_frozen(estimator):
    """Whether validation chose the vectors as they are over an adapter on them."""
    steps = getattr(estimator, "named_steps", {})
    return list(steps) == ["metric"] and isinstance(steps["metric"], Normalizer)


def _as_numbers(pixels):
    return pixels.astype("float32")
