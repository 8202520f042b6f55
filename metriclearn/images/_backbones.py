"""Backbones: what turns images into vectors, found by name, file or object."""

import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from metriclearn._extras import require
from metriclearn.images._cache import digest
from metriclearn.images._preprocessing import ONNX_KEY, Preprocessing


class CallableBackbone:
    """A function of one's own on batches of bytes.

    Parameters
    ----------
    function : callable
        From (b, height, width, 3) uint8 to (b, d).
    size : tuple of int
        (height, width) of the images that it is given.
    """

    identity = None  # what a function does is not known from outside

    def __init__(self, function, size):
        self.function = function
        self.preprocessing = Preprocessing(size=size, share=1.0)

    def embed(self, pixels):
        """Embed a batch."""
        vectors = self.function(pixels)
        if hasattr(vectors, "detach"):  # of torch
            vectors = vectors.detach().cpu()
        try:
            vectors = np.asarray(vectors)
        except ValueError:
            raise ValueError("backbone: it returns vectors of several lengths") from None
        if vectors.dtype.kind not in "fiub" or vectors.ndim != 2 or len(vectors) != len(pixels):
            raise ValueError(
                f"backbone: it returns {vectors.dtype} of shape {vectors.shape} for {len(pixels)} "
                f"images; it must return one vector each"
            )
        return vectors.astype(np.float32)


class OnnxBackbone:
    """An ONNX file, run by onnxruntime.

    Parameters
    ----------
    file : path-like
        With one input of shape (b, 3, height, width), of normalized colors; its first output
        is the vector, or maps that are averaged.
    size : tuple of int or None
        (height, width); None for that of the file, or 224.
    colors : dict
        ``mean`` and ``std``, where they are neither those that the file names, as files of
        :meth:`~metriclearn.deep.DeepEmbedder.to_onnx` do, nor ImageNet's.
    """

    def __init__(self, file, size, colors):
        runtime = require("onnxruntime", "onnx")
        if not Path(file).is_file():
            raise ValueError(f"backbone={os.fspath(file)!r}: there is no such file")
        options = runtime.SessionOptions()
        # Threads that wait go round in circles, which takes time from other programs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = runtime.InferenceSession(
                os.fspath(file), options, providers=runtime.get_available_providers()
            )
        except Exception as error:  # onnxruntime's errors share no base of their own
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"backbone={os.fspath(file)!r}: cannot be read ({reason})") from None
        wanted = self.session.get_inputs()[0]
        sides = [side if isinstance(side, int) else None for side in wanted.shape[2:]]
        fixed = tuple(sides) if len(sides) == 2 and None not in sides else None
        if fixed and size and tuple(size) != fixed:
            raise ValueError(f"image_size={size}: {file} takes images of {fixed} only")
        self.input = wanted.name
        said = self.session.get_modelmeta().custom_metadata_map.get(ONNX_KEY)
        own = Preprocessing() if said is None else Preprocessing.from_json(said)
        self.preprocessing = replace(own, size=fixed or size or own.size, **colors)
        self.identity = _content(Path(file))

    def embed(self, pixels):
        """Embed a batch."""
        scaled = pixels.astype(np.float32) / 255
        scaled = (scaled - np.float32(self.preprocessing.mean)) / np.float32(self.preprocessing.std)
        images = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
        vectors = self.session.run(None, {self.input: images})[0]
        return vectors.mean(axis=(2, 3)) if vectors.ndim == 4 else vectors


def _content(file):
    """Identify an ONNX file by what is in it, and by the files of weights that it names."""
    data, parts = file.read_bytes(), []
    for other in sorted(file.resolve().parent.iterdir()):
        if other.is_file() and other.name != file.name and other.name.encode() in data:
            found = other.stat()
            parts += [other.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return digest(data, *parts).hex()


def find_backbone(spec, *, size=None, pooling=None, device="auto", mean=None, std=None):
    """Find what a backbone is called.

    Parameters
    ----------
    spec : str, Path, torch.nn.Module or callable
        ``"timm/NAME"``, ``"torchvision/NAME"``, ``"hf/REPOSITORY or folder"``, the first two
        also with ``@FILE`` of weights; ``"FILE.onnx"``; a module; a function of batches.
    size : tuple of int, default=None
        (height, width); None for the backbone's own.
    pooling : {"cls", "mean"}, default=None
        Of a transformer's tokens.
    device : str, default="auto"
    mean, std : tuple of float, default=None
        Of the colors, instead of the backbone's own.

    Returns
    -------
    object
        With ``embed``, ``preprocessing`` and ``identity``.
    """
    colors = {name: c for name, c in (("mean", mean), ("std", std)) if c is not None}
    if not isinstance(spec, (str, Path)):
        return _of_object(spec, size, pooling, device, colors)
    text = os.fspath(spec)
    if text.endswith(".onnx"):
        _check_of_torch("an ONNX file", pooling, device)
        return OnnxBackbone(text, size, colors)
    if ":" in text and "/" not in text:
        return _of_object(_imported(text), size, pooling, device, colors)
    library, _, rest = text.partition("/")
    if library not in ("timm", "torchvision", "hf") or not rest:
        raise ValueError(
            f"backbone={text!r} is not known; give 'timm/NAME', 'torchvision/NAME', "
            f"'hf/REPOSITORY' or 'hf/FOLDER', 'FILE.onnx', 'FILE.npy', 'package.module:NAME', "
            f"a torch module or a function"
        )
    from metriclearn.images import _torch_backbones as backbones

    makers = {
        "timm": backbones.timm_backbone,
        "torchvision": backbones.torchvision_backbone,
        "hf": backbones.hub_backbone,
    }
    name, _, weights = rest.partition("@")
    return makers[library](name, weights or None, size, pooling, device, colors)


def _check_of_torch(kind, pooling, device):
    """Refuse what is said of networks of torch alone."""
    for name, value, default in (("pooling", pooling, None), ("device", device, "auto")):
        if value != default:
            raise ValueError(
                f"{name}={value!r} is for networks of torch; the backbone is {kind}: leave it out"
            )


def _of_object(spec, size, pooling, device, colors):
    # A module of torch is recognized by what all of them have; torch is loaded only then.
    if hasattr(spec, "state_dict") and hasattr(spec, "forward"):
        from metriclearn.images._torch_backbones import own_module

        module = spec() if isinstance(spec, type) else spec
        return own_module(module, size, pooling, device, colors)
    if callable(spec):
        if colors:
            raise ValueError("mean and std are for networks; a function is given the bytes")
        _check_of_torch("a function", pooling, device)
        return CallableBackbone(spec, size or (224, 224))
    raise TypeError(
        f"backbone must be a name, a file, a torch module or a function, got {type(spec).__name__}"
    )


def _imported(text):
    """Import ``"package.module:NAME"``."""
    module, _, name = text.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ValueError(f"backbone={text!r}: there is no module {error.name!r}") from None
    except AttributeError:
        raise ValueError(f"backbone={text!r}: {module} has no {name!r}") from None
