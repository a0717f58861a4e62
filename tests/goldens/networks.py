"""Stand-in weights of every network in the published layouts, and the outputs they must give.

The published weight files are large and not always reachable. Here the same layouts (Keras'
``.h5``, PyTorch's ``.pth``) are filled with numbers that follow from the tensor's own name, so that
a network and its loader can be checked end to end: write the file, load it through the product's
loader, run :func:`network_input`, compare with what the original network gave (:func:`golden`,
written by ``make_outputs.py``).
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HERE = Path(__file__).resolve().parent
_OUTPUTS = _HERE / "outputs.json"
#: Per network its input, its layers in the order of the ``.h5``, keys and shapes of its ``.pth``.
LAYOUTS: dict[str, Any] = json.loads((_HERE / "layouts.json").read_text())
#: Scale of the weights, chosen so that outputs still depend on inputs.
_GAIN = {"OpenFace": 6.0, "GhostFaceNet": 2.3, "retinaface": 1.0}
#: Numbers of a tensor that are made anew where it is to be quick; a prime, so that no two rows of a
#: tensor are equal.
_BLOCK = 1_000_003
#: Numbers that are made at a time: more leave the cache.
_AT_ONCE = 1 << 16
#: Values of a picture's output that are kept.
_KEPT = 128

Array = NDArray[Any]
#: Layers of a Keras file: name, and its weights' names and values.
Layers = list[tuple[str, list[tuple[str, Array]]]]


def tensor(model: str, layer: int, name: str, shape: list[int], quick: bool = False) -> Array:
    """One tensor in Keras' layout; ``layer`` counts those that have weights."""
    rng = np.random.default_rng(zlib.crc32(f"{model}/{layer}/{name}".encode()))
    kind = name.split("/")[-1].split(":")[0]
    if kind == "gamma":
        value = rng.uniform(0.4, 0.9, shape)
    elif kind == "beta":
        value = rng.normal(0, 0.15, shape)
    elif kind == "moving_mean":
        value = rng.normal(0, 0.1, shape)
    elif kind == "moving_variance":
        value = rng.uniform(0.8, 1.6, shape)
    elif kind == "alpha":
        value = rng.uniform(0.1, 0.4, shape)
    elif kind == "bias":
        value = rng.normal(0, 0.05, shape)
    else:
        if "depthwise" in kind:
            fan_in = shape[0] * shape[1]
        elif len(shape) == 3:  # locally connected: (locations, kh * kw * in, filters)
            fan_in = shape[1]
        else:
            fan_in = int(np.prod(shape[:-1]))
        scale = np.sqrt(_GAIN.get(model, 1.8) / fan_in)
        if quick and np.prod(shape) > _BLOCK:
            return np.resize(rng.normal(0, scale, _BLOCK).astype(np.float32), shape)
        numbers = np.empty(shape, np.float32)
        flat = numbers.reshape(-1)
        for start in range(0, flat.size, _AT_ONCE):
            part = flat[start : start + _AT_ONCE]
            part[:] = rng.normal(0, scale, part.size)
        return numbers
    return value.astype(np.float32)


def keras_weights(model: str, quick: bool = False) -> Layers:
    """``[(layer name, [(weight name, array), ...]), ...]`` in the order of the file.

    ``quick`` is for tests that compare with no golden: the numbers of large tensors repeat.
    """
    return [
        (layer["name"], [(n, tensor(model, i, n, shape, quick)) for n, shape in layer["weights"]])
        for i, layer in enumerate(LAYOUTS[model]["layers"])
    ]


def write_h5(model: str, path: str | Path, layers: Layers | None = None) -> Path:
    """Write the layout of Keras: attributes at the root, a group per layer.

    ``layers`` are the :func:`keras_weights`, where they have been made before: of large networks
    that takes seconds.
    """
    import h5py

    layers = layers or keras_weights(model)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([n.encode() for n, _ in layers])
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.15.0"
        for layer_name, weights in layers:
            group = file.create_group(layer_name)
            names = [f"{layer_name}/{n}" for n, _ in weights]
            group.attrs["weight_names"] = np.array([n.encode() for n in names])
            for full_name, (_, value) in zip(names, weights, strict=True):
                group.create_dataset(full_name, data=value)
    return Path(path)


