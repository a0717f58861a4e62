"""PyTorch checkpoints, read without PyTorch and without running anything that is in them.

A checkpoint is a pickle; its tensors are references to bytes elsewhere in the file (format:
``torch/serialization.py``; a zip archive, before PyTorch 1.6 pickles one after the other). Python's
own unpickler walks through it, but no name in it leads to anything that runs: the few that stand
for tensors and dicts are known here, every other gives an :class:`Inert`.

All that a file may claim is checked against what it has before memory is taken for it.
"""

from __future__ import annotations

import _compat_pickle
import io
import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple

from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.shape import Shape, checked_shape

if TYPE_CHECKING:
    from torch import Tensor

#: Bytes of a pickle: networks need some hundred thousand, and each may cost some hundred of memory.
_MOST_PICKLED = 2 << 20

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_ZIP = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")

#: Name of a storage's class -> dtype, bytes of a number.
_STORAGES = {
    "torch.FloatStorage": ("float32", 4),
    "torch.DoubleStorage": ("float64", 8),
    "torch.HalfStorage": ("float16", 2),
    "torch.BFloat16Storage": ("bfloat16", 2),
    "torch.LongStorage": ("int64", 8),
    "torch.IntStorage": ("int32", 4),
    "torch.ShortStorage": ("int16", 2),
    "torch.CharStorage": ("int8", 1),
    "torch.ByteStorage": ("uint8", 1),
    "torch.BoolStorage": ("bool", 1),
}


