"""The tensors of the device, and the one place that all operations on them go through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.standin import costs
from tests.standin.counts import Counts, product_line
from tests.standin.streams import HOST, Stream, current_stream, index_of

aten = torch.ops.aten
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd  # type: ignore[attr-defined]


class Settings:
    """What the device does besides.

    Attributes:
        skip_arithmetic: large convolutions and products give their bias instead of their result:
            counts of a large network without its arithmetic.
        limits: most bytes of a tensor that a device makes, by device; more is out of memory.
        left: tensors that are made before memory is out, once; ``None`` is no end.
        broken: devices on which nothing works any more.
        made: bytes of tensors that are made, where a test wants to know.
        refused: what was refused, with the product's line.
        used: devices that anything ran on.
        streams: likewise streams.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.skip_arithmetic = False
        self.limits: dict[int, int] = {}
        self.left: int | None = None
        self.broken: set[int] = set()
        self.made: list[int] | None = None
        self.refused: list[str] = []
        self.used: set[int] = set()
        self.streams: set[Stream] = set()
        self._threads = threading.local()

    @property
    def captured(self) -> list[Any] | None:
        """Of this thread, as streams of others are not captured."""
        return getattr(self._threads, "captured", None)

    @captured.setter
    def captured(self, operations: list[Any] | None) -> None:
        self._threads.captured = operations


COUNTS, SETTINGS = Counts(), Settings()


def _note_wait(what: str) -> None:
    if SETTINGS.captured is not None:
        refuse(f"{what}: operation not permitted when stream is capturing")
    COUNTS.wait(what)


HOST.note = _note_wait


class Origin:
    """Which work made the numbers of a tensor and of its views."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.tick = stream, stream.tick


class DeviceTensor(Tensor):
    """Says that it is on the device; ``held`` has the numbers."""

    held: Tensor
    number: int
    origin: Origin

    @staticmethod
    def __new__(cls, inner: Tensor, index: int, origin: Origin) -> DeviceTensor:
        tensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device("cuda", index),
            requires_grad=False,
        )
        assert isinstance(tensor, DeviceTensor)
        tensor.held, tensor.number, tensor.origin = inner, index, origin
        return tensor

    def __init__(self, *_: Any) -> None:
        pass

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return dispatch(func, args, kwargs or {})

    def __deepcopy__(self, memo: object) -> DeviceTensor:
        return DeviceTensor(self.held.clone(), self.number, self.origin)

    def __array__(self, *_: Any, **__: Any) -> Any:
        _no_array(self)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"DeviceTensor({tuple(self.shape)}, {self.dtype}, cuda:{self.number})"


def dispatch(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run an operation of ATen as the device would; see the package."""
    name, composite = _described(func)
    flat = leaves((*args, *kwargs.values()))
    tensors = [x for x in flat if isinstance(x, DeviceTensor)]
    device = kwargs.get("device") or next((x for x in flat if isinstance(x, torch.device)), None)
    to_device = device is not None and torch.device(device).type == "cuda"
    if not tensors and not to_device:
        return _on_the_host(func, name, args, dict(kwargs))
    if name in ("pin_memory", "_pin_memory"):
        refuse("cannot pin a tensor of the device: only dense CPU tensors can be pinned")
    if name == "record_stream":
        return None
    if composite:
        with Operations():  # type: ignore[no-untyped-call] # what CUDA gets is the parts
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
    if func.namespace in costs.CPU_ONLY or "mkldnn" in name:
        refuse(f"{func}: no CUDA kernel")
    index = index_of(device) if to_device else tensors[0].number
    _usable(func, name, flat, tensors, index)
    for tensor in tensors:
        _waited_for(func, tensor)
    if name == "_to_copy" and device is not None:
        return _moved(args[0], dict(kwargs), index if to_device else None)
    if name == "copy_":
        return _copied(args[0], args[1], (*args[2:], kwargs.get("non_blocking", False))[0])
    return _run(func, name, args, kwargs, tensors, index, None if to_device else device)