def state_dict(model: str, layers: Layers | None = None) -> dict[str, Array]:
    """The same numbers under the names and in the shapes of the published ``.pth``."""
    out: dict[str, Array] = {}
    layers = layers or keras_weights(model)
    for layer, (_, weights) in zip(LAYOUTS[model]["layers"], layers, strict=True):
        values = {n.split("/")[-1].split(":")[0]: v for n, v in weights}
        prefix, kind = layer["pth"], layer["kind"]
        if prefix is None:
            continue  # a head that the .pth does not carry
        if kind == "conv":
            if "depthwise_kernel" in values:
                out[f"{prefix}.weight"] = values["depthwise_kernel"].transpose(2, 3, 0, 1)
            else:
                out[f"{prefix}.weight"] = values["kernel"].transpose(3, 2, 0, 1)
        elif kind == "bn":
            mean = values["moving_mean"]
            out[f"{prefix}.weight"] = values.get("gamma", np.ones_like(mean))
            out[f"{prefix}.bias"] = values["beta"]
            out[f"{prefix}.running_mean"] = mean
            out[f"{prefix}.running_var"] = values["moving_variance"]
            out[f"{prefix}.num_batches_tracked"] = np.array(0, dtype=np.int64)
        elif kind == "prelu":
            out[f"{prefix}.weight"] = values["alpha"].reshape(-1)
        elif kind == "dense":
            kernel = values["kernel"]
            if hwc := layer.get("flatten_hwc_to_chw"):
                kernel = kernel.reshape(*hwc, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            out[f"{prefix}.weight"] = kernel.T
        elif kind == "lc":  # locally connected: patches (kh, kw, in) become (in, kh, kw)
            kernel, bias = values["kernel"], values["bias"]
            patch = kernel.reshape(kernel.shape[0], *layer["patch"], kernel.shape[2])
            patch = patch.transpose(0, 4, 3, 1, 2)
            out[f"{prefix}.weight"] = patch.reshape(*patch.shape[:2], -1)
            out[f"{prefix}.bias"] = bias.transpose(2, 0, 1)
        if kind in ("conv", "dense") and "bias" in values:
            out[f"{prefix}.bias"] = values["bias"]
    return {k: np.array(v, order="C") for k, v in out.items()}


def write_pth(model: str, path: str | Path, layers: Layers | None = None) -> Path:
    """Write the layout of PyTorch: a state dict. For ``layers`` see :func:`write_h5`."""
    import torch

    torch.save({k: torch.from_numpy(v) for k, v in state_dict(model, layers).items()}, path)
    return Path(path)


def network_input(model: str) -> NDArray[np.float32]:
    """Two pictures ``(2, H, W, C)`` as the network receives them: noise on slow waves."""
    height, width, channels = LAYOUTS[model]["input"]
    if model == "retinaface":  # takes any size
        height, width = 97, 131
    rng = np.random.default_rng(zlib.crc32(f"{model}/input".encode()))
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = np.sin(x / 9 + 1)[..., None] * np.cos(y / 7)[..., None] / 4 + 0.5
    pictures = waves[None] + rng.uniform(-0.25, 0.25, (2, height, width, channels))
    full = 255 if model == "retinaface" or "FAS" in model else 1
    result: NDArray[np.float32] = (pictures * full).astype(np.float32)
    return result


def kept(outputs: Array) -> Array:
    """``(2, ...)`` -> ``(2, at most 128)``: evenly spaced values."""
    rows = outputs.reshape(len(outputs), -1)
    return rows[:, :: -(-rows.shape[1] // _KEPT)]


def golden(model: str) -> tuple[NDArray[np.float32], list[Array]]:
    """:func:`network_input`, and of each output what :func:`kept` keeps of the original's."""
    stored = json.loads(_OUTPUTS.read_text())[model]
    return network_input(model), [np.array(part, np.float32) for part in stored]


def write_outputs(outputs: dict[str, list[Array]]) -> None:
    """Store outputs of original networks beside those that are stored, a line per network."""
    stored = json.loads(_OUTPUTS.read_text()) if _OUTPUTS.exists() else {}
    for model, parts in outputs.items():
        stored[model] = [[[float(f"{v:.9g}") for v in row] for row in kept(part)] for part in parts]
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in stored.items()]
    _OUTPUTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
