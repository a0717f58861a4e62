"""What is said of models beside them is true of them; it is read without PyTorch."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from deepface.attributes.emotion import LAYERS, EmotionNetwork
from deepface.attributes.vgg import VggClassifier
from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS
from deepface.detection.retinaface.detector import ResNet50V2Layers, keras_order
from deepface.modeling import TASKS
from deepface.recognition.curves import Curve
from deepface.recognition.network_model import NetworkModel
from deepface.recognition.registry import RECOGNIZERS
from deepface.recognition.vgg_face import TRUNK_ORDER
from deepface.runtime.card import Card
from deepface.runtime.weights.table import WeightFile
from deepface.spoofing.fasnet import NETWORKS
from deepface.spoofing.fasnet_networks import layers_in_order
from tests.data import golden, package_pictures, weight

CARDS = [card for registry in TASKS.values() for card in registry.own.values()]


def test_a_card_says_what_its_class_is() -> None:
    for card in CARDS:
        cls: Any = card.load()
        assert card.summary.endswith("."), card.name
        if isinstance(cls, Detector):
            assert cls.card in (card, DETECTORS.own.get(cls.name)), card.name
    for name, card in RECOGNIZERS.own.items():
        cls = card.load()
        assert (cls.input_shape, cls.output_shape) == (card.input_shape, card.output_shape)
        assert cls.model_name == (card.published_name or name)
        cut: Any = card.cut
        assert cut is None or cut.size == card.input_shape[::-1]


def pth_and_h5(files: tuple[WeightFile, ...], network: Any, order: Any, skipped: int = 0) -> None:
    """The files of a network: some of its tensors, and how many layers it has."""
    pth, h5 = files[:2]
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert pth.sha256 is not None or len(pth.tensors) >= 2
    assert pth.tensors.items() <= own.items()
    assert h5.layers == len(list(order))


@pytest.mark.parametrize("name", [n for n, c in RECOGNIZERS.own.items() if len(c.files[0]) == 3])
def test_tensors_of_recognition_models(name: str) -> None:
    card = RECOGNIZERS.entry(name)
    cls = card.load()
    assert issubclass(cls, NetworkModel)
    model = cls.__new__(cls)
    with torch.device("meta"):
        pth_and_h5(card.files[0], model.network(), model.keras_order)


def test_tensors_of_the_other_models() -> None:
    attributes = TASKS["facial_attribute"].own
    with torch.device("meta"):
        for name, classes in (("Age", 101), ("Gender", 2), ("Race", 6)):
            network: Any = VggClassifier(classes)
            pth_and_h5(attributes[name].files[0], network, [*TRUNK_ORDER, "predictions"])
        pth_and_h5(attributes["Emotion"].files[0], EmotionNetwork(), LAYERS)
        pth_and_h5(DETECTORS.entry("retinaface").files[0], ResNet50V2Layers(), keras_order())
        networks = [build() for _, build in NETWORKS]
        for network, files in zip(networks, TASKS["spoofing"].own["Fasnet"].files, strict=True):
            pth_and_h5(files, network, layers_in_order(network))


def test_every_file_can_be_told_from_others() -> None:
    """By its hash, or by what is in it."""
    for card in CARDS:
        for file in card.weight_files():
            read_only = file.name.endswith((".pt", ".onnx", ".tflite"))
            assert file.sha256 or file.tensors or file.layers or read_only, file.name


def test_published_tables() -> None:
    from deepface.config.confidence import confidences
    from deepface.config.minmax import minmax_values
    from deepface.config.threshold import thresholds

    tables = golden("tables.json")
    assert thresholds == tables["thresholds"]
    assert list(thresholds) == list(RECOGNIZERS.own)
    assert set(confidences) == set(RECOGNIZERS.own) - {"Buffalo_L"}
    published = {name: tuple(limits) for name, limits in tables["minmax_values"].items()}
    assert {name: tuple(limits) for name, limits in minmax_values.items()} == published


@pytest.mark.parametrize("name", [n for n, c in RECOGNIZERS.own.items() if c.landmark_thresholds])
def test_landmark_thresholds_and_curves_are_of_one_fit(name: str) -> None:
    """Three of the metrics are the same angle, and the curves meet at the thresholds."""
    card = RECOGNIZERS.entry(name)
    thresholds, curves = card.landmark_thresholds, card.landmark_curves
    farthest = {metric: curve.normalizer for metric, curve in curves.items()}
    assert set(thresholds) == set(curves) == set(card.thresholds)
    for cosine, euclidean_l2, angular in (
        [of[metric] for metric in ("cosine", "euclidean_l2", "angular")]
        for of in (thresholds, farthest)
    ):
        assert euclidean_l2**2 / 2 == pytest.approx(cosine, abs=1e-4)
        assert math.acos(1 - cosine) / math.pi == pytest.approx(angular, abs=1e-4)
    nearest = {  # where the curves have their largest value
        metric: (math.log(curve.max_true / (100 - curve.max_true)) - curve.bias)
        * max(1, curve.normalizer)
        / curve.weight
        for metric, curve in curves.items()
    }
    assert 0 < nearest["cosine"] < thresholds["cosine"] / 4
    assert nearest["euclidean_l2"] ** 2 / 2 == pytest.approx(nearest["cosine"], abs=2e-4)
    assert math.acos(1 - nearest["cosine"]) / math.pi == pytest.approx(nearest["angular"], abs=2e-4)
    for metric, curve in curves.items():

        def percent(distance: float, curve: Curve = curve) -> float:
            z = curve.weight * distance / max(1, curve.normalizer) + curve.bias
            return 100 / (1 + math.exp(-z))

        assert curve.min_true == curve.max_false == pytest.approx(percent(thresholds[metric]))
        assert curve.min_false == pytest.approx(percent(farthest[metric]), abs=1e-6)


READ = """
import sys
import deepface.modeling
from deepface.cli.app import app
from deepface.matching.confidence import find_confidence
from deepface.matching.thresholds import find_threshold
from deepface.recognition.registry import face_cut

