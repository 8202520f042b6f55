"""Images to vectors of a pretrained network, or of a table, as a scikit-learn transformer."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from metriclearn._progress import progress
from metriclearn._sklearn import at_least, fit_context, one_of
from metriclearn.images._backbones import find_backbone
from metriclearn.images._cache import RowCache, default_folder, digest
from metriclearn.images._decode import UnreadableImageError
from metriclearn.images._items import Items, check_items
from metriclearn.images._paths import ImagePaths
from metriclearn.images._reader import ImageReader
from metriclearn.images._regions import check_size

if TYPE_CHECKING:
    from torch import nn

    from metriclearn.images._paths import ImagePaths

# How many images' features are in one part of the cache: what a killed run loses.
_PART = 256


class Features(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn images into vectors of a pretrained network.

    Nothing is learned: the network stays as it is, and each image's vector depends on no
    other image. What follows may learn a metric on the vectors; their cosine alone, which is
    what a search by Euclidean distance on unit vectors ranks by, is the result to beat.

    Parameters
    ----------
    backbone : str, Path, torch.nn.Module or callable
        - ``"timm/NAME"`` or ``"torchvision/NAME"``: a pretrained model, with its own size,
          crop, interpolation and colors; ``"timm/NAME@FILE"`` takes the weights from a file
          (``.safetensors``, or a checkpoint of torch without code in it).
        - ``"hf/REPOSITORY"`` or ``"hf/FOLDER"``: a model of transformers.
        - ``"FILE.onnx"``: run by onnxruntime, with ImageNet's colors where the file does not
          name its own, as one of `DeepEmbedder.to_onnx` does.
        - ``"FILE.npy"``: features that are there already, a row for each image in the order
          of `ImagePaths.from_folder` or `ImagePaths.from_csv` on the same images.
        - a torch module, from normalized images (b, 3, height, width); or a function, from
          bytes (b, height, width, 3).
    image_size : int or (height, width), default=None
        Of the images that the network sees; None for its own.
    pooling : {"cls", "mean"}, default=None
        How the outputs of a transformer for its tokens become one vector, where the model
        itself does not say.
    mean, std : tuple of float, default=None
        Colors from 0 to 1 are brought to mean 0 and deviation 1 by these; None for what the
        backbone was trained with, where it says so, else ImageNet's.
    normalize : bool, default=True
        Whether vectors are brought to length 1.
    batch_size : int, default=32
        Images in one pass through the backbone.
    device : str, default="auto"
        Of torch; "auto" is a GPU where there is one.
    cache : str, Path, bool, default=True
        A folder that vectors are kept in, by backbone, preprocessing and identity of the file
        (path, size and time of change), so that no image goes through the network twice;
        True is the user's own cache folder (``METRICLEARN_CACHE`` sets it), False keeps none.
        What a function returns is never kept, as its code has no identity.
    n_jobs : int, default=None
        Number of threads that decode; None is as many as there are cores.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    n_features_in_ : int
        Not set: an image has no fixed number of features.

    See Also
    --------
    ImagePaths : The files.
    metriclearn.deep.DeepEmbedder : Trains a network, also a pretrained one.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.images import Features
    >>> photos = np.random.default_rng(0).integers(0, 255, (5, 40, 60, 3), dtype=np.uint8)
    >>> def mean_color(pixels):
    ...     return pixels.mean(axis=(1, 2))
    >>> Features(mean_color, image_size=32).fit_transform(photos).shape
    (5, 3)
    """

    _parameter_constraints = {
        "backbone": "no_validation",
        "image_size": "no_validation",
        "pooling": [one_of("cls", "mean"), None],
        "mean": ["array-like", None],
        "std": ["array-like", None],
        "normalize": ["boolean"],
        "batch_size": [at_least(1)],
        "device": [str],
        "cache": ["boolean", str, Path],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        backbone: str | Path | nn.Module | Callable[..., Any],
        *,
        image_size: int | tuple[int, int] | None = None,
        pooling: str | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        normalize: bool = True,
        batch_size: int = 32,
        device: str = "auto",
        cache: str | Path | bool = True,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.image_size = image_size
        self.pooling = pooling
        self.mean = mean
        self.std = std
        self.normalize = normalize
        self.batch_size = batch_size
        self.device = device
        self.cache = cache
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ImagePaths | Sequence[Any] | np.ndarray, y: object = None) -> Self:
        """Check the arguments; nothing is learned.

        Parameters
        ----------
        X : ImagePaths, list of paths or of Pillow images, or array of pixels
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such backbone.
        """
        check_items(X, "X")
        if self._is_table:
            self._check_table()
        else:
            self._network()
        return self

    def transform(self, X: ImagePaths | Sequence[Any] | np.ndarray) -> np.ndarray:
        """Compute the vectors of images.

        Parameters
        ----------
        X : ImagePaths, list of paths or of Pillow images, or array of pixels
            Pixels of shape (n, height, width[, 3]), dtype uint8.

        Returns
        -------
        ndarray of shape (n, d), dtype float32

        Raises
        ------
        ValueError
            If images cannot be read; all of them are named.
        """
        items = check_items(X, "X")
        if not items.files:
            raise ValueError("X holds no images")
        vectors = self._looked_up(X, items) if self._is_table else self._embedded(items)
        if self.normalize:
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.where(lengths > 0, lengths, 1)
        self._n_features_out = vectors.shape[1]
        return vectors

    def _embedded(self, items):
        network = self._network()
        wanted = network.preprocessing
        reader = ImageReader(
            wanted.size, share=wanted.share, interpolation=wanted.interpolation, n_jobs=self.n_jobs
        )
        n = len(items.files)
        with progress(self.verbose, "Features", n) as advance:
            if self.cache is False or network.identity is None:
                return np.concatenate(list(self._batches(network, reader, items, advance)))
            folder = default_folder() if self.cache is True else Path(self.cache)
            key = digest(network.identity, wanted, self.pooling or "")
            cache = RowCache(folder / "features" / key.hex())
            cache.make_folder(folder)
            keys = reader.identities(items)
            missing = cache.missing(keys)
            advance(steps=n - len(missing))
            for start in range(0, len(missing), _PART):
                part = missing[start : start + _PART]
                chosen = _chosen(items, part)
                try:
                    block = np.concatenate(list(self._batches(network, reader, chosen, advance)))
                except (OSError, UnreadableImageError):
                    deque(reader.batches(_chosen(items, missing[start:])), maxlen=0)  # names all
                    raise
                cache.add([keys[row] for row in part], [block], block.shape[1:], np.float32)
            return cache.take(keys)

    def _batches(self, network, reader, items, advance):
        done, width = 0, None
        for pixels in reader.batches(items, self.batch_size):
            vectors = network.embed(pixels).astype(np.float32, copy=False)
            odd = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
            if len(odd):
                raise ValueError(
                    f"backbone: NaN or infinity for {len(odd)} of {len(pixels)} images, for "
                    f"instance {items.files[done + odd[0]]}"
                )
            if vectors.shape[1] != (width or vectors.shape[1]):
                raise ValueError(
                    f"backbone: {width} numbers for one image, {vectors.shape[1]} for another"
                )
            width = vectors.shape[1]
            done += len(pixels)
            yield vectors
            advance(steps=len(pixels))

    def _network(self):
        """Load the network once, and again where an argument changed."""
        size = None if self.image_size is None else check_size(self.image_size, "image_size")[::-1]
        colors = {name: _color(name, getattr(self, name)) for name in ("mean", "std")}
        wanted = (self.backbone, size, self.pooling, self.device, *colors.values())
        if getattr(self, "_loaded", None) is None or self._loaded[0] != wanted:
            network = find_backbone(
                self.backbone, size=size, pooling=self.pooling, device=self.device, **colors
            )
            self._loaded = wanted, network
        return self._loaded[1]

    @property
    def _is_table(self):
        return isinstance(self.backbone, (str, Path)) and str(self.backbone).endswith(".npy")

    def _looked_up(self, X, items):
        """Take rows of a file of features, by the place of each image in the whole list."""
        self._check_table()
        return rows_of_table(self.backbone, X, items)

    def _check_table(self):
        """Refuse what is said of a network, where there is none."""
        for name in ("image_size", "pooling", "mean", "std", "device"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value == "auto"):
                raise ValueError(
                    f"{name}={value!r} is for networks; backbone={os.fspath(self.backbone)!r} "
                    f"holds vectors that are there already: leave it out"
                )

    def __getstate__(self):
        # The network is loaded again where it is needed: by name it is not in the pickle.
        state = super().__getstate__().copy()
        state.pop("_loaded", None)
        return state

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def _chosen(items, rows):
    boxes = None if items.boxes is None else items.boxes[rows]
    return Items([items.files[row] for row in rows], boxes, (len(rows),))


