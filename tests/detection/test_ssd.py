"""SSD against OpenCV's own run of the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from deepface.detection.boxes import Suppression
from deepface.detection.cards.ssd import CARD
from deepface.detection.ssd import Description, SsdDetector, SsdNet, detections, read_caffe
from deepface.errors import WeightsError
from deepface.types import FacialAreaRegion, Image
from tests.data import carried, home_with, package_pictures, read, weight
from tests.detection.goldens import SMALL, all_names, assert_as_published

FILE, DESCRIPTION = CARD.files[0][0].name, "deploy.prototxt"


@pytest.fixture(scope="module", params=["published", "rebuilt"])
def files(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """A network and its description: the published ones, and those that the goldens belong to."""
    if request.param == "published":
        return carried(FILE), carried(DESCRIPTION)
    return weight(FILE), weight(DESCRIPTION)


@pytest.fixture(scope="module")
def detector(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> SsdDetector:
    folder = tmp_path_factory.mktemp("home") / ".deepface" / "weights"
    folder.mkdir(parents=True)
    for name, file in zip((FILE, DESCRIPTION), files, strict=True):
        (folder / name).symlink_to(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_HOME", str(folder.parents[1]))
        return SsdDetector("cpu")


@pytest.fixture(scope="module")
def opencv(files: tuple[Path, Path]) -> Any:
    model, description = map(str, files)
    return cv2.dnn.readNetFromCaffe(description, model)


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    return [read(path) for path in package_pictures()]


def squeezed(picture: Image) -> np.ndarray[Any, Any]:
    return cv2.dnn.blobFromImage(cv2.resize(picture, (300, 300)))


def test_the_network_is_opencvs(detector: SsdDetector, opencv: Any, pictures: list[Image]) -> None:
    for picture in pictures:
        blob = squeezed(picture)
        opencv.setInput(blob)
        boxes, confidences, priors, found = opencv.forward(
            ["mbox_loc", "mbox_conf_flatten", "mbox_priorbox", "detection_out"]
        )
        rows = detector.network(torch.from_numpy(blob))
        assert rows.shape == (1, len(detector.priors), 5)
        np.testing.assert_allclose(rows[0, :, 1:], boxes.reshape(-1, 4), atol=1e-4)
        logits = rows[0, :, 0]
        np.testing.assert_allclose(logits.sigmoid(), confidences.reshape(-1, 2)[:, 1], atol=1e-5)
        centre, half = detector.priors[:, :2], detector.priors[:, 2:] / 2
        corners = torch.cat([centre - half, centre + half], 1)
        np.testing.assert_allclose(corners, priors[0, 0].reshape(-1, 4), atol=1e-6)
        # OpenCV lets the 400 best compete, and shows from a confidence of 0.01 on.
        best = logits.argsort(descending=True)[:400]
        net = detector.network.module
        assert isinstance(net, SsdNet)
        clips = net.description.clips
        ours = detections(rows[:, best], detector.priors[best], 0.01, Suppression(), clips)
        expected = found[0, 0][found[0, 0, :, 2] > 0]
        assert len(expected) > 50
        np.testing.assert_allclose(ours[:200, 1], expected[:, 2], atol=1e-5)
        np.testing.assert_allclose(ours[:200, 2:] / 300, expected[:, 3:], atol=1e-5)


def as_published(opencv: Any, picture: Image) -> list[FacialAreaRegion]:
    opencv.setInput(squeezed(picture))
    down, across = picture.shape[0] / 300, picture.shape[1] / 300
    faces = []
    for _, kind, confidence, *corners in opencv.forward()[0, 0]:
        if kind == 1 and confidence >= 0.9:
            x1, y1, x2, y2 = (int(corner * 300) for corner in corners)
            x, y, right, bottom = int(x1 * across), int(y1 * down), int(x2 * across), int(y2 * down)
            faces.append(FacialAreaRegion(x, y, right - x, bottom - y, confidence=confidence))
    return faces


def test_faces_are_opencvs_in_a_batch_larger_than_a_step(
    detector: SsdDetector, opencv: Any, pictures: list[Image]
) -> None:
    pictures = pictures + [picture[:, ::-1] for picture in pictures]
    several = cv2.hconcat([cv2.resize(pictures[i], (300, 300)) for i in (0, 1, 3)])
    batch = [*pictures, several] * 6
    expected = [as_published(opencv, np.ascontiguousarray(picture)) for picture in batch]
    found = detector.detect_faces(batch)
    assert sum(len(faces) for faces in found) >= 20
    for faces, wanted in zip(found, expected, strict=True):
        assert [(f.x, f.y, f.w, f.h) for f in faces] == [(f.x, f.y, f.w, f.h) for f in wanted]
        for face, other in zip(faces, wanted, strict=True):
            assert face.confidence == pytest.approx(other.confidence, abs=1e-5)


@pytest.mark.parametrize("align", [True, False])
def test_faces_as_published(detector: SsdDetector, align: bool) -> None:
    assert_as_published("ssd", SMALL, align)


@pytest.mark.heavy
@pytest.mark.parametrize("align", [True, False])
def test_all_faces_as_published(detector: SsdDetector, align: bool) -> None:
    """Each picture in one of the two ways: what differs between them is done by no detector."""
    assert_as_published("ssd", all_names()[align::2], align)


def test_damaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(b"no model" * 2_000_000)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    with pytest.raises(
        WeightsError, match=rf"{FILE}.*Caffe model.*deepface models download {FILE}"
    ):
        SsdDetector("cpu")


@pytest.mark.parametrize("names", [(FILE,), (FILE, DESCRIPTION)])
def test_the_published_file_needs_no_description(names: tuple[str, ...], tmp_path: Path) -> None:
    """It is known by its hash, and what is published with it is built in."""
    with home_with(tmp_path, *names, known=True):
        detector = SsdDetector("cpu")
        assert Description.beside_weights() == Description()
    assert len(detector.priors) == 8892


@pytest.mark.parametrize("text", ["", 'layer {\n  name: "conv8_2_h"\n', "\xff"])
def test_another_description(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with home_with(tmp_path, FILE):
        (tmp_path / ".deepface" / "weights" / DESCRIPTION).write_text(text, encoding="latin-1")
        with pytest.raises(WeightsError, match=f"{DESCRIPTION}.*no description of OpenCV's face"):
            SsdDetector("cpu")


def test_another_network(monkeypatch: pytest.MonkeyPatch, detector: SsdDetector) -> None:
    blobs = read_caffe()
    del blobs["conv6_1_h"]
    monkeypatch.setattr("deepface.detection.ssd.read_caffe", lambda: blobs)
    with pytest.raises(WeightsError, match="conv6_1_h"):
        SsdDetector("cpu")
