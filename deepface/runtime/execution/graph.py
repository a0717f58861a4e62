"""A network's layers, as its file names them, made into fewer steps with the same results."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_linear_bn_eval

from deepface.runtime.execution.fusion import FusedConv2d, fused

_ADDITIONS = (operator.add, torch.add)
_RELUS = (F.relu, torch.relu)
#: Modules and functions that give a tensor of their own, never a view of what they are given.
_OWN_MEMORY = (FusedConv2d, nn.Conv2d, nn.BatchNorm2d, nn.PReLU, nn.MaxPool2d)
_OWN_MEMORY_FUNCTIONS = (torch.cat, operator.add, torch.add, operator.mul)


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
    module.eval().requires_grad_(False)
    graph = fx.GraphModule(module, _Tracer().trace(module))
    with torch.inference_mode():
        ShapeProp(graph).propagate(torch.zeros(1, *shape))
    _fold_linear_norms(graph)
    _fuse_convolutions(graph)
    graph.recompile()
    graph.delete_all_unused_submodules()
    graph = graph.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for node in graph.graph.nodes:
        step = _module(graph, node)
        if isinstance(step, FusedConv2d):
            step.pack(_shape(node.args[0]))
    return graph


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, FusedConv2d) or super().is_leaf_module(m, module_qualified_name)


def _fold_linear_norms(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        norm, layer = _module(graph, node), _module(graph, node.args[0] if node.args else None)
        if (
            isinstance(norm, nn.BatchNorm1d)
            and isinstance(layer, nn.Linear)
            and _is_used_once(graph, node.args[0])
        ):
            # In float64: a small variance magnifies what rounding loses.
            folded = fuse_linear_bn_eval(layer.double(), norm.double())
            graph.add_submodule(node.args[0].target, folded.float())
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)


def _fuse_convolutions(graph: fx.GraphModule) -> None:
    """Convolution, batch norm, a constant factor, a sum, ReLU: as many as follow each other."""
    graph.graph.eliminate_dead_code()
    overwritten: set[fx.Node] = set()
    for node in list(graph.graph.nodes):
        conv = _module(graph, node)
        if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros":
            continue
        last, inputs = node, [node.args[0]]
        sides = _zero_padding(graph, node.args[0])
        if sides and _takes_padding(conv, sides):
            conv, inputs = _padded(conv, sides), [node.args[0].args[0]]
        norm = _module(graph, _only_user(last))
        if isinstance(norm, nn.BatchNorm2d):
            step, last = fused(conv, norm), _only_user(last)
        else:
            step = fused(conv)
        if (factor := _factor(_only_user(last))) is not None:
            last = _only_user(last)
            step.scale_(factor)
        place, total = node, _only_user(last)
        other = None if inputs[0] in overwritten else _other_addend(graph, total, last)
        if other is not None:
            overwritten.add(other)
            inputs.append(other)
            place = last = total  # where the other addend exists
        if _is_relu(graph, _only_user(last)):
            last = _only_user(last)
            step.slope = 0.0
        graph.add_submodule(f"fused_{node.name}", step)
        with graph.graph.inserting_after(place):
            new = graph.graph.call_module(f"fused_{node.name}", tuple(inputs))
        new.meta = dict(last.meta)
        last.replace_all_uses_with(new)
        _erase_unused(last)


def _erase_unused(node: fx.Node) -> None:
    """With what is unused then, so that users that are counted are users that are left."""
    if not node.users and node.op != "placeholder":
        inputs = node.all_input_nodes
        node.graph.erase_node(node)
        for other in inputs:
            _erase_unused(other)


def _module(graph: fx.GraphModule, node: Any) -> nn.Module | None:
    if isinstance(node, fx.Node) and node.op == "call_module":
        return graph.get_submodule(str(node.target))
    return None


def _is_used_once(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the module is called once and its result has one user."""
    calls = [other for other in graph.graph.nodes if other.target == node.target]
    return len(calls) == 1 and len(node.users) == 1


def _only_user(node: Any) -> Any:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _zero_padding(graph: fx.GraphModule, node: Any) -> tuple[int, ...]:
    """By how much the node pads left, right, top and bottom; nothing where it is no padding."""
    pad = _module(graph, node)
    return tuple(pad.padding) if isinstance(pad, nn.ZeroPad2d) else ()


def _takes_padding(conv: nn.Conv2d, sides: tuple[int, ...]) -> bool:
    plain = conv.padding == (0, 0) and conv.dilation == (1, 1)
    return plain and sides[:2] == sides[2:] and 0 <= sides[0] <= sides[1]


def _padded(conv: nn.Conv2d, sides: tuple[int, ...]) -> nn.Conv2d:
    """``conv`` that pads by itself, alike on all sides: zeros at the kernel's start make up."""
    before, after = sides[:2]
    kernel = F.pad(conv.weight, (after - before, 0, after - before, 0))
    with torch.device("meta"):
        padded = nn.Conv2d(1, 1, 1, padding=after)
    padded.stride, padded.groups = conv.stride, conv.groups
    padded.weight, padded.bias = nn.Parameter(kernel, requires_grad=False), conv.bias
    return padded


def _factor(node: fx.Node | None) -> float | None:
    """The constant that the node multiplies by."""
    if node is None or node.op != "call_function" or node.target is not operator.mul:
        return None
    factor = node.args[1]
    return factor if isinstance(factor, float) else None


def _other_addend(graph: fx.GraphModule, total: Any, known: fx.Node) -> fx.Node | None:
    """What a sum of two tensors of one shape adds to ``known``, if it may be overwritten."""
    if total is None or total.target not in _ADDITIONS or total.kwargs:
        return None
    others = [arg for arg in total.args if isinstance(arg, fx.Node) and arg is not known]
    if len(others) != 1 or _shape(others[0]) != _shape(known):
        return None
    (other,) = others
    before = list(graph.graph.nodes)
    before = before[: before.index(total)]
    users = [user for user in other.users if user is not total]
    is_free = all(user in before and _has_own_memory(graph, user) for user in users)
    return other if is_free and _has_own_memory(graph, other) else None


def _has_own_memory(graph: fx.GraphModule, node: fx.Node) -> bool:
    return node.target in _OWN_MEMORY_FUNCTIONS or isinstance(_module(graph, node), _OWN_MEMORY)


def _is_relu(graph: fx.GraphModule, node: fx.Node | None) -> bool:
    if node is None:
        return False
    is_method = (node.op, node.target) == ("call_method", "relu")
    return is_method or node.target in _RELUS or isinstance(_module(graph, node), nn.ReLU)


def _shape(node: Any) -> tuple[int, ...]:
    meta = node.meta.get("tensor_meta")
    return tuple(getattr(meta, "shape", ()))
