"""Keras weight files (``.h5``) read into PyTorch modules, without Keras.

A file is a list of layers, each a list of arrays. As in Keras itself, layers are matched by order,
never by name (names are numbered differently from run to run); number, kinds and shapes are
checked. A network states its order as module paths; how arrays become tensors follows from the
type of each module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from deepface.runtime.weights.damage import damaged, reading
from deepface.runtime.weights.hdf5_file import Array, Part, open_hdf5

#: Kind of a Keras array (``"kernel"``, ``"bias"`` ...), in Keras' order, to the name of the
#: module's tensor and the conversion between their layouts. A module of a type that is not known
#: here has a method ``keras_layout`` that gives its own.
Layout: TypeAlias = dict[str, tuple[str, Callable[[Tensor], Tensor]]]

_KINDS = {"kernel", "depthwise_kernel", "bias", "alpha"}
_KINDS |= {"gamma", "beta", "moving_mean", "moving_variance"}


@dataclass(frozen=True)
class KerasLayer:
    """A layer with weights: its arrays by name, in order, still in the file."""

    name: str
    weights: dict[str, Array]


@contextmanager
def open_layers(path: str | Path) -> Iterator[list[KerasLayer]]:
    """The layers with weights of a Keras file, in order; arrays are read when indexed.

    Takes files of ``model.save_weights`` and of ``model.save``.

    Raises:
        FileNotFoundError: there is none.
        WeightsError: it is damaged or of another kind; also from what is done inside the block.
    """
    with reading(path, "HDF5 file of weights"):
        file = open_hdf5(np.memmap(path, np.uint8, "r").data)
        root = file / "model_weights" if "model_weights" in file else file
        names = root.texts("layer_names")
        if names is None:
            raise ValueError(f"it has no Keras weights, but {sorted(file)[:5]!r:.200}")
        backend = root.texts("backend") or ["tensorflow"]
        if backend != ["tensorflow"]:  # others keep kernels in another layout
            raise ValueError(f"written by the Keras backend {backend[0]!r:.50}")
        layers = [KerasLayer(name, _arrays(root / name)) for name in names]
        yield [layer for layer in layers if layer.weights]


def _arrays(group: Part) -> dict[str, Array]:
    arrays = {}
    for name in group.texts("weight_names") or ():
        try:
            arrays[name] = (group / name).array()
        except ValueError as error:
            raise ValueError(f"{name!r:.100}: {error}") from error
    return arrays


def read_state_dict(
    module: nn.Module,
    path: str | Path,
    order: Sequence[str | None],
    flatten: Mapping[str, tuple[int, int, int]] | None = None,
) -> dict[str, Tensor]:
    """The state dict that a Keras file gives for ``module``.

    Args:
        module: the network, built; also under ``torch.device("meta")``.
        path: the ``.h5`` file.
        order: for each layer with weights of the file, in its order, the path of the module that
            takes it; ``None`` for a layer that the network does not have.
        flatten: ``(height, width, channels)`` before the flattening that feeds a linear layer, by
            its path: Keras flattens in that order, PyTorch channels first.

    Raises:
        WeightsError: the file is damaged, or of another network; the message names the layer and
            the shapes.
    """
    layouts = {
        target: _layout(module.get_submodule(target), (flatten or {}).get(target))
        for target in order
        if target is not None
    }
    state: dict[str, Tensor] = {}
    with open_layers(path) as layers:
        if len(layers) != len(order):
            reason = (
                f"it has {len(layers)} layers with weights, the network {type(module).__name__} "
                f"{len(order)}: it is of another network"
            )
            raise damaged(path, reason)
        for number, (layer, target) in enumerate(zip(layers, order, strict=True), start=1):
            if target is None:
                continue
            part = module.get_submodule(target)
            try:
                tensors = _convert(layer, part, layouts[target])
            except Exception as error:  # among them those of bytes that HDF5 cannot read
                reason = (
                    f"layer {number}, {layer.name!r:.100}, cannot become {target!r} "
                    f"({type(part).__name__}): {error}"
                )
                raise damaged(path, reason) from error
            state |= {f"{target}.{name}": tensor for name, tensor in tensors.items()}
    return state


def _convert(layer: KerasLayer, module: nn.Module, layout: Layout) -> dict[str, Tensor]:
    """The layer's tensors by their names in ``module``; ``ValueError`` where they do not fit."""
    tensors = {}
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        tensors["num_batches_tracked"] = torch.tensor(0)
        if len(layer.weights) == 3:  # built with scale=False
            layout.pop("gamma")
            tensors["weight"] = torch.ones(module.num_features)
    kinds = [_kind(name) for name in layer.weights]
    if len(kinds) != len(layout) or any(
        kind != wanted for kind, wanted in zip(kinds, layout, strict=False) if kind in _KINDS
    ):
        raise ValueError(f"it has the arrays {list(layer.weights)} instead of {list(layout)}")
    own = module.state_dict()
    for (label, array), (name, convert) in zip(layer.weights.items(), layout.values(), strict=True):
        shape = tuple(own[name].shape)
        misfit = f"{label} has shape {array.shape}, {name} needs one that becomes {shape}"
        if math.prod(array.shape) != own[name].numel():  # before anything is read
            raise ValueError(misfit)
        tensor = convert(torch.from_numpy(array.read())).contiguous()
        if tensor.shape != shape:
            raise ValueError(misfit)
        tensors[name] = tensor
    return tensors


def _layout(module: nn.Module, hwc: tuple[int, int, int] | None) -> Layout:
    if hasattr(module, "keras_layout"):
        return module.keras_layout()  # type: ignore[no-any-return, operator]
    if isinstance(module, nn.Conv2d):
        layout: Layout = {"kernel": ("weight", lambda kernel: kernel.permute(3, 2, 0, 1))}
        if module.groups > 1:
            layout = {"depthwise_kernel": ("weight", _depthwise)}
    elif isinstance(module, nn.Linear):
        layout = {"kernel": ("weight", lambda kernel: _dense(kernel, hwc))}
    elif isinstance(module, nn.PReLU):
        return {"alpha": ("weight", torch.flatten)}
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        return {
            "gamma": ("weight", _same),
            "beta": ("bias", _same),
            "moving_mean": ("running_mean", _same),
            "moving_variance": ("running_var", _same),
        }
    else:
        raise TypeError(f"{type(module).__name__} has no method keras_layout()")
    if module.bias is not None:
        layout["bias"] = ("bias", _same)
    return layout


def _same(values: Tensor) -> Tensor:
    return values


def _depthwise(kernel: Tensor) -> Tensor:
    """``(h, w, channels, multiplier)`` -> ``(channels * multiplier, 1, h, w)``."""
    return kernel.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1)


def _dense(kernel: Tensor, hwc: tuple[int, int, int] | None) -> Tensor:
    """``(inputs, outputs)`` -> ``(outputs, inputs)``, inputs from ``H, W, C`` to ``C, H, W``."""
    if hwc is None:
        return kernel.t()
    return kernel.reshape(*hwc, -1).permute(3, 2, 0, 1).flatten(1)


def _kind(name: str) -> str:
    """``"conv2d_1/kernel_2:0"`` -> ``"kernel"``."""
    return re.sub(r"(_\d+)?(:\d+)?$", "", name.split("/")[-1])