def _color(name, values):
    if values is None:
        return None
    color = tuple(float(value) for value in values)
    if len(color) != 3 or (name == "std" and min(color) <= 0):
        raise ValueError(f"{name} must be 3 numbers, one for each color, got {values!r}")
    return color


def rows_of_table(file, X, items):
    """Return the rows of images in a file of features.

    Parameters
    ----------
    file : path-like
        An array of shape (n, d): the rows of all images of the folder that the images are in,
        in the order of `ImagePaths.from_folder`; or the rows of just these images.
    X : ImagePaths
        The images.
    items : Items
        The same.

    Returns
    -------
    ndarray of shape (n_images, d), dtype float32
    """
    try:
        table = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"backbone={os.fspath(file)!r}: cannot be read ({error})") from None
    if table.ndim != 2 or table.dtype.kind not in "fiu":
        raise ValueError(
            f"backbone={os.fspath(file)!r}: must hold numbers of shape (n, d), got {table.dtype} "
            f"of shape {table.shape}"
        )
    rows = _places(file, table, X, items)
    vectors = np.asarray(table[rows], dtype=np.float32)
    if not np.all(np.isfinite(vectors)):
        raise ValueError(f"backbone={os.fspath(file)!r}: holds NaN or infinity")
    return vectors


def _places(file, table, X, items):
    n = len(items.files)
    if isinstance(X, ImagePaths):
        if len(table) != X.n_listed:
            raise ValueError(
                f"backbone={os.fspath(file)!r}: has {len(table):,} rows, but {X.n_listed:,} images "
                f"are listed"
            )
        return X.rows.ravel()
    if len(table) != n:
        raise ValueError(
            f"backbone={os.fspath(file)!r}: has {len(table):,} rows, but there are {n:,} images; "
            f"give ImagePaths of the whole list, of which any part may be taken"
        )
    return np.arange(n)
