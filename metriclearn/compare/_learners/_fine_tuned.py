"""Photos: pixels as a yardstick, adapters on features, and the backbone trained further.

Settings are those that photos and pretrained weights are usually trained with; each can be set.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from metriclearn._text import option
from metriclearn.compare._learners._learner import Learner
from metriclearn.compare._measuring._images import ImageScaler

#: Losses to what tables call them.
LOSSES = {"proxy_anchor": "Proxy-Anchor", "multi_similarity": "multi-similarity"}
#: Settings of `metriclearn.deep.DeepEmbedder` that may be given, and what they are by default;
#: None is chosen by the backbone (the size) or by the effort (the epochs).
DEFAULTS = {
    "lr": 1e-3,
    "backbone_lr": 1e-4,
    "warmup_epochs": 1,
    "freeze_batch_norm": True,
    "n_components": 128,
    "batch_size": 32,
    "optimizer": "adamw",
    "augment": "standard",
    "precision": "float32",
    "image_size": None,
    "max_epochs": None,
}
MAX_EPOCHS = 40


@dataclass(frozen=True)
class FineTuning:
    """What is trained further, and how.

    Attributes
    ----------
    backbone : str, type or nn.Module
        See `metriclearn.images.Features`.
    settings : dict
        All of ``DEFAULTS``.
    """

    backbone: object
    settings: dict = field(default_factory=lambda: dict(DEFAULTS))

    @classmethod
    def make(cls, backbone, finetune):
        """Check what was asked for, before any work.

        Parameters
        ----------
        backbone : str, type, nn.Module, True or None
            What ``features`` is.
        finetune : bool or dict
            Settings in place of those of ``DEFAULTS``.

        Returns
        -------
        FineTuning
        """
        given = {} if finetune is True else finetune
        if not hasattr(given, "items"):
            raise ValueError(f"finetune must be True or a dict of settings, got {finetune!r}")
        if backbone is None or backbone is True:
            raise ValueError(
                "finetune trains the network that makes the features: name it, as in "
                f"{option('features', 'timm/NAME')}"
            )
        unknown = [name for name in given if name not in DEFAULTS]
        if unknown:
            raise ValueError(
                f"finetune: {unknown[0]!r} is not a setting; there are {', '.join(DEFAULTS)}"
            )
        settings = {**DEFAULTS, **given}
        told = {name: value for name, value in settings.items() if value is not None}
        from metriclearn.deep import DeepEmbedder
        from metriclearn.deep.modules import Pretrained

        DeepEmbedder(Pretrained, **told)._validate_params()
        try:
            module = Pretrained(backbone, image_size=settings["image_size"])
        except ValueError as error:
            raise ValueError(f"finetune: {error}") from None
        if settings["image_size"] is None:
            settings["image_size"] = module.image_size
        return cls(backbone, settings)

    @property
    def note(self):
        """What a reader should know of the settings."""
        told = {name: value for name, value in self.settings.items() if value is not None}
        text = ", ".join(f"{name}={value}" for name, value in told.items())
        return f"Fine-tuning with {text}; {option('finetune', {'NAME': 'VALUE'})} sets others."

    def join(self, learners):
        """Return learners with those that are fine-tuned: the ones named, or else all.

        Parameters
        ----------
        learners : tuple of Learner

        Returns
        -------
        tuple of Learner
        """
        if not any(map(is_fine_tuned, learners)):
            learners = (*learners, *FINE_TUNED.values())
        return tuple(
            replace(each, make=partial(each.make, tuning=self)) if is_fine_tuned(each) else each
            for each in learners
        )


def fine_tuned(setting, loss, tuning=None):
    """Make an embedder whose network is the backbone, for image files."""
    from metriclearn.deep import DeepEmbedder
    from metriclearn.deep.modules import Pretrained

    tuning = FineTuning(None) if tuning is None else tuning
    settings = dict(tuning.settings)
    if settings["max_epochs"] is None:
        updates = setting.effort.fine_updates
        epochs = np.ceil(updates * settings["batch_size"] / setting.n_rows)
        settings["max_epochs"] = settings["warmup_epochs"] + int(np.clip(epochs, 2, MAX_EPOCHS))
    embedder = DeepEmbedder(
        Pretrained,
        loss,
        module_params={"backbone": tuning.backbone, "image_size": settings["image_size"]},
        validation=None,
        **settings,
    )
    return Pipeline([("metric", embedder)]), [{}]


#: Key to learner, whose network `FineTuning.join` gives it.
FINE_TUNED = {
    f"finetune_{loss}": Learner(
        f"finetune_{loss}",
        f"Fine-tuned, {name}",
        "deep",
        partial(fine_tuned, loss=loss),
        is_own=True,  # used as it is: nothing is scaled or searched for
        cost=100,
        reads="files",
        sets_length=True,
    )
    for loss, name in LOSSES.items()
}


def is_fine_tuned(learner):
    """Whether a learner trains the network that makes the features."""
    return learner.reads == "files"


def pixels(setting):
    """Make the cosine of pixels, which says how much of the answer is color and light."""
    steps = [
        ("numbers", FunctionTransformer(_as_numbers)),
        ("scale", ImageScaler()),
        ("normalize", Normalizer()),
    ]
    return Pipeline(steps), [{}]


#: Dimension of an adapter, and how long it is trained: few rows take more epochs.
ADAPTER_WIDTH = 256
ADAPTER_UPDATES, ADAPTER_BATCH, ADAPTER_EPOCHS = 200, 128, (12, 100)
ADAPTER_RATES = {"proxy_anchor": 6e-4, "supcon": 2e-4}


def adapter(setting, loss):
    """Make a linear map that begins as the metric of the vectors; staying there may win."""
    from metriclearn.deep import DeepEmbedder

    epochs = np.ceil(ADAPTER_UPDATES * ADAPTER_BATCH / setting.n_rows)
    embedder = DeepEmbedder(
        "adapter",
        loss,
        n_components=ADAPTER_WIDTH,
        lr=ADAPTER_RATES[loss],
        optimizer="adamw",
        optimizer_params={"weight_decay": 0.1, "fused": True},
        batch_size=ADAPTER_BATCH,
        max_epochs=int(np.clip(epochs, *ADAPTER_EPOCHS)),
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
