"""A network made ready for inference: what can be computed beforehand is.

Batch norms and constant factors go into the weights of the convolution or linear layer before them.
On a CPU, convolutions become oneDNN calls that also add and apply ReLU, with weights in the layout
that oneDNN wants: PyTorch's own convolution brings them into it at every call, which takes longer
than the arithmetic when the batch is one face.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

_ADDITIONS = (operator.add, torch.add)
_RELUS = (F.relu, torch.relu)


def for_inference(
    module: nn.Module, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> nn.Module:
    """``module`` with the same results and less work, on ``device`` in ``dtype``.

    Args:
        module: a network without control flow that depends on values; it is used up.
        shape: of one input, without the batch axis. Convolutions are packed for it; other shapes
            give right results, more slowly.
        device: where it will run.
        dtype: in which precision.
    """
    graph = fx.symbolic_trace(module.eval().requires_grad_(False))
    _fold_batch_norms(graph)
    _fold_factors(graph)
    graph.recompile()
    graph.delete_all_unused_submodules()
    ready = graph.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if device.type == "cpu" and dtype != torch.float16 and _has_onednn():
        with torch.inference_mode():
            _pack_convolutions(ready, torch.zeros(1, *shape, dtype=dtype))
    return ready  # type: ignore[no-any-return]


class PackedConv2d(nn.Module):
    """A convolution, then maybe a sum, then maybe ReLU, in one call of oneDNN.

    Args:
        conv: the convolution.
        size: of the input that the weights are laid out for.
        relu: whether ReLU comes last.
    """

    def __init__(self, conv: nn.Conv2d, size: Iterable[int], relu: bool) -> None:
        super().__init__()
        padding = [int(width) for width in conv.padding]
        self._geometry = (padding, [*conv.stride], [*conv.dilation], conv.groups)
        weight = conv.weight.detach().to_mkldnn()
        # The operators that torch.compile uses; they have no public name. An opaque tensor is
        # no buffer: it can be neither cast nor moved.
        self._weight = (
            torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
                weight, *self._geometry, [*size]
            ),
        )
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._relu = relu

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """The result for ``x``; ``add`` has the result's shape."""
        if add is None:
            unary = "relu" if self._relu else "none"
            return torch.ops.mkldnn._convolution_pointwise.default(  # type: ignore[no-any-return]
                x, self._weight[0], self._bias, *self._geometry, unary, [], ""
            )
        return torch.ops.mkldnn._convolution_pointwise.binary(  # type: ignore[no-any-return]
            *(x, add, self._weight[0], self._bias, *self._geometry),
            *("add", 1.0, "relu" if self._relu else None, [], ""),
        )


def _fold_batch_norms(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        norm = _module(graph, node)
        if not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            continue
        before = node.args[0]
        layer = _module(graph, before)
        # In float64: a small variance magnifies what rounding loses.
        if isinstance(layer, nn.Conv2d) and _is_used_once(graph, before):
            folded: nn.Module = fuse_conv_bn_eval(layer.double(), norm.double())
        elif isinstance(layer, nn.Linear) and _is_used_once(graph, before):
            folded = fuse_linear_bn_eval(layer.double(), norm.double())
        else:
            continue
        graph.add_submodule(before.target, folded.float())
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)


def _fold_factors(graph: fx.GraphModule) -> None:
    """``conv(x) * 0.1``: the factor goes into the weights."""
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or node.target is not operator.mul:
            continue
        before, factor = node.args
        conv = _module(graph, before)
        if (
            isinstance(conv, nn.Conv2d)
            and isinstance(factor, float)
            and _is_used_once(graph, before)
        ):
            conv.weight.mul_(factor)
            if conv.bias is not None:
                conv.bias.mul_(factor)
            node.replace_all_uses_with(before)
            graph.graph.erase_node(node)


def _pack_convolutions(graph: fx.GraphModule, example: Tensor) -> None:
    ShapeProp(graph).propagate(example)
    for node in list(graph.graph.nodes):
        conv = _module(graph, node)
        if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros":
            continue
        inputs, last = [node.args[0]], node
        total = _only_user(last)
        # In bfloat16 PyTorch has no such sum for every shape.
        if total and example.dtype == torch.float32 and (other := _other_addend(total, last)):
            inputs.append(other)
            last = total
        if relu := _is_relu(graph, _only_user(last)):
            last = _only_user(last)
        name = f"packed_{node.name}"
        graph.add_submodule(name, PackedConv2d(conv, _shape(node.args[0]), relu))
        # Where the last of its parts was: by then the other addend exists.
        with graph.graph.inserting_after(last):
            packed = graph.graph.call_module(name, tuple(inputs))
        packed.meta = dict(last.meta)
        last.replace_all_uses_with(packed)
        graph.graph.eliminate_dead_code()
    graph.recompile()
    graph.delete_all_unused_submodules()


def _module(graph: fx.GraphModule, node: Any) -> nn.Module | None:
    if isinstance(node, fx.Node) and node.op == "call_module":
        return graph.get_submodule(str(node.target))
    return None


def _is_used_once(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the module is called once and its result has one user."""
    calls = [other for other in graph.graph.nodes if other.target == node.target]
    return len(calls) == 1 and len(node.users) == 1


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _other_addend(node: fx.Node, known: fx.Node) -> fx.Node | None:
    """What a sum of two tensors of one shape adds to ``known``."""
    if node.op != "call_function" or node.target not in _ADDITIONS or node.kwargs:
        return None
    others = [arg for arg in node.args if isinstance(arg, fx.Node) and arg is not known]
    if len(others) != 1 or _shape(others[0]) != _shape(known):
        return None
    return others[0]


def _is_relu(graph: fx.GraphModule, node: fx.Node | None) -> bool:
    if node is None:
        return False
    if node.op == "call_module":
        return isinstance(_module(graph, node), nn.ReLU)
    return (node.op, node.target) == ("call_method", "relu") or node.target in _RELUS


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta = node.meta.get("tensor_meta")
    return tuple(getattr(meta, "shape", ()))


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call, no-any-return]
        torch._C._nn, "mkldnn_reorder_conv2d_weight"
    )
