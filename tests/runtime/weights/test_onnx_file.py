"""Which ONNX files hold what they say."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from deepface.runtime.weights.onnx_file import onnx_tensors

NUMBERS = (
    "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "BOOL", "FLOAT16", "DOUBLE",
    "UINT32", "UINT64", "BFLOAT16",
)  # fmt: skip


def model(tensor: TensorProto) -> memoryview:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "graph", inputs, outputs, [tensor])
    return memoryview(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize("name", NUMBERS)
def test_a_tensor_of_each_kind(name: str) -> None:
    kind = TensorProto.DataType.Value(name)
    size = 2 if name == "BFLOAT16" else helper.tensor_dtype_to_np_dtype(kind).itemsize
    for count, right in ((6, True), (5, False), (7, False)):
        raw = helper.make_tensor("w", kind, [2, 3], bytes(6 * size), raw=True)
        raw.raw_data = bytes(count * size)
        typed = helper.make_tensor("w", kind, [2, 3], [1] * 6)
        del typed.dims[:]
        typed.dims.extend([1, count])
        for tensor, shape in ((raw, (2, 3)), (typed, (1, count))):
            if right:
                assert onnx_tensors(model(tensor)) == {"w": shape}
            else:
                with pytest.raises(ValueError, match="'w' has not as many numbers as its shape"):
                    onnx_tensors(model(tensor))