@dataclass(frozen=True)
class Storage:
    """Numbers that tensors are views of."""

    key: str
    dtype: str
    count: int
    nbytes: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is still in the file."""

    storage: Storage
    offset: int
    shape: Shape
    strides: tuple[int, ...]


@dataclass(eq=False)
class Inert:
    """What a name in a pickle was to make: the name, what it was called with, its state."""

    path: str
    arguments: tuple[Any, ...] = ()
    state: Any = None


@dataclass(frozen=True)
class _Name:
    path: str


#: Names of values that no network is made of, and that do not count as foreign.
_HARMLESS = {"torch.device", *(f"torch.{dtype}" for dtype, _ in _STORAGES.values())}


class _Place(NamedTuple):
    """Where the bytes of a storage are; ``crc`` is known in a zip archive."""

    position: int
    size: int
    crc: int | None


@dataclass
class PytorchFile:
    """An open checkpoint.

    Attributes:
        content: what was saved: dicts, lists, numbers, text, :class:`StoredTensor`, :class:`Inert`.
            It may contain itself.
        names: every name in it that stands for more than tensors and dicts.
    """

    file: IO[bytes]
    content: Any = None
    names: set[str] = field(default_factory=set)
    _places: dict[str, _Place] = field(default_factory=dict)
    _storages: dict[str, Tensor] = field(default_factory=dict)

    @property
    def saved(self) -> Any:
        """``content``, or the dict that it has under the key ``"state_dict"``."""
        inner = self.content.get("state_dict") if isinstance(self.content, dict) else None
        return inner if isinstance(inner, dict) else self.content

    def tensor(self, stored: StoredTensor) -> Tensor:
        """The numbers of a tensor, on the CPU; tensors that share them in the file do so here."""
        key = stored.storage.key
        if key not in self._storages:
            self._storages[key] = self._read(stored.storage)
        return self._storages[key].as_strided(stored.shape, stored.strides, stored.offset)

    def _read(self, storage: Storage) -> Tensor:
        import torch

        place = self._places[storage.key]
        content = torch.empty(place.size, dtype=torch.uint8)
        view = content.numpy().data
        self.file.seek(place.position)
        if self.file.readinto(view) != place.size:  # type: ignore[attr-defined]
            raise ValueError("it ends too early")
        if place.crc is not None and zlib.crc32(view) != place.crc:
            raise ValueError(f"the checksum of storage {storage.key} differs")
        return content.view(getattr(torch, storage.dtype))


@contextmanager
def open_pytorch(path: str | Path) -> Iterator[PytorchFile]:
    """Open a checkpoint.

    Raises:
        FileNotFoundError: there is none.
        WeightsError: it is damaged or something else; also from what is done inside the block.
    """
    with reading(path, "PyTorch checkpoint"), Path(path).open("rb") as file:
        checkpoint = PytorchFile(file)
        start = file.read(len(_ZIP))
        file.seek(0)
        if start == _ZIP:
            _read_archive(checkpoint)
        else:
            _read_legacy(checkpoint)
        yield checkpoint


def _read_archive(checkpoint: PytorchFile) -> None:
    with zipfile.ZipFile(checkpoint.file) as archive:
        entries = archive.infolist()
        members = {entry.filename: entry for entry in entries}
        if len(members) != len(entries):
            raise ValueError("it has two members of one name")
        (name,) = (name for name in members if name.split("/")[1:] == ["data.pkl"])
        folder = name.removesuffix("data.pkl")
        if f"{folder}constants.pkl" in members:
            raise ValueError("it is a TorchScript program")
        order = members.get(f"{folder}byteorder")
        _check_order(_content(archive, order) if order else b"little")
        unpickler = _Unpickler(_content(archive, members[name]))
        checkpoint.content, checkpoint.names = unpickler.load(), unpickler.names
    for key, storage in unpickler.storages.items():
        entry = members[f"{folder}data/{key}"]
        place = _Place(_position(checkpoint.file, entry), entry.file_size, entry.CRC)
        if place.size != storage.nbytes:
            raise ValueError(f"storage {key} has {place.size} bytes: not {storage.count} numbers")
        checkpoint._places[key] = place


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > _MOST_PICKLED or entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{entry.filename} is compressed, or larger than any network needs")
    return archive.read(entry)


def _position(file: IO[bytes], entry: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin that is neither compressed nor encrypted."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise ValueError(f"{entry.filename} is compressed or encrypted")
    file.seek(entry.header_offset)
    signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    position = entry.header_offset + _LOCAL_HEADER.size + name + extra
    if signature != _ZIP or position + entry.file_size > file.seek(0, io.SEEK_END):
        raise ValueError(f"{entry.filename} lies beyond the end of the file")
    return int(position)


def _read_legacy(checkpoint: PytorchFile) -> None:
    stream = io.BytesIO(checkpoint.file.read(_MOST_PICKLED))
    if not stream.getvalue().startswith(pickle.PROTO):
        raise ValueError("it does not begin as one")
    end = checkpoint.file.seek(0, io.SEEK_END)
    if [_Unpickler(stream).load() for _ in range(2)] != [_MAGIC, _VERSION]:
        raise ValueError("it does not begin as one")
    system = _Unpickler(stream).load()
    _check_order(b"little" if system["little_endian"] else b"big")
    unpickler = _Unpickler(stream)
    checkpoint.content, checkpoint.names = unpickler.load(), unpickler.names
    keys = _Unpickler(stream).load()
    position = stream.tell()
    for key in keys:
        storage = unpickler.storages[key]
        checkpoint.file.seek(position)
        (count,) = struct.unpack("<q", checkpoint.file.read(8))
        place = _Place(position + 8, storage.nbytes, None)
        position = place.position + place.size
        if count != storage.count or position > end:
            raise ValueError("it ends too early")
        checkpoint._places[key] = place
    if set(unpickler.storages) - set(checkpoint._places):
        raise ValueError("numbers are missing")


def _check_order(order: bytes) -> None:
    if order != b"little":
        raise ValueError("its numbers have the most significant byte first")


class _Unpickler(pickle._Unpickler):
    """Builds plain values, :class:`StoredTensor` and :class:`Inert`; calls nothing.

    Python's implementation, because its steps can be replaced one by one.
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, content: bytes | io.BytesIO) -> None:
        super().__init__(io.BytesIO(content) if isinstance(content, bytes) else content)
        self.names: set[str] = set()
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        # Protocols before 3, which PyTorch writes, have the names of Python 2.
        module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
        path = f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"
        if path not in _STORAGES and path not in _KNOWN and path not in _HARMLESS:
            self.names.add(path)
        return _Name(path)

    def persistent_load(self, reference: Any) -> Storage:
        kind, name, key, _, count, *view = reference
        if kind != "storage" or view not in ([], [None]) or not isinstance(name, _Name):
            raise pickle.UnpicklingError(f"a reference to {kind!r:.20}")
        dtype, item = _STORAGES[name.path]
        storage = Storage(_text(key), dtype, _number(count), item * count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise pickle.UnpicklingError(f"storage {storage.key} has two types")
        return storage

    def _make(self, name: Any, arguments: Any) -> Any:
        """What the call of a name gives."""
        path = getattr(name, "path", "")  # what a call gave can be called, too
        known = _KNOWN.get(path) if isinstance(name, _Name) else None
        return known(*arguments) if known else Inert(path, arguments)

    def load_reduce(self) -> None:
        arguments = self.stack.pop()  # type: ignore[attr-defined]
        self.stack[-1] = self._make(self.stack[-1], arguments)  # type: ignore[attr-defined]

    def load_newobj_ex(self) -> None:
        if self.stack.pop():  # type: ignore[attr-defined]
            raise pickle.UnpicklingError("a call with named arguments")
        self.load_reduce()

    def load_build(self) -> None:
        state = self.stack.pop()  # type: ignore[attr-defined]
        if isinstance(self.stack[-1], Inert):  # type: ignore[attr-defined]
            self.stack[-1].state = state  # type: ignore[attr-defined]
        # Others have state that does not matter: versions of modules, beside a state dict.


def _with_checked_keys(opcode: bytes, keys: slice) -> Callable[[_Unpickler], None]:
    """The step of an opcode that makes keys of a part of the stack."""
    step = _Unpickler.dispatch[opcode[0]]

    def checked(self: _Unpickler) -> None:
        _check_keys(self.stack[keys])  # type: ignore[attr-defined]
        step(self)

    return checked


_Unpickler.dispatch |= {
    pickle.REDUCE[0]: _Unpickler.load_reduce,
    pickle.NEWOBJ[0]: _Unpickler.load_reduce,
    pickle.NEWOBJ_EX[0]: _Unpickler.load_newobj_ex,
    pickle.BUILD[0]: _Unpickler.load_build,
    pickle.SETITEM[0]: _with_checked_keys(pickle.SETITEM, slice(-2, -1)),
    pickle.SETITEMS[0]: _with_checked_keys(pickle.SETITEMS, slice(None, None, 2)),
    pickle.DICT[0]: _with_checked_keys(pickle.DICT, slice(None, None, 2)),
    pickle.ADDITEMS[0]: _with_checked_keys(pickle.ADDITEMS, slice(None)),
    pickle.FROZENSET[0]: _with_checked_keys(pickle.FROZENSET, slice(None)),
}
#: No checkpoint has them.
for _opcode in (
    *(pickle.INST, pickle.OBJ, pickle.PERSID, pickle.EXT1, pickle.EXT2, pickle.EXT4),
    *(pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
):
    del _Unpickler.dispatch[_opcode[0]]


def _check_keys(keys: list[Any]) -> None:
    """Refuse what is nested: to hash it could exhaust the stack."""
    for key in keys:
        if type(key) not in (str, int, float, bool, type(None), bytes):
            raise pickle.UnpicklingError(f"a {type(key).__name__} as a key")


def _set(items: Any = ()) -> set[Any]:
    _check_keys(list(items))
    return set(items)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without numbers")
    sizes, steps = checked_shape(map(_number, shape)), tuple(map(_number, strides))
    if len(sizes) != len(steps):
        raise pickle.UnpicklingError("a tensor's shape and strides do not fit")
    last = _number(offset) + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
    count = math.prod(sizes)
    if count > storage.count or (count and last >= storage.count):
        raise pickle.UnpicklingError(f"a tensor {sizes} of {storage.count} numbers")
    return StoredTensor(storage, offset, sizes, steps)


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise pickle.UnpicklingError(f"{value!r:.20} instead of a number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise pickle.UnpicklingError("something instead of text")
    return value


#: Names that stand for tensors and plain values -> what their call gives.
_KNOWN: dict[str, Callable[..., Any]] = {
    "_codecs.encode": lambda text, _: _text(text).encode("latin1"),  # how protocol 2 writes bytes
    "builtins.set": _set,
    "collections.OrderedDict": lambda: {},
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
}
