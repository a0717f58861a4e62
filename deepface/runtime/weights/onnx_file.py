"""What an ONNX file holds: nodes and arrays, read without the package ``onnx``.

Of the format (https://onnx.ai, ``onnx.proto``) only what convolutional networks need is understood:
nodes with their attributes, and float32 and int64 tensors inside the file. OpenCV reads the arrays,
too, but not the attributes (a batch norm's epsilon).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.protobuf import Message
from deepface.runtime.weights.shape import Shape, checked_shape

#: ``TensorProto.DataType`` of the arrays that are read.
_DTYPES = {1: "<f4", 7: "<i8"}
#: Number of a type -> bytes of a number in ``raw_data``.
_RAW = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
#: Fields of a tensor with numbers of one type each -> bytes of one; 0 where it has no fixed size.
_TYPED = {4: 4, 5: 0, 7: 0, 10: 8, 11: 0}
#: Graphs within attributes of nodes within graphs.
_MOST_NESTED = 8
#: Operations that are not run: loops, which may have no end, and programs in other files.
_REFUSED = {"Loop", "Scan", "EPContext"}


@dataclass(frozen=True)
class Node:
    """An operation.

    Attributes:
        kind: ``Conv``, ``Relu``, ...
        inputs: names of what it takes; of arrays and of other nodes' outputs.
        outputs: names of what it gives.
        attributes: numbers and lists of integers.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can run, and constant arrays by name."""

    nodes: list[Node]
    arrays: dict[str, NDArray[Any]]


def read_onnx(path: Path) -> Graph:
    """The graph of an ONNX file.

    Raises:
        WeightsError: it is no ONNX file, or damaged.
    """
    with reading(path, "ONNX model"):
        content = memoryview(path.read_bytes())
        onnx_tensors(content)
        (graph,) = Message(content).messages(7)
        return Graph(
            nodes=[_node(node) for node in graph.messages(1)],
            arrays={tensor.text(8): _array(tensor) for tensor in graph.messages(5)},
        )


def _node(node: Message) -> Node:
    return Node(
        kind=node.text(4),
        inputs=tuple(node.texts(1)),
        outputs=tuple(node.texts(2)),
        attributes={part.text(1): _attribute(part) for part in node.messages(5)},
    )


def _attribute(attribute: Message) -> Any:
    if 8 in attribute:
        return tuple(attribute.numbers(8))
    if 2 in attribute:
        return float(np.frombuffer(attribute.parts(2)[-1], "<f4")[0])
    return attribute.numbers(3)[-1] if 3 in attribute else None


def _array(tensor: Message) -> NDArray[Any]:
    (kind,), shape = tensor.numbers(2), tensor.numbers(1)
    if 9 not in tensor and kind == 7:
        return np.array(tensor.numbers(7), np.int64).reshape(shape)
    data = b"".join(tensor.parts(9) or tensor.parts(4))
    return np.frombuffer(data, _DTYPES[kind]).reshape(shape)


def onnx_tensors(content: memoryview) -> Mapping[str, Shape]:
    """The weights of an ONNX model by name.

    Raises:
        ValueError: it is damaged, has numbers in another file, or more in it than is computed.
    """
    model = Message(content)
    (graph,) = model.messages(7)
    tensors = _onnx_graph(graph, _MOST_NESTED)
    for function in model.messages(25):
        _check_nodes(function.messages(7), _MOST_NESTED)
    if not graph.parts(1) or not graph.parts(11) or not graph.parts(12):
        raise ValueError("a graph without nodes, inputs or outputs")
    return tensors


def _onnx_graph(graph: Message, depth: int) -> dict[str, Shape]:
    if depth == 0:
        raise ValueError("graphs in graphs in graphs")
    if 15 in graph:
        raise ValueError("sparse tensors")
    _check_nodes(graph.messages(1), depth)
    return {tensor.text(8): _onnx_shape(tensor) for tensor in graph.messages(5)}


def _check_nodes(nodes: Iterable[Message], depth: int) -> None:
    """Their kinds, and the arrays and graphs in their attributes."""
    for node in nodes:
        if (kind := node.text(4)) in _REFUSED:
            raise ValueError(f"operations of the kind {kind} are not run")
        for attribute in node.messages(5):
            if 22 in attribute or 23 in attribute:
                raise ValueError("sparse tensors")
            for tensor in (*attribute.messages(5), *attribute.messages(10)):
                _onnx_shape(tensor)
            for inner in (*attribute.messages(6), *attribute.messages(11)):
                _onnx_graph(inner, depth - 1)


def _onnx_shape(tensor: Message) -> Shape:
    name, shape = tensor.text(8), checked_shape(tensor.numbers(1))
    if 13 in tensor or any(tensor.numbers(14)):
        raise ValueError(f"the numbers of {name!r:.50} are in another file")
    count = math.prod(shape)
    if 9 in tensor:
        kind = (tensor.numbers(2) or [0])[-1]
        right = sum(map(len, tensor.parts(9))) == count * _RAW.get(kind, -1)
    else:
        right = any(_count(tensor, field) == count for field in _TYPED) or 6 in tensor
    if not right:
        raise ValueError(f"{name!r:.50} has not as many numbers as its shape {shape} says")
    return shape


def _count(message: Message, field: int) -> int:
    """How many numbers are in a repeated field of any kind."""
    if size := _TYPED[field]:
        return sum(map(len, message.parts(field))) // size
    return len(message.numbers(field))
