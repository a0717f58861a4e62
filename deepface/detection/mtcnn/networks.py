"""The three networks of MTCNN and the weights that the package ``mtcnn`` ships.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks",
2016, https://arxiv.org/abs/1604.02878. The weights (MIT licence, as the package) are read from its
files ``pnet.lz4``, ``rnet.lz4`` and ``onet.lz4``: lists of float32 arrays in Keras order and
layout, written by joblib. The package itself is not imported, so TensorFlow is not needed.

Inputs are BGR pixels scaled to ``(value - 127.5) / 128``. The networks were trained on RGB; their
first convolutions have been turned round instead of every picture.
"""

from __future__ import annotations

import importlib.util
import pickle
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepface.detection.ragged import ALONE, Edges
from deepface.errors import MissingPackageError, WeightsError

#: Pixels from one position of PNet to the next, and the side of the square that it looks at.
STRIDE, WINDOW = 2, 12

N = TypeVar("N", bound="_Net")


class _Net(nn.Module):
    """A network whose weights are in the file of its name."""

    @classmethod
    def loaded(cls: type[N]) -> N:
        """The network with its weights.

        Raises:
            MissingPackageError: see :func:`read_weights`.
            WeightsError: likewise.
        """
        network = cls()
        _load(network, network.fitting(read_weights(cls.__name__.lower())))
        return network

    def fitting(self, arrays: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The file's arrays in the shapes of this network's layers."""
        return arrays


def _layers(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel), nn.PReLU(outputs))


class PNet(_Net):
    """Scores every ``12 x 12`` window of a picture, at a stride of two pixels."""

    #: Channels after the first layer. There are ten; two of zeros make whole vector registers of
    #: them, without which PReLU and pooling take four times as long on a CPU.
    width = 12

    def __init__(self) -> None:
        super().__init__()
        self.first = _layers(3, self.width, 3)
        self.others = nn.Sequential(_layers(self.width, 16, 3), _layers(16, 32, 3))
        self.heads = nn.Linear(32, 5)

    def forward(self, x: Tensor, edges: Edges = ALONE) -> Tensor:
        """``(B, 3, h, w)`` to ``(B, h', w', 5)``: of each window logit and box offsets.

        ``h' = ceil((h - 2) / 2) - 4``: where ``h`` is odd, the last window reaches one row over
        the edge. ``edges``, of the map of two rows and columns less, are those of smaller pictures.
        """
        x = self.others(_halve(edges.clear(self.first(x), 1, -torch.inf)))
        if x.device.type == "cpu":  # twice as fast as a matrix product with five columns
            kernel = self.heads.weight[:, :, None, None]
            return functional.conv2d(x, kernel, self.heads.bias).permute(0, 2, 3, 1)
        windows: Tensor = self.heads(x.permute(0, 2, 3, 1))
        return windows

    def fitting(self, arrays: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        kernel, bias, slope, after, *others = arrays
        more = self.width - len(bias)
        return [
            np.pad(kernel, ((0, 0), (0, 0), (0, 0), (0, more))),
            np.pad(bias, (0, more)),
            np.pad(slope, ((0, 0), (0, 0), (0, more))),
            np.pad(after, ((0, 0), (0, 0), (0, more), (0, 0))),
            *others,
        ]


class RNet(_Net):
    """Judges and corrects candidates, cut out and resized to ``24 x 24``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layers(3, 28, 3),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _layers(28, 48, 3),
            nn.MaxPool2d(3, 2),
            _layers(48, 64, 2),
        )
        self.dense = nn.Sequential(nn.Linear(576, 128), nn.PReLU(128))
        self.heads = nn.Linear(128, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, 3, 24, 24)`` to logits ``(n,)`` and box offsets ``(n, 4)``."""
        x = self.heads(self.dense(_flatten(self.layers(x))))
        return x[:, 0], x[:, 1:]


class ONet(_Net):
    """Judges and corrects faces, ``48 x 48``, and finds their landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layers(3, 32, 3),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _layers(32, 64, 3),
            nn.MaxPool2d(3, 2),
            _layers(64, 64, 3),
            nn.MaxPool2d(2, 2),
            _layers(64, 128, 2),
        )
        self.dense = nn.Sequential(nn.Linear(1152, 256), nn.PReLU(256))
        self.heads = nn.Linear(256, 15)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(n, 3, 48, 48)`` to logits ``(n,)``, box offsets ``(n, 4)`` and landmarks ``(n, 10)``.

        Landmarks are five x and five y, as fractions of the box.
        """
        x = self.heads(self.dense(_flatten(self.layers(x))))
        return x[:, 0], x[:, 1:5], x[:, 5:]


def _halve(x: Tensor) -> Tensor:
    """Max pooling ``2 x 2``, an odd last row or column by itself; ``x`` is written over.

    ``max_pool2d`` gives the same and is several times slower on channels-last CPU tensors.
    """
    rows, below = x[:, :, ::2], x[:, :, 1::2]
    upper = rows[:, :, : below.shape[2]]
    torch.maximum(upper, below, out=upper)
    left, right = rows[:, :, :, ::2], rows[:, :, :, 1::2]
    if left.shape[3] == right.shape[3]:
        return torch.maximum(left, right)
    halved = torch.empty_like(left)
    torch.maximum(left[:, :, :, :-1], right, out=halved[:, :, :, :-1])
    halved[:, :, :, -1] = left[:, :, :, -1]
    return halved


def _flatten(x: Tensor) -> Tensor:
    """``(n, c, h, w)`` to rows in the order width, height, channel that the weights have."""
    return x.permute(0, 3, 2, 1).flatten(1)


def _load(network: nn.Module, arrays: list[NDArray[np.float32]]) -> None:
    """Copy Keras arrays, in order, into the layers of a network, in order.

    What is left for the heads are their parts, the softmax at the end. Its two outputs "no face"
    and "face" become one logit, which comes first, their difference: the same probability, but one
    that does not saturate when boxes are ranked by it.
    """
    given = [torch.from_numpy(array) for array in arrays]
    state: dict[str, Tensor] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            kernel = given.pop(0).permute(3, 2, 0, 1)
            state[f"{name}.weight"] = kernel.flip(1) if layer.in_channels == 3 else kernel
            state[f"{name}.bias"] = given.pop(0)
        elif isinstance(layer, nn.PReLU):
            state[f"{name}.weight"] = given.pop(0).flatten()
        elif name == "heads":
            weights = [part.flatten(0, -2).t() for part in given[::2]]
            for kind, parts in (("weight", weights), ("bias", given[1::2])):
                no_face, face = parts.pop()
                state[f"{name}.{kind}"] = torch.cat([(face - no_face)[None], *parts])
        elif isinstance(layer, nn.Linear):
            state[f"{name}.weight"], state[f"{name}.bias"] = given.pop(0).t(), given.pop(0)
    network.load_state_dict(state)


def read_weights(name: str) -> list[NDArray[np.float32]]:
    """The arrays of ``pnet``, ``rnet`` or ``onet``, in Keras order.

    Raises:
        MissingPackageError: the package ``mtcnn`` or its dependency ``lz4`` is not installed.
        WeightsError: the file is not there or is not such a list of arrays.
    """
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(
            "the detectors mtcnn and fastmtcnn read their weights from the package mtcnn, which "
            "is not installed: pip install mtcnn"
        )
    file = Path(spec.submodule_search_locations[0]) / "assets" / "weights" / f"{name}.lz4"
    try:
        import lz4.frame  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError(
            f"{file.name} is read by the package lz4 ({error}): pip install lz4"
        ) from None
    try:
        arrays = ArrayListReader(BytesIO(lz4.frame.decompress(file.read_bytes()))).load()
        return [array.values for array in arrays]
    except Exception as error:
        raise WeightsError(
            f"{file} cannot be read ({error}); reinstall the package: "
            "pip install --force-reinstall mtcnn"
        ) from error


class _Array:
    """Stands in for joblib's description of an array, whose bytes follow it in the file."""

    source: IO[bytes]

    def __setstate__(self, state: dict[str, Any]) -> None:
        shape, dtype = state["shape"], state["dtype"]
        if state["order"] != "C" or dtype != np.dtype("<f4"):
            raise pickle.UnpicklingError(f"unexpected array: {state['order']} {dtype}")
        padding = self.source.read(1)[0]  # joblib aligns the bytes of each array
        self.source.read(padding)
        count = int(np.prod(shape))
        content = self.source.read(count * dtype.itemsize)
        self.values = np.frombuffer(content, dtype).reshape(shape).copy()


class ArrayListReader(pickle._Unpickler):
    """Reads a joblib file of float32 arrays; anything else in it is refused, nothing is run.

    Python's own unpickler reads ahead less than the C one: the arrays in between need that.
    """

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__(source)
        self._allowed: dict[str, Any] = {
            "joblib.numpy_pickle.NumpyArrayWrapper": type("_Array", (_Array,), {"source": source}),
            "numpy.ndarray": None,  # the wrapper only names it
            "numpy.dtype": np.dtype,
        }

    def find_class(self, module: str, name: str) -> Any:
        """What stands in for a class in the file."""
        try:
            return self._allowed[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"unexpected content: {module}.{name}") from None
