"""Whatever bytes a weight file holds: a result, or an error of ours that names the file."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from deepface.detection.haar.cascade import Cascade
from deepface.detection.haar.cascade_file import read_cascade
from deepface.errors import WeightsError
from deepface.runtime.weights import structure
from deepface.runtime.weights.checkpoints import load_state_dict
from deepface.runtime.weights.keras_h5 import read_state_dict
from deepface.runtime.weights.onnx_file import read_onnx
from tests.detection.tiny_tflite import blaze_face
from tests.runtime.weights.mutations import mutations
from tests.runtime.weights.test_keras_h5 import FLATTEN, ORDER, network, write

#: Copies of each file.
COUNT = 400
#: Bytes of memory that a reader may take for a file of some kilobytes.
MEMORY = 50_000_000


def zipped(path: Path) -> None:
    torch.save(network().state_dict(), path)


def legacy(path: Path) -> None:
    torch.save({"state_dict": network().state_dict()}, path, _use_new_zipfile_serialization=False)


def pickled_module(path: Path) -> None:
    torch.save({"model": network(), "ema": None, "train_args": {"imgsz": 640}}, path)


def keras(path: Path) -> None:
    write(path)


def onnx_model(path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx to make a network: pip install onnx")
    make = onnx.helper
    arrays = [("w", np.ones((4, 3, 3, 3), np.float32)), ("b", np.ones(4, np.float32))]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays]
    tensors.append(make.make_tensor("l", onnx.TensorProto.INT64, [3], [1, -1, 300]))
    node = make.make_node("Conv", ["x", "w", "b"], ["y"], strides=[1, 1], pads=[1, 1, 1, 1])
    shapes = [make.make_tensor_value_info(n, 1, [1, c, 8, 8]) for n, c in (("x", 3), ("y", 4))]
    graph = make.make_graph([node], "g", shapes[:1], shapes[1:], tensors)
    onnx.save(make.make_model(graph), str(path))


def tag(field: int, kind: int, content: bytes) -> bytes:
    return varint(field << 3 | kind) + (varint(len(content)) if kind == 2 else b"") + content


def varint(value: int) -> bytes:
    parts = []
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def caffe_model(path: Path) -> None:
    def blob(*shape: int) -> bytes:
        sizes = b"".join(map(varint, shape))
        return tag(7, 2, tag(1, 2, sizes)) + tag(5, 2, np.ones(shape, "<f4").tobytes())

    layer = tag(1, 2, b"conv") + tag(7, 2, blob(4, 3, 3, 3)) + tag(7, 2, blob(4))
    path.write_bytes(tag(1, 2, b"net") + tag(100, 2, layer) + tag(100, 2, tag(1, 2, b"relu")))


def tflite_model(path: Path) -> None:
    path.write_bytes(blaze_face(np.zeros((896, 16), np.float32), np.zeros((896, 1), np.float32)))


def cascade(path: Path) -> None:
    trees = "<_><internalNodes>0 -1 0 0.5</internalNodes><leafValues>-1. 1.</leafValues></_>"
    path.write_text(
        "<?xml version='1.0'?><opencv_storage><cascade type_id='opencv-cascade-classifier'>"
        "<stageType>BOOST</stageType><featureType>HAAR</featureType><height>20</height>"
        "<width>20</width><stageParams><maxWeakCount>1</maxWeakCount></stageParams><featureParams>"
        "<maxCatCount>0</maxCatCount></featureParams><stageNum>1</stageNum><stages><_>"
        f"<maxWeakCount>1</maxWeakCount><stageThreshold>0.5</stageThreshold><weakClassifiers>{trees}"
        "</weakClassifiers></_></stages><features><_><rects><_>0 0 8 8 -1.</_><_>0 0 4 8 2.</_>"
        "</rects><tilted>0</tilted></_></features></cascade></opencv_storage>"
    )


def _keras_read(path: Path) -> object:
    return read_state_dict(network(), path, ORDER, FLATTEN)


READERS: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], object]]] = {
    "a state dict": ("a.pth", zipped, load_state_dict),
    "a state dict, old": ("b.pth", legacy, load_state_dict),
    "names in a state dict": ("c.pth", zipped, structure.READERS[".pth"]),
    "names in a network": ("d.pt", pickled_module, structure.READERS[".pt"]),
    "a Keras file": ("e.h5", keras, _keras_read),
    "names in a Keras file": ("f.h5", keras, structure.READERS[".h5"]),
    "an ONNX graph": ("g.onnx", onnx_model, read_onnx),
    "names in an ONNX model": ("h.onnx", onnx_model, structure.READERS[".onnx"]),
    "a Caffe model": ("i.caffemodel", caffe_model, structure.READERS[".caffemodel"]),
    "a TensorFlow Lite model": ("j.tflite", tflite_model, structure.READERS[".tflite"]),
    "a cascade for a device": ("k.xml", cascade, read_cascade),
}


def outcome(read: Callable[[Path], object], path: Path) -> str:
    """``"result"`` or ``"error"``; anything else fails the test."""
    try:
        read(path)
    except WeightsError as error:
        assert str(path) in str(error)
        return "error"
    return "result"


@pytest.mark.parametrize("kind", READERS)
def test_damaged_copies(tmp_path: Path, kind: str) -> None:
    name, make, read = READERS[kind]
    path = tmp_path / name
    make(path)
    read(path)
    whole = path.read_bytes()
    outcomes: Counter[str] = Counter()
    for copy in mutations(whole, COUNT):
        path.write_bytes(copy)
        outcomes[outcome(read, path)] += 1
    assert outcomes["error"] > COUNT // 10, outcomes


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\xff" * 1000, b"<html>quota</html>", b"PK\x03\x04"]
)
def test_junk(tmp_path: Path, kind: str, content: bytes) -> None:
    name, _, read = READERS[kind]
    path = tmp_path / name
    path.write_bytes(content)
    assert outcome(read, path) == "error"


def test_junk_in_the_place_of_a_cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "junk.xml"
    for content in (b"", b"junk", b"<?xml version='1.0'?><opencv_storage></opencv_storage>"):
        path.write_bytes(content)
        monkeypatch.setattr("deepface.detection.haar.cascade.cascade_path", lambda _: path)
        assert outcome(lambda path: Cascade(path.name), path) == "error"


# --- pickles --------------------------------------------------------------------------------------


def archive(path: Path, pickled: bytes, **members: bytes) -> None:
    """A checkpoint with this pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", pickled)
        for name, content in members.items():
            file.writestr(f"net/data/{name}", content)


