"""What operations cost on CUDA, and what CUDA does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Operations that start no kernel: views and allocations.
FREE = _names("""
    _has_compatible_shallow_copy_type _reshape_alias _unsafe_view alias as_strided chunk detach
    detach_ device diagonal empty empty_like empty_strided expand expand_as flatten is_inference
    is_pinned is_same_size layout lift_fresh movedim narrow new_empty new_empty_strided numpy_T
    permute prim_device resize_ select set_ size slice split split_with_sizes squeeze squeeze_
    stride sym_size t tensor_split transpose transpose_ unbind unfold unsafe_split unsqueeze
    unsqueeze_ view view_as
""")
#: Kernels of operations that need more than one (PyTorch's sources, about).
LAUNCHES = {
    **{"_embedding_bag": 3, "_embedding_bag_forward_only": 3, "_unique2": 10, "argsort": 4},
    **{"bincount": 3, "constant_pad_nd": 2, "cumsum": 2, "equal": 3, "index_put": 3},
    **{"_index_put_impl_": 2, "index_put_": 2, "masked_select": 6, "nms": 6, "nonzero": 5},
    **{"repeat_interleave": 3, "scatter_reduce": 2, "segment_reduce": 2, "sort": 4, "topk": 3},
    **{"unique": 8, "unique_consecutive": 8, "unique_dim": 10},
}
#: Operations inside which the host waits for the device, and how often.
WAITS = {
    **{"_local_scalar_dense": 1, "_unique2": 1, "bincount": 1, "equal": 1, "masked_select": 1},
    **{"nms": 1, "nonzero": 1, "unique_consecutive": 1, "unique_dim": 2},
}
#: Of those the ones that bring a number back.
BRINGS_BACK = frozenset(("_local_scalar_dense", "equal", "masked_select", "nms", "nonzero"))

_INTEGERS = frozenset((torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool))
#: Dtypes that an operation does not take on CUDA.
NO_CUDA = {
    **dict.fromkeys(
        _names("""
            _adaptive_avg_pool2d _embedding_bag _embedding_bag_forward_only _softmax addmm
            avg_pool2d baddbmm bmm convolution exp_ grid_sampler_2d max_pool2d_with_indices mean mm
            nms segment_reduce sigmoid_ std_mean upsample_bilinear2d
        """),
        _INTEGERS,
    ),
    "upsample_nearest2d": _INTEGERS - {torch.uint8},
}
#: Operations that take tensors of the host beside those of the device.
MIXED = _names("""
    _copy_from _index_put_impl_ _to_copy copy_ index index_put index_put_ resize_as_ set_ to
""")
INDEXING = frozenset(("_index_put_impl_", "index", "index_put", "index_put_"))
#: Operations that do not even take a number that is a tensor of the host.
NO_SCALAR = _names("""
    _embedding_bag _embedding_bag_forward_only addmm bmm cat convolution embedding gather
    index_add_ index_select mm nms repeat_interleave scatter_ scatter_reduce searchsorted
    segment_reduce sort stack
""")
#: Operators of the CPU alone.
CPU_ONLY = ("mkldnn", "mkldnn_prepacked", "onednn", "quantized")
#: What has weights: their arithmetic is what takes time, here as there.
HEAVY = frozenset(("addmm", "bmm", "convolution", "mm"))
FUSED = frozenset(("cudnn_convolution_relu", "cudnn_convolution_add_relu"))


def launches(name: str, args: Sequence[Any]) -> int:
    """Kernels that an operation starts."""
    if name in FREE:
        return 0
    if name == "cat":
        return -(-len(args[0]) // 128)
    if name == "convolution" and args[2] is not None:
        return 2  # cuDNN's, then the bias
    return LAUNCHES.get(name, 1)


def flops(name: str, args: Sequence[Any]) -> float:
    """Floating-point operations of what has weights, else 0."""
    if name not in HEAVY | FUSED:
        return 0.0
    if name == "convolution" or name in FUSED:
        plain = unfused(name, args)[0]
        height, width = args[0].shape[2:] if _is_transposed(plain) else _convolved(plain)
        return 2.0 * int(args[0].shape[0]) * height * width * int(args[1].numel())
    left, right = args[-2:] if name != "addmm" else args[1:3]
    return 2.0 * int(left.numel()) * int(right.shape[-1])


def without_arithmetic(name: str, args: Sequence[Any]) -> Tensor:
    """What has the shape of a heavy operation's result: the bias, or zeros."""
    if name in FUSED:
        args, add = unfused(name, args)
        plain = without_arithmetic("convolution", args)
        return (plain if add is None else plain.add_(add)).relu_()
    if name == "convolution":
        x, weight, bias = args[:3]
        channels = weight.shape[int(_is_transposed(args))]
        shape = (x.shape[0], channels, *_convolved(args))
        out = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        return out.zero_() if bias is None else out.copy_(bias.view(1, -1, 1, 1))
    left, right = args[-2:] if name != "addmm" else args[1:3]
    made: Tensor = left.new_zeros((*left.shape[:-1], right.shape[-1]))
    return made + args[0] if name == "addmm" else made


def unfused(name: str, args: Sequence[Any]) -> tuple[Sequence[Any], Tensor | None]:
    """The arguments of the plain convolution in a fused one, and what is added."""
    if name != "cudnn_convolution_add_relu":
        return args, None
    x, weight, add, _, *rest = args
    return (x, weight, *rest), add


def _is_transposed(args: Sequence[Any]) -> bool:
    return len(args) > 6 and args[6] is True  # a fused one has its groups there


def _convolved(args: Sequence[Any]) -> list[int]:
    x, weight, _, stride, padding, dilation = args[:6]
    if _is_transposed(args):
        return [
            (x.shape[2 + i] - 1) * stride[i]
            - 2 * padding[i]
            + dilation[i] * (weight.shape[2 + i] - 1)
            + 1
            for i in range(2)
        ]
    return [
        (x.shape[2 + i] + 2 * padding[i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i]
        + 1
        for i in range(2)
    ]


def touched(tensor: Tensor) -> int:
    """Bytes that a read of it touches: expanded axes count once."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else 1
    return count * tensor.element_size()
