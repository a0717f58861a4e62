"""FasNet against the published library's verdicts, in every public function, and at edges."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepface import DeepFace
from deepface.errors import MissingPackageError, SpoofDetected, WeightsError
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.execution.network import Network
from deepface.runtime.models import cached_models
from deepface.spoofing.fasnet import FasNet, surroundings
from deepface.spoofing.fasnet_networks import mini_fasnet_v1se, mini_fasnet_v2
from deepface.spoofing.registry import SPOOF_DETECTORS
from deepface.types import Liveness
from tests import laws
from tests.data import data, golden, photo, weight
from tests.goldens import networks as reference
from tests.test_batch_laws import pictures

FILES = ("2.7_80x80_MiniFASNetV2", "4_0_0_80x80_MiniFASNetV1SE")
SPOOF, REAL = "img5.jpg", "img25.jpg"
extract_faces: Any = DeepFace.extract_faces


@pytest.fixture(scope="module")
def fasnet() -> FasNet:
    for file in FILES:
        weight(f"{file}.pth")
    return SPOOF_DETECTORS.build("Fasnet")


def path_of(name: str) -> Path:
    return data("images", "photos", name)


def verdicts() -> dict[str, list[dict[str, Any]]]:
    """Photo -> published faces."""
    images = golden("spoofing.json")["images"]
    return {name.removeprefix("photos/"): faces for name, faces in images.items()}


def test_all_golden_verdicts_in_one_batch(fasnet: FasNet) -> None:
    pairs = [(photo(name), face) for name, faces in verdicts().items() for face in faces]
    assert len(pairs) == 49
    found = fasnet.judge([(image, tuple(face["facial_area"])) for image, face in pairs])  # type: ignore[misc]
    for verdict, (_, expected) in zip(found, pairs, strict=True):
        assert verdict.is_real is expected["is_real"]
        assert verdict.score == pytest.approx(expected["antispoof_score"], abs=1e-4)


def judge_all(fasnet: FasNet) -> Callable[[Any], Any]:
    """As a function of pictures, each of which is a face: the form that the laws take."""

    def judge(img: Any) -> Any:
        single = isinstance(img, np.ndarray) and img.ndim == 3
        faces = [img] if single else list(img)
        found = fasnet.judge([(face, (40, 30, 90, 100)) for face in faces])
        return found[0] if single else found

    return judge


def same_verdicts(found: Liveness, expected: Liveness) -> None:
    assert found.is_real is expected.is_real
    assert abs(found.score - expected.score) <= 1e-6


@pytest.mark.parametrize(
    "law",
    [
        laws.single_equals_any_batch,
        laws.permutation_permutes,
        laws.duplicates_are_equal,
        laws.threads_agree,
    ],
)
def test_laws(fasnet: FasNet, law: Callable[..., None]) -> None:
    law(judge_all(fasnet), pictures(), same_verdicts)


def test_published_door(fasnet: FasNet) -> None:
    assert DeepFace.build_model("Fasnet", task="spoofing") is fasnet
    assert fasnet.judge([]) == []
    image, (face, *_) = photo(REAL), verdicts()[REAL]
    is_real, score = fasnet.analyze(img=image, facial_area=tuple(face["facial_area"]))
    assert is_real is True
    assert score == pytest.approx(face["antispoof_score"], abs=1e-4)
    assert type(score) is np.float64
    json.dumps(score)
    # Floats in [0, 255] are the same picture.
    assert fasnet.analyze(image.astype(float), face["facial_area"])[1] == pytest.approx(
        score, abs=1e-2
    )


@pytest.mark.parametrize(
    ("name", "build"), [("MiniFASNetV2", mini_fasnet_v2), ("MiniFASNetV1SE", mini_fasnet_v1se)]
)
def test_golden_networks(
    name: str, build: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both networks, from Keras files, through the product's loader."""
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    for model, file in zip(("MiniFASNetV2", "MiniFASNetV1SE"), FILES, strict=True):
        reference.write_h5(model, folder / f"{file}.h5")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    networks: list[Network] = [network for _, network in FasNet().networks]
    inputs, (expected,) = reference.golden(name)
    network = next(n for n in networks if _shapes(n.module) == _shapes(build()))
    found = network(inputs, lambda x: x.permute(0, 3, 1, 2)).numpy()
    probabilities = torch.from_numpy(expected).softmax(1)
    np.testing.assert_allclose(found, probabilities, rtol=1e-4, atol=1e-5)


def _shapes(module: Any) -> list[Any]:
    return [value.shape for value in module.state_dict().values()]


def test_bad_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    for file in FILES:
        (folder / f"{file}.h5").write_bytes(b"no network")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setitem(cached_models, "spoofing", {})
    with pytest.raises(WeightsError, match=f"{FILES[0]}.h5"):
        SPOOF_DETECTORS.build("Fasnet")
    assert cached_models["spoofing"] == {}


def test_golden_rectangles() -> None:
    for width, height, box, scale, expected in golden("functions.json")["fasnet_box"]:
        assert surroundings(width, height, tuple(box), scale) == tuple(expected)


def test_a_rectangle_that_fits_is_not_moved() -> None:
    for x in range(6, 188):
        across, down = (surroundings(200, 200, box, 2.7) for box in ((x, 9, 6, 6), (9, x, 6, 6)))
        expected = int(x + 3 - 8.1), int(x + 3 + 8.1)
        assert (across[0], across[2]) == (down[1], down[3]) == expected


