"""The file of a fitted embedder: a safetensors file, with settings and a checksum in its header.

Everything but the network is JSON; reading runs no code and trusts nothing it has not checked,
not even sizes: what torch may allocate by the settings in a file is bounded.
"""

import inspect
import json
import secrets

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from metriclearn._extras import require
from metriclearn._files import open_regular, write_bytes
from metriclearn._format import Format, digest, parse_json
from metriclearn.deep.modules._libraries import find_library

_METADATA = "metriclearn"
_CHECKSUM = "sha256"
_LONGEST_HEADER = 2**30
# Arguments that belong to a machine or a session rather than to the embedder.
LEFT_OUT = ("callbacks", "checkpoint", "device", "verbose", "warm_start")
# Arguments by which a library would read other weights; those of the file take their place.
_WEIGHTS = ("pretrained", "weights", "weights_backbone")
_READS_FILES = ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
# Of a configuration of transformers, what names other files, code or weights, or only labels.
_SOURCES = {
    *("auto_map", "backbone", "backbone_config", "use_pretrained_backbone", "use_timm_backbone"),
    *("id2label", "label2id", "quantization_config", "name_or_path"),
}
# What a file may set of another library's model: sizes, rates and names of parts.
_HARMLESS = {
    *_WEIGHTS,
    *(
        "act_layer",
        "attention_dropout",
        "attn_drop_rate",
        "aux_logits",
        "block_size",
        "class_token",
    ),
    *("depth", "depths", "drop_block_rate", "drop_path_rate", "drop_rate", "dropout"),
    *("dynamic_img_pad", "dynamic_img_size", "embed_dim", "embed_dims", "fc_norm", "final_norm"),
    *("global_pool", "groups", "growth_rate", "head_dropout", "image_size", "img_size"),
    *("init_values", "init_weights", "layer_scale", "memory_efficient", "mlp_ratio"),
    *(
        "mean",
        "no_embed_class",
        "norm_eval",
        "norm_layer",
        "num_heads",
        "num_layers",
        "output_stride",
    ),
    *(
        "patch_drop_rate",
        "patch_size",
        "pooling",
        "pos_drop_rate",
        "pre_norm",
        "progress",
        "proj_drop_rate",
    ),
    *("qk_norm", "qkv_bias", "reg_tokens", "replace_stride_with_dilation", "std", "stem_type"),
    *("stochastic_depth_prob", "transform_input", "width_mult", "width_per_group", "window_size"),
    "zero_init_residual",
}


def _version_1(params, facts):
    """Bring what was written before checksums and the orders of channels to what is now."""
    return params, {"channels_first": False, "integers": False, "feature_shape": None, **facts}


EMBEDDER = Format("metriclearn.DeepEmbedder", {1: _version_1, 2: lambda *both: both})


def write(path, params, facts, tensors, kind=EMBEDDER):
    """Write a file, or leave what was there untouched.

    Parameters
    ----------
    path : str or Path
    params : dict
        Arguments of the constructor.
    facts : dict
        What fitting found out: sizes, classes, history. Plain values and arrays.
    tensors : dict of str to tensor
    kind : Format, default=EMBEDDER
    """
    safetensors = require("safetensors.torch", "deep")
    kept = {name: value for name, value in params.items() if name not in LEFT_OUT}
    for name, value in kept.items():
        try:
            json.dumps(value, default=_plain)
        except TypeError:
            raise ValueError(
                f"{name}={value!r} has no name to be found by when the file is read; give {name} "
                f"by name, or use pickle"
            ) from None
    if _of_library(kept):
        # The weights that these led to are in the file.
        given = kept["module_params"]
        kept["module_params"] = {k: v for k, v in given.items() if k not in _READS_FILES}
    header = {**kind.head, "params": kept, "facts": facts}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # In place of the checksum, which is of the file with zeros there.
    mark = secrets.token_hex(32)
    metadata = {_METADATA: json.dumps(header, default=_plain), _CHECKSUM: mark}
    content = bytearray(safetensors.save(tensors, metadata=metadata))
    place = content.index(mark.encode())
    content[place : place + 64] = b"0" * 64
    content[place : place + 64] = digest(content).encode()
    write_bytes(path, content)


def read(path, cls, kind=EMBEDDER):
    """Read what :func:`write` wrote.

    Parameters
    ----------
    path : str or Path
    cls : type
        Whose constructor takes the arguments.
    kind : Format, default=EMBEDDER

    Returns
    -------
    params, facts : dict
    tensors : dict of str to tensor
    """
    safetensors = require("safetensors.torch", "deep")
    name = repr(str(path))
    with open_regular(path) as stream:
        content = stream.read()
    try:
        tensors = safetensors.load(content)
    except Exception as error:  # its own kind, KeyError for dtypes, whatever comes next
        raise ValueError(
            f"{name} is not a whole safetensors file ({error}); it may be cut short"
        ) from None
    length = int.from_bytes(content[:8], "little")
    metadata = parse_json(content[8 : 8 + length], name).get("__metadata__") or {}
    if _METADATA not in metadata:
        raise ValueError(f"{name} was not written by {cls.__name__}.save")
    header = parse_json(metadata[_METADATA], name)
    bring = kind.reader(header, name)
    if kind is not EMBEDDER or header["version"] > 1:
        _verify(content, metadata.get(_CHECKSUM, ""), length, name)
    params, facts = header.get("params"), header.get("facts")
    if not isinstance(params, dict) or not isinstance(facts, dict):
        raise ValueError(f"{name} is damaged: it lacks settings")
    params, facts = bring(params, facts)
    _check_params(params, cls, name)
    return {key: _array_or_value(value) for key, value in params.items()}, facts, tensors


