"""Caffe models: the layers of a ``.caffemodel`` and their arrays (fields: ``caffe.proto``)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepface.runtime.weights.protobuf import Message
from deepface.runtime.weights.shape import Shape, checked_shape


class Blob(NamedTuple):
    """Numbers of a Caffe layer, in the file."""

    shape: Shape
    content: memoryview

    def array(self) -> NDArray[np.float32]:
        """A copy of the numbers."""
        return np.frombuffer(self.content, "<f4").reshape(self.shape).astype(np.float32)


def caffe_layers(content: memoryview) -> dict[str, list[Blob]]:
    """The layers of a Caffe model by name, and their arrays.

    Raises:
        ValueError: it is damaged.
    """
    layers = {
        layer.text(1): [_blob(blob) for blob in layer.messages(7)]
        for layer in Message(content).messages(100)
    }
    if not layers:
        raise ValueError("it has no layers")
    return layers


def _blob(blob: Message) -> Blob:
    sizes = [n for shape in blob.messages(7) for n in shape.numbers(1)]
    if 7 not in blob:  # a Caffe before 2014
        sizes = [n for field in (1, 2, 3, 4) for n in blob.numbers(field)]
    shape = checked_shape(sizes)
    parts = blob.parts(5)
    content = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
    if len(content) != 4 * math.prod(shape):
        raise ValueError(f"{len(content)} bytes for an array of shape {shape}")
    return Blob(shape, content)
