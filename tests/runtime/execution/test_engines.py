"""PyTorch or ONNX Runtime: which one runs, that both give the same, what is said where not."""

from __future__ import annotations

import builtins
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepface import DeepFace
from deepface.attributes.registry import ATTRIBUTES
from deepface.cli.models import model_row
from deepface.errors import MissingPackageError, UnimplementedError, WeightsError
from deepface.modeling import TASKS
from deepface.recognition.network_model import NetworkModel
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime import engine
from deepface.runtime.card import ONNX_RUNTIME
from deepface.runtime.execution import exported, onnx_graph
from deepface.runtime.execution.engine_table import ENGINES
from deepface.runtime.execution.onnx_graph import OnnxGraph
from deepface.runtime.home import weights_folder
from deepface.runtime.models import cached_models
from deepface.runtime.weights.store import download_all
from deepface.runtime.weights.table import WEIGHT_FILES
from deepface.spoofing.fasnet import FasNet
from tests.goldens import networks as reference
from tests.interleaved import OneAtATime, at_once

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

#: Model -> its class of ``TASKS``, and its networks in ``tests/goldens``.
MODELS = {
    **{name: ("facial_recognition", (name,)) for name in RECOGNIZERS.own},
    **{name: ("facial_attribute", (name,)) for name in ATTRIBUTES.own},
    "Fasnet": ("spoofing", ("MiniFASNetV2", "MiniFASNetV1SE")),
}
for alone in ("Dlib", "SFace", "Buffalo_L"):  # whose files are of one kind
    del MODELS[alone]
HEAVY = {*MODELS} - {"OpenFace", "DeepID", "GhostFaceNet", "Emotion", "Fasnet"}
#: Each network once: Age, Gender and Race are VGG-Face's with another last layer.
SOME = [
    pytest.param(name, marks=[pytest.mark.heavy] * (name in HEAVY))
    for name in MODELS
    if name not in ("Age", "Gender", "Race")
]


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, from which nothing is downloaded; and no models."""
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")
    monkeypatch.setenv("DEEPFACE_OFFLINE", "1")
    for name in ("DEEPFACE_BACKEND_ENGINE", "DEEPFACE_ONNX_PROVIDERS"):
        monkeypatch.delenv(name, raising=False)
    for task in TASKS:
        monkeypatch.setitem(cached_models, task, {})
    return folder


def write(name: str, ending: str, folder: Path) -> list[Path]:
    """The files of a model of one ending; of the goldens' numbers where no tensor is large."""
    task, references = MODELS[name]
    paths = []
    for group, model in zip(TASKS[task].own[name].files, references, strict=True):
        (file,) = [file.name for file in group if file.name.endswith(ending)]
        paths.append(folder / file)
        if ending == ".onnx":
            shutil.copyfile(_exported(name, model), paths[-1])
        else:
            write_one = {".pth": reference.write_pth, ".h5": reference.write_h5}[ending]
            write_one(model, paths[-1], reference.keras_weights(model, quick=True))
    return paths


@cache
def _exported(name: str, model: str) -> Path:
    """The network of the ``.pth`` as an ONNX file that takes what the published one takes."""
    published = _published(name, model)
    path = weights_folder() / published.files[0].name
    reference.write_pth(model, path, reference.keras_weights(model, quick=True))
    made = _shelf() / model
    made.write_bytes(exported.onnx_bytes(published.load([published.files[0]]), published.shape))
    path.unlink()
    return made


@cache
def _shelf() -> Path:
    """Where exported files wait for the next test: together they are some gigabytes."""
    return Path(tempfile.mkdtemp(prefix="exported-"))


@pytest.fixture(scope="module", autouse=True)
def cleared() -> Iterator[None]:
    """No file outlives these tests."""
    yield
    shutil.rmtree(_shelf())


def _published(name: str, model: str) -> Any:
    """How the product describes a network: seen where it asks for it."""
    found = []

    def seen(published: Any, *_: Any, **__: Any) -> Any:
        found.append(published)

    task, references = MODELS[name]
    cls = TASKS[task].own[name].load()
    module = sys.modules[cls.__module__]
    if "network" not in vars(module):  # of the classes above
        module = sys.modules[
            "deepface.attributes.vgg" if task == "facial_attribute" else NetworkModel.__module__
        ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "network", seen)
        cls(device="cpu")
    return found[references.index(model)]


def build(name: str, **options: Any) -> Any:
    return TASKS[MODELS[name][0]].build(name, "cpu", **options)


def networks(model: Any) -> list[Any]:
    return [net for _, net in model.networks] if isinstance(model, FasNet) else [model.model]