@cache
def _described(func: Any) -> tuple[str, bool]:
    """Its name, and whether it is made of others."""
    name = func._schema.name.split("::")[1]
    return name, func.has_kernel_for_dispatch_key(_COMPOSITE) and name != "lift_fresh"


def leaves(values: Iterable[Any]) -> list[Any]:
    """What is in tuples and lists; PyTorch's own trees take longer than most operations here."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, (tuple, list)):
            found += leaves(value)
        else:
            found.append(value)
    return found


def _changed(kind: type, change: Callable[[Any], Any], value: Any) -> Any:
    """What is of a kind, also in tuples and lists, is changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, (tuple, list)):
        return type(value)([_changed(kind, change, one) for one in value])
    return value


def _on_the_host(func: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if name in ("_pin_memory", "pin_memory"):
        COUNTS.pins += 1
        return args[0].clone()
    if name == "is_pinned":
        return False
    if kwargs.get("pin_memory"):
        kwargs["pin_memory"] = False
        COUNTS.pins += 1
    return func(*args, **kwargs)


def refuse(message: str) -> None:
    """As CUDA would, and noted: a program may catch the error."""
    SETTINGS.refused.append(f"{message} [{product_line()}]")
    raise RuntimeError(f"[stand-in CUDA] {message}")


def _no_array(tensor: DeviceTensor) -> None:
    message = (
        f"can't convert cuda:{tensor.number} device type tensor to numpy. Use Tensor.cpu() to copy "
        "it to host memory first."
    )
    SETTINGS.refused.append(f"{message} [{product_line()}]")
    raise TypeError(message)


def _usable(
    func: Any, name: str, flat: Sequence[Any], tensors: Sequence[DeviceTensor], index: int
) -> None:
    """Refuse tensors on several devices, and dtypes without a kernel."""
    if name not in ("_to_copy", "copy_"):
        for tensor in tensors:
            if tensor.number != index:
                refuse(f"{func}: tensors on cuda:{index} and cuda:{tensor.number}")
    if not tensors:
        return
    others = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, DeviceTensor)]
    if name not in costs.MIXED:
        for other in others:
            if other.dim() or name in costs.NO_SCALAR:
                refuse(
                    f"{func}: Expected all tensors to be on the same device, but found at least two"
                    f" devices, cuda:{index} and cpu! (cpu tensor {tuple(other.shape)})"
                )
    if others and name in costs.INDEXING:
        if not isinstance(flat[0], DeviceTensor):
            refuse(f"{func}: indices on the device of a tensor on the CPU")
        for other in others:
            if other.dim():
                _uploaded(other, blocking=True)
    if tensors[0].dtype in costs.NO_CUDA.get(name, ()):
        refuse(f'"{name}_cuda" not implemented for {tensors[0].dtype}')


def _waited_for(func: Any, tensor: DeviceTensor) -> None:
    origin, stream = tensor.origin, current_stream(tensor.number)
    if origin.stream is not stream and origin.tick > max(
        stream.seen.get(origin.stream, 0), HOST.known.get(origin.stream, 0)
    ):
        refuse(f"{func}: a tensor of another stream, which this one has not waited for")


def _worked(index: int) -> Origin:
    """Something runs on the current stream; where its results come from."""
    stream = current_stream(index)
    stream.tick += 1
    SETTINGS.used.add(index)
    SETTINGS.streams.add(stream)
    return Origin(stream)


def _made(tensor: Tensor, index: int) -> DeviceTensor:
    size = tensor.numel() * tensor.element_size()
    if SETTINGS.made is not None:
        SETTINGS.made.append(size)
    if index in SETTINGS.broken:
        raise RuntimeError("[stand-in CUDA] CUDA error: an illegal memory access was encountered")
    limit, left = SETTINGS.limits.get(index), SETTINGS.left
    if left is not None:
        SETTINGS.left = left - 1 if left else None
    if left == 0 or (limit is not None and size > limit):
        raise torch.OutOfMemoryError("[stand-in CUDA] CUDA out of memory")
    return DeviceTensor(tensor, index, _worked(index))