def format_of(path):
    """Return the name of the format that a file says it has."""
    with open_regular(path) as stream:
        length = int.from_bytes(stream.read(8), "little")
        head = parse_json(stream.read(min(length, _LONGEST_HEADER)), path)
    metadata = head.get("__metadata__") or {}
    if _METADATA not in metadata:
        raise ValueError(f"{path} was not written by metriclearn")
    return parse_json(metadata[_METADATA], path)["format"]


def _verify(content, checksum, length, name):
    place = content.find(checksum.encode(), 8, 8 + length) if len(checksum) == 64 else -1
    if place >= 0:
        parts = content[:place], b"0" * 64, memoryview(content)[place + 64 :]
        if digest(*parts) == checksum:
            return
    raise ValueError(f"{name} is damaged: its checksum is another")


def _check_params(params, cls, name):
    known = set(inspect.signature(cls).parameters) - set(LEFT_OUT)
    unknown = sorted(set(params) - known)
    if unknown:
        raise ValueError(f"{name} gives {unknown[0]!r}, which is no argument that a file may give")
    if not _of_library(params):
        return
    for argument, value in params["module_params"].items():
        if argument not in _HARMLESS or not _is_simple(value):
            raise ValueError(
                f"{name} gives module_params={{{argument!r}: {value!r:.60}}}, which is not among "
                f"the arguments of {find_library(params['module'])} that a file may give; build "
                f"the embedder in Python and load its weights by safetensors"
            )


def _of_library(params):
    named = isinstance(params.get("module"), str) and find_library(params["module"]) is not None
    return named and isinstance(params.get("module_params"), dict)


def _is_simple(value):
    if isinstance(value, list):
        return len(value) <= 100 and all(map(_is_simple, value))
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= 100 and not set(value) & set("/\\:"))
    )


def without_weights(params, facts):
    """Return the arguments of the module, such that another library fetches no weights."""
    library = find_library(params["module"]) if isinstance(params.get("module"), str) else None
    if library is None:
        return params.get("module_params")
    kept = {k: v for k, v in (params["module_params"] or {}).items() if k not in _WEIGHTS}
    if library == "hf":
        return {**kept, **_checked_transformer(facts.get("transformer"))}
    return {**kept, **({"pretrained": False} if library == "timm" else {"weights": None})}


def transformer_of(module, backbone):
    """Return what a network of transformers is built by without its folder; None of others."""
    if not isinstance(module, str) or find_library(module) != "hf":
        return None
    config = json.loads(backbone.network.config.to_json_string(use_diff=False))
    colors = {"mean": backbone.mean, "std": backbone.std}
    colors = {name: values.flatten().tolist() for name, values in colors.items()}
    return {"config": _without_sources(config), **colors}


def _without_sources(config):
    """Return a configuration without names of files, repositories and classes of labels."""
    return {
        key: _without_sources(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if not key.startswith("_") and key not in _SOURCES and value is not None
    }


def _checked_transformer(stored):
    """Return what :func:`transformer_of` did, of a file: plain values that name no place."""
    config = stored.get("config") if isinstance(stored, dict) else None
    colors = {name: stored[name] for name in ("mean", "std")} if config else {}
    if not config or config != _without_sources(config) or not _is_simple_dict(config):
        raise ValueError("the configuration of its network cannot be used")
    return {"config": config, **colors}


def _is_simple_dict(config):
    return all(
        _is_simple_dict(value) if isinstance(value, dict) else _is_simple(value)
        for value in config.values()
    )


def _plain(value):
    """Numpy's values for JSON."""
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "values": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError


def _array_or_value(value):
    is_array = isinstance(value, dict) and set(value) == {"dtype", "values"}
    return as_array(value) if is_array else value


def as_array(stored):
    """Return the array that :func:`write` wrote: numbers, truth values or text."""
    values, dtype = stored["values"], np.dtype(stored["dtype"])
    if dtype.kind in "OU" and all(isinstance(value, str) for value in values):
        return np.array(values, dtype=object if dtype.kind == "O" else str)
    if dtype.kind not in "biuf":
        raise ValueError(f"it holds an array of {dtype}")
    return np.array(values, dtype=dtype)


_MAKERS = {
    torch.arange,
    torch.empty,
    torch.empty_strided,
    torch.eye,
    torch.full,
    torch.linspace,
    torch.ones,
    torch.rand,
    torch.randint,
    torch.randn,
    torch.randperm,
    torch.zeros,
    torch.Tensor.new_empty,
    torch.Tensor.new_full,
    torch.Tensor.new_ones,
    torch.Tensor.new_zeros,
}


class BoundedTensors(TorchFunctionMode):
    """Context in which torch makes no more tensors, and none larger, than a file justifies.

    The shape of each is found out on torch's meta device, which allocates nothing, before the
    tensor itself is made.

    Parameters
    ----------
    tensors : dict of str to tensor
        Of the file. Twice as many values may be made, and a little more.
    spare : int, default=2**20
        How many more.
    """

    def __init__(self, tensors, spare=2**20):
        super().__init__()
        self._values_left = 2 * sum(tensor.numel() for tensor in tensors.values()) + spare
        self._tensors_left = 100 * len(tensors) + 10_000

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Check the size of what is made, then make it."""
        kwargs = kwargs or {}
        if func in _MAKERS:
            without = {
                k: v for k, v in kwargs.items() if k not in ("out", "generator", "pin_memory")
            }
            self._values_left -= func(*args, **{**without, "device": "meta"}).numel()
            self._tensors_left -= 1
            if min(self._values_left, self._tensors_left) < 0:
                raise ValueError("the settings ask for more than the weights in the file")
        return func(*args, **kwargs)