def in_onnx_runtime(model: Any) -> bool:
    (one,) = {isinstance(network.module, OnnxGraph) for network in networks(model)}
    return one


def run(name: str, model: Any, items: list[Any]) -> list[Any]:
    return [
        network(torch.from_numpy(batch).permute(0, 3, 1, 2)).numpy()
        for network, batch in zip(networks(model), items, strict=True)
    ]


def batches(name: str) -> list[Any]:
    """Per network 5 items: published files are run one by one."""
    found = []
    for model in MODELS[name][1]:
        two = reference.network_input(model)
        more = np.random.default_rng(5).permuted(np.repeat(two, 2, axis=0)[:3], axis=1)
        found.append(np.concatenate([two, more]).astype(np.float32))
    return found


@pytest.mark.parametrize("name", SOME)
def test_a_published_onnx_file_is_run_where_it_lies(name: str, weights: Path) -> None:
    write(name, ".onnx", weights)
    model = build(name)
    assert in_onnx_runtime(model)
    items = batches(name)
    found = run(name, model, items)
    # It is the network of the .pth, within rounding.
    (weights / "aside").mkdir()
    for file in weights.glob("*.onnx"):
        file.rename(weights / "aside" / file.name)
    write(name, ".pth", weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_BACKEND_ENGINE", "pytorch")
        cached_models[MODELS[name][0]].clear()
        other = build(name)
    assert not in_onnx_runtime(other)
    for some, wanted in zip(found, run(name, other, items), strict=True):
        error = np.linalg.norm(some - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
        assert error.max() <= 1e-5
        assert np.ptp(wanted, axis=0).max() > 1e-4  # the items differ


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", SOME)
def test_a_batch_is_its_items_to_the_last_bit(name: str, threads: int, weights: Path) -> None:
    """In ONNX Runtime, alone, in any batch, in another order, and from several threads."""
    write(name, ".onnx", weights)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        model = build(name)
        graphs = [network.module for network in networks(model)]
        assert all(
            graph.session.get_session_options().intra_op_num_threads == threads for graph in graphs
        )
    finally:
        torch.set_num_threads(before)
    items = batches(name)
    whole = run(name, model, items)
    for size, start in ((1, 0), (1, 4), (3, 1)):
        part = run(name, model, [batch[start : start + size] for batch in items])
        for some, wanted in zip(part, whole, strict=True):
            np.testing.assert_array_equal(some, wanted[start : start + size])
    backwards = run(name, model, [batch[::-1].copy() for batch in items])
    for some, wanted in zip(backwards, whole, strict=True):
        np.testing.assert_array_equal(some[::-1], wanted)
    answers: list[Any] = []
    some_items = [batch[:3] for batch in items]
    pool = [
        threading.Thread(target=lambda: answers.append(run(name, model, some_items)))
        for _ in range(3)
    ]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    assert len(answers) == len(pool)
    for answer in answers:
        for some, wanted in zip(answer, whole, strict=True):
            np.testing.assert_array_equal(some, wanted[:3])


@pytest.mark.parametrize(
    ("asked", "there", "taken"),
    [
        (None, (".pth", ".h5", ".onnx"), ".pth"),
        (None, (".h5", ".onnx"), ".h5"),
        (None, (".onnx",), ".onnx"),
        (None, (), ".pth"),
        ("onnx", (".pth", ".h5", ".onnx"), ".onnx"),
        (" ONNX ", (".pth", ".h5"), ".pth"),
        ("onnx", (), ".onnx"),
        ("pytorch", (".h5", ".onnx"), ".h5"),
        ("tensorflow", (".onnx",), ".pth"),
    ],
)
def test_which_file_is_taken(
    asked: str | None,
    there: tuple[str, ...],
    taken: str,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if asked is not None:
        monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", asked)
    files = RECOGNIZERS.own["GhostFaceNet"].files[0]
    for file in files:
        if file.name.endswith(there):
            (weights / file.name).touch()
    assert engine.chosen_file(files).name.endswith(taken)


def test_an_unknown_engine_is_refused(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("DeepID", ".pth", weights)
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", "caffe")
    with pytest.raises(UnimplementedError, match="'caffe' is no engine: use one of tensorflow, py"):
        DeepFace.build_model("DeepID")


def test_the_published_helpers_tell_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (engine.get_backend_engine(), engine.is_pytorch()) == ("pytorch", True)
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", "onnx")
    assert (engine.get_backend_engine(), engine.is_onnx()) == ("onnx", True)
    assert not engine.is_tensorflow()


@pytest.mark.parametrize(
    ("providers", "chosen", "warned"),
    [
        ("cpu", ["CPUExecutionProvider"], False),
        (" CPU ,", ["CPUExecutionProvider"], False),
        ("tensorrt,cpu", ["CPUExecutionProvider"], True),
        ("openvino", ["CPUExecutionProvider"], True),
    ],
)
def test_providers(
    providers: str,
    chosen: list[str],
    warned: bool,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write("DeepID", ".onnx", weights)
    monkeypatch.setenv("DEEPFACE_ONNX_PROVIDERS", providers)
    onnx_graph.named_providers.cache_clear()
    model = build("DeepID")
    assert model.model.module.session.get_providers() == chosen
    assert ("has no provider" in caplog.text) == warned


@pytest.mark.parametrize("providers", ["gpu", "cpu,gpu", ","])
def test_unknown_providers_are_refused(
    providers: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("DeepID", ".onnx", weights)
    monkeypatch.setenv("DEEPFACE_ONNX_PROVIDERS", providers)
    with pytest.raises(UnimplementedError, match="must list some of cpu, cuda, tensorrt"):
        build("DeepID")


def test_without_onnx_runtime_it_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("DeepID", ".onnx", weights)
    monkeypatch.setattr(type(ONNX_RUNTIME), "is_installed", lambda self: False)
    with pytest.raises(MissingPackageError) as caught:
        build("DeepID")
    assert 'pip install "onnxruntime"' in str(caught.value)
    assert "deepface models download deepid_weights.pth" in str(caught.value)


def test_half_the_bits_are_for_pytorch(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    write("GhostFaceNet", ".onnx", weights)
    with pytest.raises(WeightsError, match=r"ghostfacenet_v1\.pth"):  # which may not be downloaded
        build("GhostFaceNet", precision="bf16")
    assert "ghostfacenet_v1.onnx runs on CPUs in fp32 only: GhostFaceNet runs in" in caplog.text
    write("GhostFaceNet", ".pth", weights)
    assert not in_onnx_runtime(build("GhostFaceNet", precision="bf16"))


def _graph(nodes: list[Any], takes: list[Any], gives: list[Any], arrays: Any = ()) -> Any:
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, takes)],
        [helper.make_tensor_value_info("y", 1, gives)],
        list(arrays),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _mean(takes: list[Any], axes: list[int], gives: list[Any]) -> Any:
    node = onnx.helper.make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=0)
    unused = onnx.numpy_helper.from_array(np.ones(3, np.float32), "unused")
    return _graph([node], takes, gives, [unused])


def _external() -> Any:
    array = onnx.numpy_helper.from_array(np.ones(3, np.float32), "a")
    array.ClearField("raw_data")
    array.data_location = onnx.TensorProto.EXTERNAL
    array.external_data.add(key="location", value="../../secret")
    return array


def _constant(array: Any) -> Any:
    return onnx.helper.make_node("Constant", [], ["c"], value=array)


def external_numbers() -> Any:
    node = onnx.helper.make_node("Add", ["x", "a"], ["y"])
    return _graph([node], ["n", 55, 47, 3], ["n", 160], [_external()])


def external_numbers_in_a_node() -> Any:
    nodes = [_constant(_external()), onnx.helper.make_node("Add", ["x", "c"], ["y"])]
    return _graph(nodes, ["n", 55, 47, 3], ["n", 160])


def external_numbers_in_a_function() -> Any:
    model = external_numbers_in_a_node()
    model.functions.append(
        onnx.helper.make_function("own", "F", [], ["c"], [_constant(_external())], [])
    )
    del model.graph.node[0]
    return model


def a_loop() -> Any:
    inner = onnx.helper.make_graph([], "inner", [], [])
    return _graph(
        [onnx.helper.make_node("Loop", ["", "", "x"], ["y"], body=inner)],
        ["n", 55, 47, 3],
        ["n", 160],
    )


def a_program() -> Any:
    node = onnx.helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")
    return _graph([node], ["n", 55, 47, 3], ["n", 160])


def channels_first() -> Any:
    return _mean(["n", 3, 55, 47], [2, 3], ["n", 3])


def another_size() -> Any:
    return _mean(["n", 112, 112, 3], [1, 2], ["n", 3])


def another_length() -> Any:
    return _mean(["n", 55, 47, 3], [1, 2], ["n", 3])


def fails_when_run() -> Any:
    wrong = onnx.numpy_helper.from_array(np.array([0, 7, 7], np.int64), "s")
    node = onnx.helper.make_node("Reshape", ["x", "s"], ["y"])
    return _graph([node], ["n", "h", "w", "c"], ["n", "d", "e"], [wrong])


def unknown_operation() -> Any:
    unused = onnx.numpy_helper.from_array(np.ones(3, np.float32), "unused")
    node = onnx.helper.make_node("Nothing", ["x"], ["y"], domain="own")
    return _graph([node], ["n", 55, 47, 3], ["n", 160], [unused])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (external_numbers, "in another file"),
        (external_numbers_in_a_node, "in another file"),
        (external_numbers_in_a_function, "in another file"),
        (a_loop, "kind Loop are not run"),
        (a_program, "kind EPContext are not run"),
        (channels_first, r"another network: it takes .*not one array of floats \(n, 55, 47, 3\)"),
        (another_size, r"another network: it takes"),
        (another_length, r"another network: it gives \(1, 3\) for 1, not 160 each"),
        (fails_when_run, "damaged or no ONNX model"),
        (unknown_operation, "damaged or no ONNX model"),
    ],
)
def test_a_hostile_or_wrong_file_is_named(
    make: Callable[[], Any], said: str, weights: Path
) -> None:
    path = weights / "deepid_weights.onnx"
    path.write_bytes(make().SerializeToString())
    with pytest.raises(WeightsError, match=said) as caught:
        build("DeepID")
    assert str(path) in str(caught.value)
    assert not cached_models["facial_recognition"]


@pytest.mark.parametrize("cut", [0, 1, 100, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_named(cut: float, weights: Path) -> None:
    (path,) = write("DeepID", ".onnx", weights)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut if cut > 1 or cut in (0, 1) else cut * len(content))])
    with pytest.raises(WeightsError, match="deepid_weights"):
        build("DeepID")


def test_a_graph_for_one_size_of_batch_takes_any(weights: Path) -> None:
    (path,) = write("DeepID", ".onnx", weights)
    items = batches("DeepID")
    wanted = run("DeepID", build("DeepID"), items)
    cached_models["facial_recognition"].clear()
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, str(path))
    np.testing.assert_array_equal(run("DeepID", build("DeepID"), items)[0], wanted[0])
    assert build("DeepID").embed(np.zeros((0, 55, 47, 3), np.float32)).shape == (0, 160)