@pytest.mark.parametrize("at", [2, 3])
def test_a_side_of_no_pixels_counts_as_one(at: int) -> None:
    def seen(side: int) -> tuple[int, ...]:
        box = [50, 50, 9, 9]
        box[at] = side
        return surroundings(100, 100, (box[0], box[1], box[2], box[3]), 4.0)

    assert seen(0) == seen(1) != seen(2)


SIZES = st.integers(1, 300)


@given(
    SIZES, SIZES, st.integers(-400, 400), st.integers(-400, 400), st.integers(0, 500),
    st.integers(0, 500), st.sampled_from([2.7, 4.0]),
)  # fmt: skip
def test_the_rectangle_lies_inside(
    width: int, height: int, x: int, y: int, w: int, h: int, scale: float
) -> None:
    left, top, right, bottom = surroundings(width, height, (x, y, w, h), scale)
    assert 0 <= left <= right < width
    assert 0 <= top <= bottom < height


@pytest.mark.parametrize(
    "box",
    [(0, 0, 0, 0), (90, 90, 10, 10), (-50, -50, 300, 300), (200, 200, 9, 9), (50, 50, 0, 9)],
)
@pytest.mark.parametrize("size", [100, 1])
def test_boxes_at_the_edge_do_not_crash(
    fasnet: FasNet, box: tuple[int, int, int, int], size: int
) -> None:
    picture = np.full((size, size, 3), 127, np.uint8)
    assert 0 < fasnet.judge([(picture, box)])[0].score <= 1


def test_extract_faces(fasnet: FasNet) -> None:
    for name in (SPOOF, REAL):
        (expected,) = verdicts()[name]
        alone = extract_faces(path_of(name), anti_spoofing=True)
        in_list = extract_faces([path_of(name)] * 2, anti_spoofing=True)
        for (face,) in (alone, *in_list):
            assert list(face)[-2:] == ["is_real", "antispoof_score"]
            assert face["is_real"] is expected["is_real"]
            assert face["antispoof_score"] == pytest.approx(expected["antispoof_score"], abs=1e-4)
    assert "is_real" not in extract_faces(path_of(REAL))[0]


def test_a_float_picture_is_the_same_picture(fasnet: FasNet) -> None:
    picture = photo(REAL)
    options: dict[str, Any] = {"detector_backend": "skip", "anti_spoofing": True}
    (expected,) = extract_faces(picture, **options)
    for floats in (picture.astype(np.float32), picture / 255):
        (face,) = extract_faces(floats, **options)
        assert face["is_real"] is expected["is_real"]
        assert face["antispoof_score"] == expected["antispoof_score"]


def test_picture_without_faces(fasnet: FasNet) -> None:
    black = np.zeros((60, 80, 3), np.uint8)
    (face,) = extract_faces(black, enforce_detection=False, anti_spoofing=True)
    assert face["confidence"] == 0
    assert isinstance(face["is_real"], bool)


@pytest.fixture
def dlib_model() -> None:
    try:
        RECOGNIZERS.build("Dlib")
    except (MissingPackageError, WeightsError) as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("dlib_model")
def test_represent(fasnet: FasNet, tmp_path: Path) -> None:
    real, spoof = path_of(REAL), path_of(SPOOF)
    assert len(DeepFace.represent(real, "Dlib", anti_spoofing=True)) == 1
    with pytest.raises(SpoofDetected, match=r"Spoof detected in .*img5\.jpg"):
        DeepFace.represent(spoof, "Dlib", anti_spoofing=True)
    with pytest.raises(SpoofDetected, match=r"item 1 .*img5\.jpg"):
        DeepFace.represent([real, spoof], "Dlib", anti_spoofing=True)


@pytest.mark.usefixtures("dlib_model")
def test_verify(fasnet: FasNet) -> None:
    real, spoof = path_of(REAL), path_of(SPOOF)
    assert DeepFace.verify(real, real, "Dlib", anti_spoofing=True)["verified"] is True  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="Exception while processing img2_path") as caught:
        DeepFace.verify(real, spoof, "Dlib", anti_spoofing=True)
    assert isinstance(caught.value.__cause__, SpoofDetected)


@pytest.mark.gpu
def test_pictures_on_a_device_are_judged_as_those_on_the_cpu(fasnet: FasNet) -> None:
    """Each face in its own picture, in whatever order they come."""
    pictures = {name: photo(name) for name in ("selfie-many-people.jpg", SPOOF, REAL)}
    tensors = {name: torch.from_numpy(image).to("cuda") for name, image in pictures.items()}
    faces = [(name, tuple(face["facial_area"])) for name in pictures for face in verdicts()[name]]
    mixed: list[Any] = [*faces[::2], *faces[1::2]]
    assert len(mixed) == 7
    found = FasNet("cuda").judge([(tensors[name], box) for name, box in mixed])
    expected = fasnet.judge([(pictures[name], box) for name, box in mixed])
    for verdict, wanted in zip(found, expected, strict=True):
        assert verdict.is_real is wanted.is_real
        assert verdict.score == pytest.approx(wanted.score, abs=1e-4)


def test_a_crowd_is_judged_face_by_face(fasnet: FasNet) -> None:
    name = "selfie-many-people.jpg"
    picture = cv2.imread(str(path_of(name)))
    assert picture is not None
    boxes = [tuple(face["facial_area"]) for face in verdicts()[name]]
    assert len(boxes) == 5
    together = fasnet.judge([(picture, box) for box in boxes])  # type: ignore[misc]
    for box, verdict in zip(boxes, together, strict=True):
        same_verdicts(fasnet.judge([(picture, box)])[0], verdict)  # type: ignore[list-item]