def cyclic(kind: type[Any]) -> bytes:
    if kind is dict:
        value: Any = {}
        value["a"] = value
    else:
        value = []
        value.append(value)
    return pickle.dumps(value, 2)


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0a"
    b"X\x03\0\0\0cpuK\x04tQK\0K\x04\x85K\x01\x85\x89}tR"
)
PICKLES = {
    "a dict of itself": cyclic(dict),
    "a list of itself": cyclic(list),
    "a state dict of itself": b"\x80\x02}q\0X\x0a\0\0\0state_dicth\0s.",
    "depth": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "a key of great depth": b"\x80\x02})" + b"\x85" * 300_000 + b"K\0s.",
    "members of a set": b"\x80\x04\x8f(" + b")" + b"\x85" * 300_000 + b"\x90.",
    "a text of gigabytes": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "a text of exabytes": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fabc.",
    "a number of gigabytes": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "a memory of gigabytes": b"\x80\x02Nr\xff\xff\xff\xff.",
    "many things": b"\x80\x02" + b"]" * ((2 << 20) - 3) + b".",
    "an extension": b"\x80\x02\x82\x01.",
    "an old class": b"(ios\nsystem\nX\x02\0\0\0ls.",
    "a name of another protocol": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.",
    "a call of what a call gave": b"\x80\x02cos\npopen\n)R)R)R.",
    "state for a name": b"\x80\x02cos\nenviron\n}X\x01\0\0\0aX\x01\0\0\0bsb.",
    "no end": b"\x80\x02}",
    "a stack that is empty": b"\x80\x02.",
    "an offset beyond the numbers": b"\x80\x02}X\x01\0\0\0w"
    + TENSOR.replace(b"QK\0", b"QK\x09")
    + b"s.",
    "a shape beyond the numbers": b"\x80\x02}X\x01\0\0\0w"
    + TENSOR.replace(b"K\x04\x85", b"K\x63\x85")
    + b"s.",
    "steps beyond the numbers": b"\x80\x02}X\x01\0\0\0w"
    + TENSOR.replace(b"K\x01\x85", b"K\x63\x85")
    + b"s.",
    "another type of numbers": b"\x80\x02}X\x01\0\0\0w"
    + TENSOR.replace(b"FloatS", b"DoubleS")
    + b"s.",
    "a device as a type": b"\x80\x02}X\x01\0\0\0w"
    + TENSOR.replace(b"FloatStorage", b"device")
    + b"s.",
}