def test_all_downloads_leave_out_what_has_a_counterpart() -> None:
    with pytest.raises(WeightsError) as failed:
        download_all()
    asked = re.findall(r"while downloading (\S+) from", str(failed.value))
    assert "face_recognition_sface_2021dec.onnx" in asked and "facenet_weights.pth" in asked
    assert not {"facenet_weights.onnx", "facenet_weights.h5"} & set(asked)
    (count,) = re.findall(r"^\d+ of (\d+) weight files", str(failed.value))
    assert len(asked) <= int(count) < len(WEIGHT_FILES)


# --- networks that are exported ---------------------------------------------------------------


def exports(weights: Path) -> list[Path]:
    return sorted((weights / "exported").glob("*"))


@pytest.fixture
def deepid(weights: Path) -> Iterator[Path]:
    (path,) = write("DeepID", ".pth", weights)
    yield path


def rebuilt(name: str = "DeepID") -> Any:
    cached_models["facial_recognition"].clear()
    return build(name)


@pytest.mark.parametrize("ending", [".pth", ".h5"])
@pytest.mark.parametrize(
    "name", ["DeepID", "OpenFace", pytest.param("Facenet", marks=pytest.mark.heavy)]
)
def test_a_small_network_is_exported_once(
    name: str, ending: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(name, ending, weights)
    model = build(name)
    assert in_onnx_runtime(model)
    faces, (vectors,) = reference.golden(name)
    found = reference.kept(model.embed(faces))
    assert (np.linalg.norm(found - vectors, axis=1) <= 1e-4 * np.linalg.norm(vectors, axis=1)).all()
    (path,) = exports(weights)

    def never(*_: Any) -> None:
        raise AssertionError("exported, or loaded into PyTorch, again")

    monkeypatch.setattr(exported, "onnx_bytes", never)
    monkeypatch.setattr("deepface.recognition.network_model.load_weights", never)
    np.testing.assert_array_equal(reference.kept(rebuilt(name).embed(faces)), found)
    assert exports(weights) == [path]


def test_every_network_of_the_table_is_a_model() -> None:
    assert set(ENGINES) <= set(MODELS)
    assert set(ENGINES.values()) <= {"onnxruntime", "pytorch"}


def test_other_weights_and_another_version_are_exported_anew(
    deepid: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = batches("DeepID")[0]
    before = build("DeepID").embed(faces)
    (first,) = exports(weights)
    state = torch.load(deepid, weights_only=True)
    state["fc11.bias"] += 1
    torch.save(state, deepid)
    assert not np.array_equal(rebuilt().embed(faces), before)
    (second,) = exports(weights)
    monkeypatch.setattr(exported, "__version__", "0.0.1")
    rebuilt()
    (third,) = exports(weights)
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("spoil", [b"", b"no graph", None, "a link to nothing"])
def test_a_damaged_export_is_made_again(
    spoil: bytes | str | None, deepid: Path, weights: Path
) -> None:
    faces = batches("DeepID")[0]
    before = build("DeepID").embed(faces)
    (path,) = exports(weights)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if isinstance(spoil, str):
        path.unlink()
        path.symlink_to(spoil)
    else:
        path.write_bytes(bytes(content) if spoil is None else spoil)
    model = rebuilt()
    assert in_onnx_runtime(model)
    np.testing.assert_array_equal(model.embed(faces), before)


def _broken_exporter(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no exporter")

    monkeypatch.setattr(torch.onnx, "export", broken)


def _other_results(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    whole = exported.onnx_bytes

    def other(module: Any, shape: Any) -> bytes:
        with torch.no_grad():
            module.fc12.bias[0] += 1e-3
        return whole(module, shape)

    monkeypatch.setattr(exported, "onnx_bytes", other)


def _no_folder(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    (weights / "exported").write_bytes(b"a file")


def _read_only(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    (weights / "exported").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests may run as root
    monkeypatch.setattr(exported, "onnx_bytes", lambda *_: pytest.fail("for nothing"))


def _no_package(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "onnxruntime":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.parametrize(
    "doubt", [_broken_exporter, _other_results, _no_folder, _read_only, _no_package]
)
def test_pytorch_on_any_doubt(
    doubt: Any, deepid: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt(monkeypatch, weights)
    model = build("DeepID")
    assert not in_onnx_runtime(model)
    faces, (vectors,) = reference.golden("DeepID")
    np.testing.assert_allclose(reference.kept(model.embed(faces)), vectors, rtol=1e-4, atol=1e-4)
    assert not list(weights.glob("exported/*"))


@pytest.mark.parametrize("asked", ["pytorch", "tensorflow"])
def test_who_asks_for_pytorch_gets_it(
    asked: str, deepid: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", asked)
    assert not in_onnx_runtime(build("DeepID"))
    assert not exports(weights)


@pytest.mark.parametrize("asked", ["onnx", "pytorch"])
def test_who_asks_for_onnx_runtime_is_told_that_pytorch_runs(
    asked: str, deepid: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", asked)
    assert not in_onnx_runtime(build("DeepID", precision="bf16"))
    told = f"{deepid.name} is there and no .onnx file: DeepID runs in PyTorch"
    assert (told in caplog.text) == (asked == "onnx")


def test_damaged_weights_are_named_not_passed_over(weights: Path) -> None:
    reference.write_pth("Emotion", weights / "deepid_weights.pth")
    with pytest.raises(WeightsError, match="another network"):
        build("DeepID")


def test_one_export_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter and the filters of warnings are the whole process's."""
    before, alone = list(warnings.filters), OneAtATime()
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: alone())
    at_once(lambda _: exported.onnx_bytes(torch.nn.Identity(), (1, 1, 1)), exported, threads=4)
    assert warnings.filters == before


MEMORY = """
import gc, sys, torch
from deepface.recognition.registry import RECOGNIZERS
model = RECOGNIZERS.build("OpenFace", "cpu")
gc.collect()
kept = [x for x in gc.get_objects() if isinstance(x, torch.Tensor)]
print(type(model.model.module).__name__, sum(x.numel() for x in kept))
"""


def test_one_engine_has_the_weights(weights: Path) -> None:
    """After the export and when it is found: no tensor of the network is left in PyTorch."""
    write("OpenFace", ".pth", weights)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY], env=os.environ, capture_output=True, text=True
        )
        name, numbers = done.stdout.split()
        assert name == "OnnxGraph" and int(numbers) < 10_000, done.stderr


def test_the_list_of_models_says_what_an_onnx_file_lacks(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("DeepID", ".onnx", weights)
    card = RECOGNIZERS.own["DeepID"]
    assert model_row("recognition", card)["state"] == "ready"
    monkeypatch.setattr(type(ONNX_RUNTIME), "is_installed", lambda self: False)
    assert model_row("recognition", card)["state"] == "needs: pip install onnxruntime"
