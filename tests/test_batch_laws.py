"""A batch is a speed-up, never a different answer: every detector, on real pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from deepface import DeepFace
from deepface.detection.canvas import Canvas
from deepface.detection.detector import Detector
from deepface.detection.registry import DETECTORS
from deepface.errors import FaceNotDetected, MissingPackageError, WeightsError
from deepface.runtime.models import cached_models
from deepface.types import FacialAreaRegion, Image
from tests import laws
from tests.data import package_pictures, read
from tests.goldens import networks as reference

LAWS = [laws.single_equals_any_batch, laws.permutation_permutes, laws.duplicates_are_equal]


def _scaled(image: Image, longest: int) -> Image:
    factor = longest / max(image.shape[:2])
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


@cache
def pictures() -> list[Image]:
    """Mixed sizes: one face, none, several faces, one face mirrored (same size), a street."""
    portrait, several, street = (read(path) for path in package_pictures())
    portrait = _scaled(portrait, 256)
    return [
        portrait,
        faceless(),
        _scaled(several, 400),
        np.ascontiguousarray(portrait[:, ::-1]),
        _scaled(street, 380),
    ]


def faceless() -> Image:
    """Coloured noise, smoothed: textured, without a face, as large as the portrait."""
    noise = np.random.default_rng(5).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 9)  # type: ignore[return-value]


#: Detectors whose weights come with packages or with the test data.
DETECTED_HERE = (
    "opencv",
    "ssd",
    "mtcnn",
    "fastmtcnn",
    "dlib",
    "yolov8n",
    "yolov11n",
    "retinaface-mobilenet0.25",
    "yunet",
    "centerface",
)
#: The others are held to the laws elsewhere: by stand-in weights below, in ``test_yolo.py`` and
#: ``test_retinaface_pytorch.py`` (the same code with other networks), and with a made network
#: in ``test_mediapipe.py`` (a loop over single images).
DETECTED_ELSEWHERE = {"retinaface", "retinaface-resnet50", "mediapipe"}


def test_no_detector_is_forgotten() -> None:
    others = set(DETECTORS.entries) - set(DETECTED_HERE) - DETECTED_ELSEWHERE
    assert {DETECTORS.entry(name).load() for name in others} == {DETECTORS.entry("yolov8n").load()}


@pytest.fixture(scope="module", params=DETECTED_HERE)
def detector(request: pytest.FixtureRequest) -> Iterator[Detector]:
    """A detector; one whose weights or package are not here is skipped with the reason."""
    try:
        yield DETECTORS.build(request.param)
    except (WeightsError, MissingPackageError) as error:
        pytest.skip(
            f"{request.param}: {error}\nFor tests, put the file into a folder and set "
            "DEEPFACE_TEST_WEIGHTS to it."
        )


def extract(detector: Detector, img: Any, **options: Any) -> Any:
    name = next(k for k, v in cached_models[DETECTORS.task].items() if v is detector)
    return DeepFace.extract_faces(
        img, detector_backend=name, **{"enforce_detection": False, **options}
    )


@pytest.fixture(scope="module")
def regions(detector: Detector) -> Callable[..., Any]:
    return laws.Once(detector.detect_faces, pictures())


@pytest.fixture(scope="module")
def faces(detector: Detector) -> Callable[..., Any]:
    return laws.Once(partial(extract, detector), pictures())


@pytest.mark.parametrize("law", LAWS)
def test_detector(regions: Callable[..., Any], law: Callable[..., None]) -> None:
    law(regions, pictures(), laws.same_regions)


@pytest.mark.parametrize("law", LAWS)
def test_extract_faces(faces: Callable[..., Any], law: Callable[..., None]) -> None:
    law(faces, pictures(), laws.same_faces)


def test_it_finds_faces(regions: Callable[..., Any]) -> None:
    """Otherwise the laws above would hold for a detector that does nothing."""
    found = regions(pictures())
    assert found[0], "the portrait"
    assert len(found[2]) >= 1


def test_chunk_size_changes_nothing(detector: Detector, faces: Callable[..., Any]) -> None:
    expected = faces(pictures())
    for size in (1, 2, 3):  # the laws' is more than there are
        laws.same_lists(extract(detector, pictures(), batch_size=size), expected, laws.same_faces)


@pytest.mark.parametrize("view", [np.s_[:, ::-1], np.s_[20:240, 10:250], np.s_[:, :, ::-1]])
def test_views_are_seen_as_their_copies(detector: Detector, view: Any) -> None:
    seen = pictures()[0][view]
    assert not seen.flags.c_contiguous
    found, (expected,) = detector.detect_faces(seen), detector.detect_faces([seen.copy()])
    laws.same_regions(found, expected)  # type: ignore[arg-type]


def test_two_threads(detector: Detector) -> None:
    laws.threads_agree(detector.detect_faces, pictures()[:3], laws.same_regions)


def test_cores(detector: Detector, regions: Callable[..., Any]) -> None:
    """Some give each core a part of a list."""
    expected = regions(pictures())
    before = torch.get_num_threads()
    for cores in {2, 3, before + 1}:
        torch.set_num_threads(cores)
        try:
            laws.same_lists(detector.detect_faces(pictures()), expected, laws.same_regions)
        finally:
            torch.set_num_threads(before)


def test_empty(detector: Detector) -> None:
    laws.empty_gives_nothing(detector.detect_faces)
    laws.empty_gives_nothing(partial(extract, detector))


def test_picture_without_a_face_in_the_middle(detector: Detector, tmp_path: Path) -> None:
    portrait = pictures()[0]
    # Black, so that no detector finds a face in it.
    files = []
    for name, image in (("a", portrait), ("black", np.zeros_like(portrait)), ("c", portrait)):
        files.append(tmp_path / f"{name}.png")
        cv2.imwrite(str(files[-1]), image)
    results = extract(detector, files)
    laws.same_faces(results[0], results[2])
    laws.same_faces(results[0], extract(detector, files[0]))
    assert [face["confidence"] for face in results[1]] == [0]
    area = results[1][0]["facial_area"]
    assert (area["x"], area["y"], area["w"], area["h"]) == (0, 0, 255, 255)
    with pytest.raises(FaceNotDetected, match=r"item 1 .*black\.png"):
        extract(detector, files, enforce_detection=True)


def test_corrupt_file_in_the_middle(detector: Detector, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.jpg"
    cv2.imwrite(str(good), pictures()[0])
    bad.write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(ValueError, match=r"item 1 .*bad\.jpg"):
        extract(detector, [good, bad, good])


@pytest.mark.heavy
def test_retinaface_with_stand_in_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    reference.write_pth("retinaface", folder / "retinaface.pth")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    build = DETECTORS.entry("retinaface").load()
    detector = build("cpu", threshold=0.6)  # the stand-in's scores are all about one half
    street = read(package_pictures()[2])
    # Low and wide, so that the network's input, which is always large, is not large as well.
    strips = [
        np.ascontiguousarray(street[top : top + 40, :width])
        for top, width in ((500, 560), (300, 600), (560, 560))
    ]
    f = laws.Once(detector.detect_faces, strips)
    assert all(f(strips))
    for law in LAWS[:2]:  # a network this large; which pictures are equal is no matter of networks
        law(f, strips, laws.same_regions)
    (folder / "retinaface.pth").unlink()


class PadsToTheLargest(Detector):
    """Breaks the first law: what an image becomes depends on its neighbours."""

    name = "pads-to-the-largest"

    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        height = max(canvas.height for canvas in canvases)
        width = max(canvas.width for canvas in canvases)
        found = []
        for canvas in canvases:
            top, left = (height - canvas.height) // 2, (width - canvas.width) // 2
            padded = Canvas(canvas.image, canvas.top + top, canvas.left + left)
            regions = DETECTORS.build("opencv").detect_canvases([padded])[0]
            found.append([region.shifted(-left, -top) for region in regions])
        return found


@pytest.mark.parametrize("law", [laws.single_equals_any_batch])
def test_the_laws_catch_a_detector_that_pads(law: Callable[..., None]) -> None:
    with pytest.raises(AssertionError):
        law(PadsToTheLargest().detect_faces, pictures(), laws.same_regions)
