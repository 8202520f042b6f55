"""Image files as the input of an embedder: what :class:`Inputs` is for arrays."""

from dataclasses import dataclass

import numpy as np

from metriclearn.deep._inputs._inputs import Inputs, with_labels
from metriclearn.deep.modules import Pretrained
from metriclearn.deep.modules._libraries import find_library, own_size
from metriclearn.deep.training._assembly import crop_of
from metriclearn.deep.training._dataset import DatasetArray
from metriclearn.deep.training._file_rows import FileRows
from metriclearn.images._datasets import pictures_of_pixels
from metriclearn.images._decode import GRAY_MODES, UnreadableImageError, opened
from metriclearn.images._items import check_no_items, items_of
from metriclearn.images._paths import as_paths, paths_of
from metriclearn.images._reader import ImageReader, missing_files, unreadable
from metriclearn.images._regions import check_size

DEFAULT_SIDE = 224
#: Of how many files it is looked whether they have color.
LOOKED_AT = 64


def are_images(X):
    """Whether ``X`` is image files, or Pillow's images, rather than an array."""
    return items_of(X) is not None


@dataclass
class FileInputs:
    """What the first fit found out about image files; every later ``X`` is read by it.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width, channels) of what the network sees.
    channels_last : bool
        Whether batches keep channels last in memory, which convolutions are faster on.
    crop : dict or None
        Ranges of the random crops of training.
    """

    image_shape: tuple
    channels_last: bool = True
    crop: dict | None = None
    channels_first = False
    integers = False
    scale = 1 / 255
    #: Random crops are cut from the pixels of the files.
    crops = True

    @property
    def n_features(self):
        """Values of an image."""
        return int(np.prod(self.image_shape))

    @classmethod
    def learn(
        cls,
        estimator,
        X,
        y="no_validation",
        *,
        image_size=None,
        crop=None,
        own_module=False,
        **checks,
    ):
        """Read the files of a first fit.

        Parameters
        ----------
        estimator : estimator
        X : ImagePaths, or list or array of paths or of Pillow images
        y : array-like, default="no_validation"
        image_size : int or (height, width), default=None
            None is 224, or what a `Pretrained` module was trained with.
        crop : dict, default=None
            Ranges of the random crops of training.
        own_module : bool, default=False
            Whether the network is the user's own, which may want another memory order.
        **checks
            ``multi_output`` and ``y_numeric``, as of scikit-learn's ``validate_data``.

        Returns
        -------
        inputs : FileInputs
        X : ImagePaths
        y : ndarray, or None where it was not to be read
        """
        size = DEFAULT_SIDE if image_size is None else image_size
        width, height = check_size(size, "image_size")
        X = _one_after_the_other(estimator, X)
        inputs = cls((height, width, 1 if _all_gray(X) else 3), not own_module, crop)
        X, y = inputs.check(estimator, X, y, **checks)
        estimator.n_features_in_ = inputs.n_features
        return inputs, X, y

    def check(self, estimator, X, y="no_validation", **checks):
        """Read the files of a later call.

        Returns
        -------
        X : ImagePaths
        y : ndarray, or None where it was not to be read
        """
        X = _one_after_the_other(estimator, X)
        return with_labels(estimator, X, y, **checks)

    def check_to_embed(self, estimator, X):
        """Read the files of a ``transform``."""
        return self.check(estimator, X)[0]

    def rows(self, X, device):
        """Make of checked files what batches are taken from, on this device."""
        height, width, channels = self.image_shape
        reader = ImageReader((height, width), mode="L" if channels == 1 else "RGB")
        return FileRows(X, reader, device, self.channels_last, self.crop)

    def as_batch(self, X, device):
        """Make rows of what the net is called with."""
        return self.rows(self.check(self, X)[0], device)


def _one_after_the_other(estimator, X):
    """Return image files as `ImagePaths` of shape (n,)."""
    given = X
    X = X.as_images() if isinstance(X, DatasetArray) else _as_files(X)
    if X is not None and not len(X):
        raise ValueError("X holds no images: at least 1 is needed")
    if X is None or X.ndim != 1:
        got = "" if X is None else f", got images of shape {X.shape}"
        got = f", got {given.described}" if isinstance(given, DatasetArray) else got
        raise ValueError(
            f"X must be ImagePaths, a list of paths or of Pillow images, or an array of bytes "
            f"(uint8), as {type(estimator).__name__} is fitted on them{got}"
        )
    return X


def _as_files(X):
    """Return image files, or an array of bytes whose images are read as files are; else None."""
    pictures = pictures_of_pixels(X)
    return as_paths(X) if pictures is None else paths_of(pictures)


def _all_gray(X):
    """Whether none of some files, spread over all, has color."""
    chosen = np.linspace(0, len(X) - 1, min(len(X), LOOKED_AT)).astype(np.intp)
    for row in np.unique(chosen):
        try:
            with opened(X[int(row)]) as image:
                mode = image.mode
        except UnreadableImageError:
            continue  # reading the batches names all such files
        except FileNotFoundError:
            raise unreadable(missing_files(X.files), len(X)) from None
        if mode not in GRAY_MODES:
            return False
    return True


def learn_inputs(embedder, X, **checks):
    """Read the ``X`` of a first fit, whether an array or image files.

    Parameters
    ----------
    embedder : DeepEmbedder
    X : array-like or image files
    **checks
        Passed on to scikit-learn's validation.

    Returns
    -------
    inputs : Inputs or FileInputs
    X : ndarray or image files
    y : ndarray, or None where it was not to be read
    """
    # Networks of transformers are not known to gain from another memory order: it is tried.
    own = not isinstance(embedder.module, str) or find_library(embedder.module) == "hf"
    size = embedder.image_size
    if isinstance(X, DatasetArray) and size is not None:
        images = X.as_images()
        X = X if images is None else images
    if are_images(X) or (size is not None and pictures_of_pixels(X) is not None):
        if size is None:
            size = _own_size(embedder.module, embedder.module_params)
        crop = crop_of(embedder.augment)
        return FileInputs.learn(embedder, X, image_size=size, crop=crop, own_module=own, **checks)
    check_no_items(X, "X", are_wanted=size is not None)
    if size is not None and isinstance(X, DatasetArray):
        raise ValueError(
            f"image_size is of images, and X is {X.described}, which are as its own transform left "
            f"them; have it give Pillow images or bytes (uint8), or leave image_size out"
        )
    if size is not None:
        raise ValueError(
            "image_size is of image files, and of arrays of bytes (uint8) of shape (n, height, "
            "width[, channels]), and X is neither; resize its images, or leave image_size out"
        )
    shape = embedder.image_shape
    return Inputs.learn(embedder, X, image_shape=shape, own_module=own, **checks)


def _own_size(module, params):
    """Return the size of the images that a pretrained network was made for; None of others."""
    if isinstance(module, str):
        return own_size(module)
    if module is Pretrained:
        module = Pretrained(**(params or {}))
    return module.image_size if isinstance(module, Pretrained) else None