def test_the_tensor_of_these_tests_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    numbers = np.arange(4, dtype="<f4")
    archive(path, b"\x80\x02}X\x01\0\0\0w" + TENSOR + b"s.", a=numbers.tobytes())
    assert load_state_dict(path)["w"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.parametrize("read", [load_state_dict, structure.READERS[".pt"]], ids=["all", "names"])
def test_pickles_that_are_made_for_it(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "net.pth"
    archive(path, PICKLES[name], a=bytes(16))
    if outcome(read, path) == "result":
        assert read is not load_state_dict and "beyond" not in name


def test_archives_that_are_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    whole = b"\x80\x02}X\x01\0\0\0w" + TENSOR + b"s."
    for deflated, members in (
        ({"net/data.pkl"}, {"net/data.pkl": whole, "net/data/a": bytes(16)}),
        ({"net/data/a"}, {"net/data.pkl": whole, "net/data/a": bytes(1 << 24)}),
        (set(), {"net/data.pkl": whole}),
        (set(), {"net/data.pkl": whole, "net/data/a": bytes(15)}),
        (set(), {"net/data.pkl": whole, "net/data/a": bytes(16), "net/constants.pkl": b"N."}),
        (set(), {"net/data.pkl": whole, "net/data/a": bytes(16), "other/data.pkl": whole}),
        (set(), {"net/data.pkl": whole, "net/data/a": bytes(16), "net/byteorder": b"big"}),
        (set(), {"net/data.pkl": bytes(5 << 20), "net/data/a": bytes(16)}),
    ):
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                kind = zipfile.ZIP_DEFLATED if name in deflated else zipfile.ZIP_STORED
                file.writestr(name, content, kind)
        assert outcome(load_state_dict, path) == "error", members.keys()


def test_flipped_bits_are_found_where_there_is_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    numbers = np.arange(1000, dtype="<f4").tobytes()
    torch.save({"w": torch.arange(1000.0)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(numbers) + 2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="checksum"):
        load_state_dict(path)


# --- HDF5 -----------------------------------------------------------------------------------------


def soft_loop(file: Any) -> None:
    del file["a"]["a_1"]
    file["a"]["a_1"] = h5py.SoftLink("/a/a_1")


def soft_link(file: Any) -> None:
    file.move("a/a_1", "elsewhere")
    file["a"]["a_1"] = h5py.SoftLink("/elsewhere")


def outside_layer(file: Any) -> None:
    write(Path(file.filename).with_name("other.h5"))
    del file["a"]
    file["a"] = h5py.ExternalLink("other.h5", "/a")


def outside_root(file: Any) -> None:
    file["model_weights"] = h5py.ExternalLink("other.h5", "/")


def references(file: Any) -> None:
    del file.attrs["layer_names"]
    file.attrs.create("layer_names", [file["a"].ref, file["b"].ref], dtype=h5py.ref_dtype)


def array_of_references(file: Any) -> None:
    del file["a"]["a_1/bias:0"]
    file["a"].create_dataset("a_1/bias:0", (4,), dtype=h5py.ref_dtype)


def attribute_of(value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["a"].attrs["weight_names"]
        file["a"].attrs["weight_names"] = value

    return change


def large_text(file: Any) -> None:
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(100_000_000)
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    file.attrs.__delitem__("layer_names")
    dataset = h5py.h5d.create(file.id, b"large", kind, space)
    file["layer_names"] = h5py.Dataset(dataset)


def committed_type(file: Any) -> None:
    del file["a"]["a_1/bias:0"]
    file["a"]["a_1/bias:0"] = np.dtype("f4")


def array_of(dtype: Any, **options: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["a"]["a_1/bias:0"]
        file["a"].create_dataset("a_1/bias:0", (4,), dtype=dtype, **options)

    return change


def hard_loop(file: Any) -> None:
    del file["a"]["a_1"]
    file["a"]["a_1"] = file["a"]


CHANGES: dict[str, Callable[[Any], None]] = {
    "soft links in a circle": soft_loop,
    "a soft link": soft_link,
    "a layer in another file": outside_layer,
    "the root in another file": outside_root,
    "references instead of names": references,
    "references instead of numbers": array_of_references,
    "names that are numbers": attribute_of([1.5, 2.5]),
    "names that are records": attribute_of(np.zeros(2, [("a", "i4"), ("b", "S3")])),
    "names that are lists": attribute_of(np.zeros(3, np.dtype(("i4", (2, 2))))),
    "names that are not UTF-8": attribute_of([b"\xff\xfe"]),
    "names that lead upwards": attribute_of(["../a/a_1/bias:0"]),
    "many names": attribute_of(np.full(20_000, b"a")),
    "a long path": attribute_of([b"/".join([b"a"] * 20_000)]),
    "groups in a circle": hard_loop,
    "a text of 100 MB": large_text,
    "a type instead of an array": committed_type,
    "whole numbers": array_of("i4"),
    "text": array_of("S8"),
    "texts of any length": array_of(h5py.string_dtype()),
    "numbers of a strange kind": array_of(np.dtype(">f4")),
    "complex numbers": array_of("c8"),
    "compressed": array_of("f4", compression="gzip"),
    "in chunks": array_of("f4", chunks=(2,)),
    "nothing was written": array_of("f4"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_keras_files_that_are_made_for_it(tmp_path: Path, change: Callable[[Any], None]) -> None:
    path = write(tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        change(file)
    tracemalloc.start()
    try:
        assert outcome(_keras_read, path) == "error"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY


@pytest.mark.parametrize(
    ("mark", "at"),
    [(mark, at) for mark in (b"\x89HDF", b"TREE", b"SNOD", b"HEAP") for at in range(4)]
    + [(b"TREE", 4)],  # the kind of the tree: of names, or of the chunks of an array
)
def test_parts_of_a_keras_file_that_are_of_another_kind(
    tmp_path: Path, mark: bytes, at: int
) -> None:
    path = write(tmp_path / "net.h5")
    content = bytearray(path.read_bytes())
    content[content.index(mark) + at] ^= 1  # of the root
    path.write_bytes(content)
    assert outcome(_keras_read, path) == "error"


# --- ONNX -----------------------------------------------------------------------------------------


def onnx_bytes(tensor: bytes, node: bytes = b"") -> bytes:
    graph = tag(1, 2, tag(4, 2, b"Relu") + node) + tag(11, 2, b"") + tag(12, 2, b"")
    return tag(7, 2, graph + tag(5, 2, tensor))


FLOATS = tag(1, 0, varint(4)) + tag(2, 0, varint(1)) + tag(8, 2, b"w")
TENSORS = {
    "fewer numbers than its shape": FLOATS + tag(9, 2, bytes(12)),
    "no numbers": FLOATS,
    "a huge shape": FLOATS + tag(1, 0, varint(1 << 60)) + tag(9, 2, bytes(16)),
    "many dimensions": FLOATS + tag(1, 0, varint(1)) * 100 + tag(9, 2, bytes(16)),
    "numbers in another file": FLOATS
    + tag(13, 2, tag(1, 2, b"location") + tag(2, 2, b"/etc/passwd")),
    "another place": FLOATS + tag(9, 2, bytes(16)) + tag(14, 0, varint(1)),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
@pytest.mark.parametrize("nested", [False, True])
def test_onnx_tensors_that_are_made_for_it(tmp_path: Path, tensor: bytes, nested: bool) -> None:
    path = tmp_path / "net.onnx"
    good = FLOATS + tag(9, 2, bytes(16))
    path.write_bytes(onnx_bytes(good))
    assert outcome(structure.READERS[".onnx"], path) == "result"
    attribute = tag(5, 2, tag(5, 2, tensor))
    path.write_bytes(onnx_bytes(good, attribute) if nested else onnx_bytes(tensor))
    assert outcome(structure.READERS[".onnx"], path) == "error"


def test_graphs_in_graphs(tmp_path: Path) -> None:
    graph = b""
    for _ in range(5000):
        graph = tag(1, 2, tag(5, 2, tag(6, 2, graph)))
    path = tmp_path / "net.onnx"
    path.write_bytes(tag(7, 2, graph + tag(11, 2, b"") + tag(12, 2, b"")))
    assert outcome(structure.READERS[".onnx"], path) == "error"


# --- the machine's own faults -------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), OverflowError(), KeyError(1)]
)
def test_errors_that_say_nothing_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = tmp_path / "net.h5"
    write(path)

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("deepface.runtime.weights.keras_h5.open_hdf5", fail)
    with pytest.raises(WeightsError, match=type(error).__name__):
        _keras_read(path)
    assert outcome(_keras_read, path) == "error"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "net.pth").mkdir()
    with pytest.raises(WeightsError, match=r"net\.pth: it cannot be opened"):
        load_state_dict(tmp_path / "net.pth")


def test_a_legacy_file_with_wrong_counts(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    legacy(path)
    content = path.read_bytes()
    count = struct.pack("<q", 72)
    assert content.count(count)
    path.write_bytes(content.replace(count, struct.pack("<q", 1 << 40)))
    assert outcome(load_state_dict, path) == "error"


def test_numbers_after_the_end_do_not_matter(tmp_path: Path) -> None:
    """Some programs append to what they have downloaded before."""
    path = tmp_path / "net.pth"
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2)}, buffer, _use_new_zipfile_serialization=False)
    path.write_bytes(buffer.getvalue() + bytes(100))
    assert load_state_dict(path)["w"].tolist() == [1, 1]