def _uploaded(source: Tensor, blocking: bool) -> None:
    COUNTS.upload(source.numel() * source.element_size())
    if blocking:
        COUNTS.wait("copy up")


def _downloaded(source: DeviceTensor, blocking: bool = True) -> None:
    COUNTS.download(source.held.numel() * source.held.element_size())
    if blocking:
        HOST.wait("copy down", current_stream(source.number).marks())


def _moved(source: Tensor, kwargs: dict[str, Any], index: int | None) -> Tensor:
    """To a device, or to the host."""
    blocking = not kwargs.pop("non_blocking", False)
    for key in ("device", "pin_memory"):
        kwargs.pop(key, None)
    inner = source.held if isinstance(source, DeviceTensor) else source
    cast = bool(kwargs.keys() - {"layout"})
    out: Tensor = aten._to_copy.default(inner, **kwargs) if cast else inner.clone()
    if index is not None:
        if not isinstance(source, DeviceTensor):
            _uploaded(source, blocking)
        if isinstance(source, DeviceTensor) or out.dtype != source.dtype:
            COUNTS.kernel(1, costs.touched(inner) + costs.touched(out), 0)
        made = _made(out, index)
        if blocking and not isinstance(source, DeviceTensor):
            HOST.learn(current_stream(index).marks())
        return made
    assert isinstance(source, DeviceTensor)
    _downloaded(source, blocking)
    if not blocking:
        HOST.later(current_stream(source.number), out, out)
    return out


def _copied(target: Tensor, source: Tensor, non_blocking: bool) -> Tensor:
    mine, theirs = (x.held if isinstance(x, DeviceTensor) else x for x in (target, source))
    if isinstance(target, DeviceTensor):
        if not isinstance(source, DeviceTensor):
            _uploaded(source, not non_blocking)
        if isinstance(source, DeviceTensor) or not mine.is_contiguous():
            COUNTS.kernel(1, costs.touched(theirs) + costs.touched(mine), 0)
        rewritten(target)
        mine.copy_(theirs)
        return target
    assert isinstance(source, DeviceTensor)
    _downloaded(source, not non_blocking)
    if non_blocking:
        HOST.later(current_stream(source.number), mine, theirs)
    else:
        mine.copy_(theirs)
    return target


def rewritten(tensor: DeviceTensor) -> None:
    """New numbers are in it, made on the current stream."""
    made = _worked(tensor.number)
    tensor.origin.stream, tensor.origin.tick = made.stream, made.tick


def _run(
    func: Any,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    tensors: Sequence[DeviceTensor],
    index: int,
    host: Any,
) -> Any:
    """On the CPU, counted; ``host`` is the device of a factory there (``new_empty``)."""
    held = partial(_changed, DeviceTensor, lambda tensor: tensor.held)
    inner_args, inner_kwargs = held(args), {key: held(value) for key, value in kwargs.items()}
    if host is not None:
        return func(*inner_args, **inner_kwargs)
    if "device" in inner_kwargs:
        inner_kwargs["device"] = torch.device("cpu")
    inner_kwargs.pop("pin_memory", None)
    _count_waits(name, args, kwargs, index)
    out = _computed(func, name, inner_args, inner_kwargs)
    flops = costs.flops(name, args)
    ins = [tensor.held for tensor in tensors]
    outs = [x for x in leaves((out,)) if isinstance(x, Tensor)]
    if name not in costs.FREE and name != "_local_scalar_dense":
        gathered = name in ("index_select", "index", "gather", "embedding")
        read = [*outs, *ins[1:]] if gathered else ins
        moved = sum(map(costs.touched, read)) + sum(map(costs.touched, outs))
        COUNTS.kernel(costs.launches(name, args), moved, flops)
        COUNTS.lines["flops"][product_line()] += int(flops)
    wrapped = _wrapped(name, out, tensors, index)
    if SETTINGS.captured is not None:
        again = partial(_computed, func, name, inner_args, inner_kwargs)
        SETTINGS.captured.append((again, out, wrapped))
    return wrapped


