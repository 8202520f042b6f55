"""Networks of torch as backbones: of a library by name, or a module of one's own."""

import json
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from threadpoolctl import threadpool_limits

from metriclearn._extras import require
from metriclearn._memory import keep_freed_memory
from metriclearn._threads import thread_pool
from metriclearn.images._cache import digest
from metriclearn.images._preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

# Values of images in one pass on the CPU. Feature maps of more than that are memory that the
# system gives out page by page, each time again, which takes longer than the network.
_CPU_VALUES = 2**19


def _hold_to_one_thread():
    require("torch", "deep").get_num_threads()  # else its first operation would undo this
    threadpool_limits(1, user_api="openmp")  # of this thread


# Where torchvision's models keep their classifier.
_CLASSIFIERS = ("fc", "classifier", "heads", "head")


class TorchBackbone:
    """A module that maps normalized images to vectors.

    Parameters
    ----------
    module : torch.nn.Module
        From (b, 3, height, width) to (b, d), to maps (b, d, h, w), which are averaged, or to
        tokens (b, t, d), also as ``last_hidden_state`` of an output of transformers.
    preprocessing : Preprocessing
    pooling : {"cls", "mean"} or None
        Of tokens.
    device : str
    identity : str or None
        What tells its features from those of others; None for a hash of its weights.
    """

    def __init__(self, module, preprocessing, pooling=None, device="auto", identity=None):
        torch = require("torch", "deep")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        keep_freed_memory()
        # Convolutions are fastest with the channels last; other layers do not mind.
        try:
            self.module = module.eval().to(device, memory_format=torch.channels_last)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ValueError(f"device={device!r}: {str(error).partition(chr(10))[0]}") from None
        self.preprocessing = preprocessing
        self.pooling = pooling
        self.device = device
        self._mean = torch.tensor(preprocessing.mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(preprocessing.std, device=device).view(1, -1, 1, 1)
        self._copies = None
        self.identity = identity or _hash(module)

    def embed(self, pixels):
        """Embed a batch.

        Parameters
        ----------
        pixels : ndarray of shape (b, height, width, 3), dtype uint8

        Returns
        -------
        ndarray of shape (b, d), dtype float32
        """
        if self._mean.device.type != "cpu":
            return self._pass(self.module, pixels)
        n_threads = require("torch", "deep").get_num_threads()
        shares = n_threads > 1 and self._has_copies(n_threads)
        step = max(1, _CPU_VALUES // pixels[0].size)
        step = min(step, -(-len(pixels) // n_threads)) if shares else step
        parts = [pixels[i : i + step] for i in range(0, len(pixels), step)]
        run = thread_pool(n_threads, _hold_to_one_thread).map if shares else map
        vectors = list(
            run(self._pass_of_a_copy if shares else partial(self._pass, self.module), parts)
        )
        return np.concatenate(vectors)

    def _has_copies(self, n_threads):
        """Make copies that share the weights, one a thread, where that is known to be safe.

        Threads of torch share each layer, and wait for each other at its end by going round in
        circles: beside other programs that takes ten times as long as a part of the batch each.
        """
        if self._copies is None:
            self._copies = SimpleQueue()
            for copy in _copies_of(self.module, n_threads):
                self._copies.put(copy)
        return not self._copies.empty()

    def _pass_of_a_copy(self, pixels):
        module = self._copies.get()
        try:
            return self._pass(module, pixels)
        finally:
            self._copies.put(module)

    def _pass(self, module, pixels):
        torch = require("torch", "deep")
        with torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
            # A view whose memory has the channels last.
            images = images.permute(0, 3, 1, 2).to(self._mean.dtype).div_(255)
            images = images.sub_(self._mean).div_(self._std)
            try:
                output = module(images)
            except (RuntimeError, ValueError, TypeError, AssertionError) as error:
                height, width = images.shape[2:]
                reason = " ".join(str(error).split())[:200]
                raise ValueError(
                    f"backbone: {type(module).__name__} does not take images of {height} × "
                    f"{width} pixels ({reason}); give image_size"
                ) from error
            return pooled(output, self.pooling).float().cpu().numpy()


def _copies_of(module, n_copies):
    """Return copies that share the tensors of a module; none where hooks may keep what passes."""
    if any(part._forward_hooks or part._forward_pre_hooks for part in module.modules()):
        return []
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    try:
        return [deepcopy(module, dict(shared)) for _ in range(n_copies)]
    except Exception:  # of whatever a module holds that cannot be copied
        return []


def pooled(output, pooling):
    """Return one vector an image, of whatever a network returned."""
    if isinstance(output, tuple):  # of Inception in training, whose auxiliary heads come behind
        output = output[0]
    if hasattr(output, "last_hidden_state"):  # of transformers
        vectors = getattr(output, "pooler_output", None)
        if pooling is None and vectors is not None:
            return vectors.flatten(1)
        output = output.last_hidden_state
    if isinstance(output, dict):
        raise ValueError(
            f"backbone: it returns a dict of {', '.join(map(str, output))}; wrap it in a module "
            f"that returns one of them"
        )
    if pooling is not None and (output.ndim == 2 or (output.ndim == 4 and pooling == "cls")):
        kind = "vectors" if output.ndim == 2 else "maps"
        raise ValueError(
            f"pooling={pooling!r} is for tokens; the backbone returns {kind}, of shape "
            f"{tuple(output.shape)}: leave it out"
        )
    if output.ndim == 4:
        return output.mean(dim=(2, 3))
    if output.ndim == 3:
        if pooling is None:
            raise ValueError(
                f"backbone: it returns tokens, of shape {tuple(output.shape)}; say "
                f"pooling='cls' for the first of them or 'mean' for their mean"
            )
        return output[:, 0] if pooling == "cls" else output.mean(dim=1)
    if output.ndim != 2:
        raise ValueError(
            f"backbone: its outputs are of shape {tuple(output.shape)}; they must be vectors, "
            f"maps or tokens"
        )
    return output


def unpooled(module, images):
    """Return the maps or tokens of images, of networks that would pool them, too."""
    forward = getattr(module, "forward_features", module)  # of timm
    output = forward(images)
    output = output[0] if isinstance(output, tuple) else output
    return getattr(output, "last_hidden_state", output)


def own_module(module, size, pooling, device, colors):
    """Make a backbone of a module of one's own: ImageNet's colors, no crop."""
    preprocessing = Preprocessing(size=size or (224, 224), share=1.0, **colors)
    return TorchBackbone(module, preprocessing, pooling, device)


def timm_backbone(name, weights, size, pooling, device, colors):
    """Make a backbone of timm, with its own preprocessing.

    Parameters
    ----------
    name : str
        Of timm's model, with or without the tag of its weights.
    weights : path-like or None
        A file of weights; None for the pretrained ones.
    size : tuple of int or None
        (height, width); None for the model's own.
    pooling, device : as of `TorchBackbone`
    colors : dict
        ``mean`` and ``std``, where they are not the model's own.
    """
    timm = _library("timm", "timm")
    with _explained(f"timm/{name}"):
        sized = {} if size is None else {"img_size": size}
        make = partial(timm.create_model, name, pretrained=weights is None, num_classes=0)
        try:
            module = make(**sized)
        except TypeError:  # a network without a fixed size does not take one
            module = make()
        if weights is not None:
            _load_weights(module, weights, f"timm/{name}")
    config = timm.data.resolve_model_data_config(module)
    preprocessing = Preprocessing(
        size=size or tuple(config["input_size"][1:]),
        share=1.0 if config["crop_pct"] > 1 else float(config["crop_pct"]),
        interpolation=config["interpolation"],
        **{"mean": tuple(config["mean"]), "std": tuple(config["std"]), **colors},
    )
    return TorchBackbone(module, preprocessing, pooling, device)


def torchvision_backbone(name, weights, size, pooling, device, colors):
    """Make a backbone of torchvision, with its own preprocessing."""
    models = _library("torchvision.models", "timm")
    torch = require("torch", "deep")
    with _explained(f"torchvision/{name}"):
        chosen = models.get_model_weights(name).DEFAULT
        module = models.get_model(name, weights=chosen if weights is None else None)
        part = next((part for part in _CLASSIFIERS if hasattr(module, part)), None)
        if part is None:
            raise ValueError(f"backbone='torchvision/{name}' has no classifier to take off")
        setattr(module, part, torch.nn.Identity())
        if weights is not None:
            _load_weights(module, weights, f"torchvision/{name}")
    wanted = chosen.transforms()
    crop, resize = wanted.crop_size[0], wanted.resize_size[0]
    preprocessing = Preprocessing(
        size=size or (crop, crop),
        share=min(1.0, crop / resize),
        interpolation=wanted.interpolation.value,
        **{"mean": tuple(wanted.mean), "std": tuple(wanted.std), **colors},
    )
    return TorchBackbone(module, preprocessing, pooling, device)


def hub_backbone(name, weights, size, pooling, device, colors):
    """Make a backbone of transformers, from a folder or by the name of a repository."""
    if weights is not None:
        raise ValueError(f"backbone='hf/{name}@...': give the folder that holds the weights")
    module, preprocessing = hub_model(name), hub_preprocessing(name, size, colors)
    return TorchBackbone(module, preprocessing, pooling, device)


def hub_model(name, config=None, pretrained=True):
    """Make a model of transformers; of one of images and texts the half that sees.

    Parameters
    ----------
    name : str
        A folder, or a repository.
    config : dict, default=None
        Of the model, whose weights are then random; nothing is read or fetched.
    pretrained : bool, default=True
        Whether it has the weights of the folder or repository.
    """
    transformers = _library("transformers", "hf")
    with _explained(f"hf/{name}"):
        if config is not None:
            model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**config))
        elif pretrained:
            model = transformers.AutoModel.from_pretrained(name, **_local(name))
        else:
            config = transformers.AutoConfig.from_pretrained(name, **_local(name))
            model = transformers.AutoModel.from_config(config)
    vision = getattr(model, "vision_model", None)
    return model if vision is None else vision


def hub_preprocessing(name, size=None, colors=()):
    """Return what a model of transformers wants of its images; its weights are not read."""
    transformers = _library("transformers", "hf")
    with _explained(f"hf/{name}"):
        config = transformers.AutoConfig.from_pretrained(name, **_local(name))
        settings = _processor_settings(name, _local(name))
    default = getattr(getattr(config, "vision_config", config), "image_size", 224)
    crop = settings.get("crop_size") or settings.get("size") or {}
    own = crop if isinstance(crop, int) else crop.get("height", crop.get("shortest_edge", default))
    resize = settings.get("size") or {}
    short = resize if isinstance(resize, int) else resize.get("shortest_edge", own)
    own = (own, own) if isinstance(own, int) else tuple(own)
    names = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
    return Preprocessing(
        size=size or own,
        share=min(1.0, own[0] / (short if isinstance(short, int) else own[0])),
        interpolation=names.get(settings.get("resample"), "bicubic"),
        **{
            "mean": tuple(settings.get("image_mean", IMAGENET_MEAN)),
            "std": tuple(settings.get("image_std", IMAGENET_STD)),
            **dict(colors),
        },
    )


def _local(name):
    return {"local_files_only": True} if Path(name).is_dir() else {}


def _processor_settings(name, local):
    """Return the settings of the image processor that belongs to a model; none without one."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        return ImageProcessingMixin.get_image_processor_dict(name, **local)[0]
    except OSError:
        return {}


def _load_weights(module, file, spec):
    """Load a checkpoint of the whole network into one without its classifier."""
    torch = require("torch", "deep")
    if not Path(file).is_file():
        raise ValueError(f"backbone={spec!r}: there is no file of weights {file}")
    if Path(file).suffix == ".safetensors":
        state = require("safetensors.torch", "deep").load_file(file)
    else:
        state = torch.load(file, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
    wanted = set(module.state_dict())
    missing = sorted(wanted - set(state))
    if missing:
        raise ValueError(
            f"backbone={spec!r}: {file} lacks {len(missing)} of {len(wanted)} weights, for "
            f"instance {missing[0]!r}; is it of another model?"
        )
    module.load_state_dict({name: state[name] for name in wanted})


def _library(module, extra):
    try:
        return require(module, extra)
    except ModuleNotFoundError as error:  # of something that the library itself needs
        raise ImportError(
            f"{module.partition('.')[0]} needs {error.name}, which is not installed; it comes "
            f"with: pip install 'metriclearn[{extra}]'"
        ) from None


@contextmanager
def _explained(spec):
    """Turn what goes wrong in a download into an error that says where the file belongs."""
    try:
        yield
    except (OSError, ConnectionError) as error:
        reason = " ".join(str(error).split())[:200]
        where = (
            "give the folder of a downloaded model, backbone='hf/FOLDER'"
            if spec.startswith("hf/")
            else f"download the weights elsewhere and say backbone='{spec}@FILE.safetensors'"
        )
        raise ValueError(
            f"backbone={spec!r}: its weights are neither on this machine nor could they be "
            f"downloaded ({reason}); {where}"
        ) from None
    except (RuntimeError, KeyError, ValueError) as error:
        if str(error).startswith("backbone="):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"backbone={spec!r}: {reason}") from None


def _hash(module):
    """Identify a module by its weights, its settings and the code of its parts.

    What functions elsewhere do that its code calls is not known.
    """
    torch, parts = require("torch", "deep"), [repr(module)]
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        values = tensor.detach().cpu().contiguous().flatten()
        parts += [name, values.view(torch.uint8).numpy().tobytes()]
    for name, part in module.named_modules():
        settings = {key: text for key, value in vars(part).items() if (text := _setting(value))}
        settings.pop("training", None)
        parts += [name, json.dumps(settings, sort_keys=True)]
    kinds = {type(part) for part in module.modules()}
    for kind in sorted(kinds, key=lambda kind: f"{kind.__module__} {kind.__qualname__}"):
        if kind.__module__.partition(".")[0] != "torch":
            parts += [_code(value) for _, value in sorted(vars(kind).items()) if callable(value)]
    return digest(*parts).hex()


def _setting(value, depth=3):
    """Write a setting of a module as text; an empty one of what is none."""
    if isinstance(value, (bool, int, float, str, bytes)) or value is None:
        return repr(value)
    if isinstance(value, (list, tuple, frozenset)):
        found = [_setting(each, depth) for each in value]
        found = sorted(found) if isinstance(value, frozenset) else found
        return repr(found) if all(found) else ""
    return _code(value, depth)


def _code(function, depth=3):
    """Write the code of a function as text, with that of functions in it; else an empty one."""
    code = getattr(function, "__code__", function)
    if not hasattr(code, "co_code") or not depth:
        return ""
    inside = [_setting(value, depth - 1) for value in code.co_consts]
    cells = getattr(function, "__closure__", None) or ()
    around = [_setting(cell.cell_contents, depth - 1) for cell in cells]
    return " ".join([code.co_code.hex(), *inside, *code.co_names, *around])