for registry in deepface.modeling.TASKS.values():
    for card in registry.entries.values():
        assert card.summary and card.weight_files() is not None
find_threshold("ArcFace"), find_confidence(0.3, "ArcFace", True), face_cut("ArcFace")
try:
    app(["models"])
except SystemExit as end:
    assert not end.code
heavy = {"torch", "ultralytics", "onnxruntime", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""


def test_cards_are_read_without_torch() -> None:
    subprocess.run([sys.executable, "-c", READ], check=True, stdout=subprocess.PIPE, timeout=100)


WITHOUT = """
import sys
sys.modules["torch"] = None  # as if it were not installed
import json
from deepface import DeepFace
for name in sys.argv[2:]:
    try:
        said = DeepFace.extract_faces(sys.argv[1], detector_backend=name)[0]["facial_area"]["w"]
    except Exception as error:
        said = repr(error)
    print(json.dumps([name, said]))
"""
TORCHLESS = [name for name, card in DETECTORS.own.items() if not card.needs_torch]


@cache
def without_torch() -> dict[str, Any]:
    """The width of the face that each finds, or its error: one process for all."""
    command = [sys.executable, "-c", WITHOUT, str(package_pictures()[0]), *TORCHLESS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.parametrize("name", TORCHLESS)
def test_detectors_that_need_no_torch(name: str) -> None:
    card: Card = DETECTORS.entry(name)
    if card.package is not None and not card.package.is_installed():
        pytest.skip(card.package.install)
    for group in card.files:
        if group[0].package is None:
            weight(group[0].name)
    width = without_torch()[name]
    assert isinstance(width, int) and width > 50, width


ADDED = """
from deepface.detection.card import DetectorCard
from deepface.recognition.card import RecognitionCard
from deepface.search.database.registry import Entry

MIDDLE = DetectorCard(
    name="middle", model="added:Middle", summary="The middle of a picture.", needs_torch=False,
    landmarks=2, aliases=("mid", "ssd", "yolov8", "skip"),
)
COLOURS = RecognitionCard(
    name="Colours", model="added:Colours", summary="Mean colours.", input_shape=(8, 8),
    output_shape=3, thresholds={"euclidean": 0.5}, minmax=(0.0, 2.0),
)
STORE = Entry("added:Store", "ADDED_STORE")
WRONG = DetectorCard(name="opencv", model="added:Middle", summary="There is one already.")
OTHER = "no card at all"


def __getattr__(name):  # models are imported when they are built
    import numpy as np
    from deepface.detection.detector import Detector
    from deepface.recognition.model import FacialRecognition
    from deepface.search.database.sqlite import SQLite
    from deepface.types import FacialAreaRegion

    class Middle(Detector):
        card = MIDDLE

        def _detect_one(self, canvas):
            # The canvas has a border of half the picture on each side.
            left, top = canvas.width * 3 // 8, canvas.height * 3 // 8
            return [FacialAreaRegion(left, top, canvas.width // 4, canvas.height // 4)]

    class Colours(FacialRecognition):
        card = COLOURS
        options = ()

        def __init__(self, device=None):
            self.model = None

        def embed(self, batch):
            return np.asarray(batch).mean((1, 2))

    class Store(SQLite):
        pass

    return {"Middle": Middle, "Colours": Colours, "Store": Store}[name]
"""
POINTS = """
[deepface.detectors]
middle = added:MIDDLE
opencv = added:WRONG
nothing = nowhere:CARD
[deepface.recognizers]
Colours = added:COLOURS
Others = added:COLOURS
text = added:OTHER
[deepface.databases]
mine = added:STORE
sqlite = added:STORE
"""
USE = """
import json, sys
import numpy as np
from deepface import DeepFace
from deepface.cli.app import app
from deepface.detection.registry import DETECTORS
from deepface.server.service import Service
from deepface.server.settings import Settings

picture = np.full((80, 80, 3), (10, 200, 90), np.uint8)
faces = DeepFace.extract_faces([picture] * 2, detector_backend="middle")
same = DeepFace.verify(picture, picture, "Colours", "middle", "euclidean")
vector = DeepFace.represent(picture, "Colours", detector_backend="middle", minmax_normalize=True)
database = dict(database_type="mine", connection_details=sys.argv[1], model_name="Colours",
                detector_backend="middle")
DeepFace.register([picture], **database)
found = DeepFace.search(picture, distance_metric="euclidean", **database)
errors = []
assert DETECTORS.entry("mid") is DETECTORS.entry("middle")
assert DETECTORS.entry("ssd").name == "ssd" and DETECTORS.entry("yolov8").name == "yolov8n"
DeepFace.find(picture, sys.argv[2], "Colours", "euclidean", detector_backend="mid")
DeepFace.find(picture, sys.argv[2], "Colours", "euclidean", detector_backend="middle")
service = Service(Settings.load())
served = {task: [row["name"] for row in rows] for task, rows in service.models().items()}
service.close()
assert "middle" in served["face_detector"] and "Colours" in served["facial_recognition"]
for call in (lambda: DeepFace.extract_faces(picture, detector_backend="nobody"),
             lambda: DeepFace.represent(picture, "Nobody"),
             lambda: DeepFace.register([picture], database_type="none", connection_details="x")):
    try:
        call()
    except ValueError as error:
        errors.append(str(error))
print(json.dumps({
    "area": faces[1][0]["facial_area"], "verified": bool(same["verified"]),
    "threshold": float(same["threshold"]), "embedding": vector[0]["embedding"],
    "found": len(found[0]), "errors": errors,
}))
app(["models"])
"""


def test_another_package_adds_one_of_each(tmp_path: Path) -> None:
    (tmp_path / "added.py").write_text(ADDED)
    metadata = tmp_path / "added-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: added\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    people = tmp_path / "people"
    people.mkdir()
    shutil.copy(package_pictures()[0], people)
    here = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path / "faces.db"), str(people)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), here])},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len([*people.glob("ds_model_colours_detector_middle*")]) == 1  # whatever it was called
    told = done.stdout + done.stderr
    printed = [line for line in done.stdout.splitlines() if line.startswith("{")]
    result, *models = map(json.loads, printed)
    area = {key: result["area"][key] for key in "xywh"}
    assert area == {"x": 20, "y": 20, "w": 40, "h": 40}
    assert result["verified"] and result["threshold"] == 0.5
    assert result["embedding"] == pytest.approx([c / 255 / 2 for c in (10, 200, 90)], abs=1e-6)
    assert result["found"] == 1
    for message, name in zip(result["errors"], ("middle", "Colours", "mine"), strict=True):
        assert name in message
    listed = {(row["kind"], row["name"]): row["state"] for row in models}
    assert listed["detector", "middle"] == listed["recognition", "Colours"] == "ready"
    for wrong in ("opencv", "nothing", "Others", "text", "sqlite"):
        assert f"entry point {wrong} = " in told