def _computed(func: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if SETTINGS.skip_arithmetic and costs.flops(name, args) > 5e7:
        return costs.without_arithmetic(name, args)
    if name == "cudnn_batch_norm":
        x, weight, bias, mean, var, training, momentum, eps = args
        normed = aten.native_batch_norm.default(x, weight, bias, mean, var, training, momentum, eps)
        return (*normed, torch.empty(0))
    if name in costs.FUSED:
        plain, add = costs.unfused(name, args)
        y = aten.convolution.default(*plain[:6], False, [0, 0], plain[6])
        return (y if add is None else y.add_(add)).relu_()
    return func(*args, **kwargs)


def _count_waits(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], index: int) -> None:
    waits = costs.WAITS.get(name, 0)
    if name in costs.INDEXING:
        masks = [x for x in args[1] if x is not None and x.dtype in (torch.bool, torch.uint8)]
        if masks and name != "index" and args[2].numel() == 1 and not (len(args) > 3 and args[3]):
            masks = []  # it becomes a masked fill
        for _ in masks:  # each becomes positions
            waits += 1
            COUNTS.kernel(costs.LAUNCHES["nonzero"], 0, 0)
            COUNTS.download(8)
    if name == "repeat_interleave" and kwargs.get("output_size") is None:
        waits += not (len(args) > 1 and isinstance(args[-1], int))
    if waits:
        if SETTINGS.captured is not None:
            refuse(f"{name}: operation not permitted when stream is capturing")
        COUNTS.wait(name, waits)
        HOST.learn(current_stream(index).marks())
    if name in costs.BRINGS_BACK:
        COUNTS.download(8)


def _wrapped(name: str, out: Any, tensors: Sequence[DeviceTensor], index: int) -> Any:
    """The results as tensors of the device; those that are arguments or views stay so."""
    by_inner = {id(tensor.held): tensor for tensor in tensors}
    origins = {tensor.held.untyped_storage()._cdata: tensor.origin for tensor in tensors}

    def wrap(tensor: Tensor) -> Tensor:
        known = by_inner.get(id(tensor))
        if known is not None:
            rewritten(known)
            return known
        origin = origins.get(tensor.untyped_storage()._cdata)
        if origin is None:
            return _made(tensor, index)
        if torch.is_inference_mode_enabled() and not tensors[0].is_inference():
            with torch.inference_mode(False):  # a view of a normal tensor is one
                return DeviceTensor(tensor, index, origin)
        return DeviceTensor(tensor, index, origin)

    return _changed(Tensor, wrap, out)


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Factories and moves, which have no tensor of the device among their arguments."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(func, args, kwargs or {})


class Functions(TorchFunctionMode):
    """Functions that ask the driver before anything is dispatched: made on the CPU, then moved."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        first = args[0] if args else None
        if func in (torch.tensor, torch.as_tensor, torch.asarray):
            device = kwargs.get("device")
            there = device is not None and torch.device(device).type == "cuda"
            if there and not isinstance(first, DeviceTensor):
                del kwargs["device"]
                return func(*args, **kwargs).to(device)
        if not isinstance(first, DeviceTensor):
            return func(*args, **kwargs)
        if func is Tensor.new_tensor:
            device, dtype = kwargs.get("device", first.device), kwargs.get("dtype", first.dtype)
            return torch.tensor(args[1], dtype=dtype).to(device)
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            index = args[1]
            parts = index if isinstance(index, tuple) else (index,)
            moved = tuple(_index_on_device(part, first.device) for part in parts)
            args = (first, moved if isinstance(index, tuple) else moved[0], *args[2:])
        if func is Tensor.tolist:
            return first.cpu().tolist()
        if func is Tensor.numpy:
            _no_array(first)
        return func(*args, **kwargs)


def _index_on_device(part: Any, device: torch.device) -> Any:
    """A list or an array as an index becomes a tensor of the device: a blocking copy."""
    if isinstance(part, (list, range, np.ndarray)):
        return torch.tensor(part).to(device)
    return part


@contextmanager
def modes() -> Iterator[None]:
    """The device, for this thread."""
    with Functions(), Operations():  # type: ignore[no-untyped-call]
        yield
