"""``analyze``: the real emotion network, and small stand-ins for the three large ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface import DeepFace
from deepface.attributes.registry import ATTRIBUTES
from deepface.errors import FaceNotDetected, SpoofDetected, UnimplementedError, WeightsError
from deepface.pipeline import demography, representation
from deepface.runtime.models import cached_models
from deepface.types import Image
from tests import laws
from tests.attributes.networks import STEMS, VGG, small_model, write_weights
from tests.data import data, weight
from tests.test_batch_laws import pictures as photographs

KEYS = [
    *("emotion", "dominant_emotion", "region", "face_confidence", "age"),
    *("gender", "dominant_gender", "race", "dominant_race"),
]
LABELS = {
    "emotion": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
    "gender": ["Woman", "Man"],
    "race": ["asian", "indian", "black", "white", "middle eastern", "latino hispanic"],
}
analyze: Any = partial(DeepFace.analyze, enforce_detection=False, silent=True)


@pytest.fixture(autouse=True, scope="module")
def models(deepface_home: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cached_models, "facial_attribute", {n: small_model(n) for n in VGG})
        path = write_weights("Emotion", deepface_home)
        ATTRIBUTES.build("Emotion")
        path.unlink()
        yield


@cache
def pictures() -> list[Image]:
    """One face, none, two, five."""
    portrait, faceless, several, *_ = photographs()
    return [portrait, faceless, several, np.ascontiguousarray(np.hstack([portrait] * 5))]


def same_attributes(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal faces, in order; percentages within 1e-4, which is 1e-6 of a probability."""
    assert len(found) == len(expected)
    for face, wanted in zip(found, expected, strict=True):
        assert list(face) == list(wanted)
        for key, value in wanted.items():
            if key in LABELS:
                assert list(face[key]) == list(value)
                np.testing.assert_allclose([*face[key].values()], [*value.values()], atol=1e-4)
            else:
                assert face[key] == value, key


@pytest.mark.parametrize(
    "law",
    [
        laws.single_equals_any_batch,
        laws.permutation_permutes,
        laws.duplicates_are_equal,
        laws.threads_agree,
    ],
)
def test_laws(law: Any) -> None:
    law(analyze, pictures(), same_attributes)


def test_a_4d_array_of_several_pictures() -> None:
    portrait = pictures()[0]
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    laws.single_equals_any_batch(analyze, [portrait, mirrored], same_attributes)


def test_the_laws_see_none_one_and_five_faces() -> None:
    results = analyze(pictures())
    counts = [sum(face["face_confidence"] > 0 for face in faces) for faces in results]
    assert counts == [1, 0, counts[2], 5]
    assert counts[2] >= 1
    assert len(results[1]) == 1  # the whole picture stands in


def test_neither_chunks_nor_steps_change_anything() -> None:
    expected = analyze(pictures(), batch_size=1)
    laws.same_lists(analyze(pictures(), batch_size=3), expected, same_attributes)
    small = [cv2.resize(photo, (48, 48)) for photo in pictures()]
    many = [np.roll(face, 3 * n, 1) for face in small for n in range(18)]  # more than a step's
    whole = partial(analyze, detector_backend="skip")
    laws.same_lists(whole(many, batch_size=99), whole(many, batch_size=1), same_attributes)


def test_empty() -> None:
    laws.empty_gives_nothing(analyze)
    assert analyze(iter(())) == []


def test_forms_of_a_batch() -> None:
    portrait, other = pictures()[:2]
    expected = analyze([portrait, other])
    laws.same_lists(analyze((portrait, other)), expected, same_attributes)
    laws.same_lists(analyze(p for p in (portrait, other)), expected, same_attributes)
    laws.same_lists(analyze(portrait[None]), expected[:1], same_attributes)


def test_keys_and_types() -> None:
    (face,) = analyze(pictures()[0])
    assert list(face) == KEYS
    assert type(face["age"]) is int
    assert type(face["face_confidence"]) is float
    for action, labels in LABELS.items():
        assert list(face[action]) == labels
        assert {type(value) for value in face[action].values()} == {float}
        assert sum(face[action].values()) == pytest.approx(100, abs=1e-3)
        assert face[f"dominant_{action}"] == max(labels, key=face[action].get)
    assert set(face["region"]) >= {"x", "y", "w", "h", "left_eye", "right_eye"}
    assert json.loads(json.dumps(face))["age"] == face["age"]


@pytest.mark.parametrize(
    ("actions", "keys"),
    [
        ("age", ["age", "region", "face_confidence"]),
        (("race",), ["race", "dominant_race", "region", "face_confidence"]),
        (
            ["gender", "age"],
            ["gender", "dominant_gender", "region", "face_confidence", "age"],
        ),
        (["age", "age"], ["age", "region", "face_confidence"]),
        (np.array(["age"]), ["age", "region", "face_confidence"]),
        ({"age": 1}.keys(), ["age", "region", "face_confidence"]),
    ],
)
def test_actions_in_their_order(actions: Any, keys: list[str]) -> None:
    assert [list(face) for face in analyze(pictures()[0], actions=actions)] == [keys]


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        ((), ValueError, "`actions` must be a list of strings"),
        (None, ValueError, "`actions` must be a list of strings"),
        ({"age"}, ValueError, "`actions` must be a list of strings"),
        (["age", 3], ValueError, "`actions` must be a list of strings"),
        ("smile", UnimplementedError, r"Invalid action passed \('smile'\).*emotion, age"),
        (["age", "smile"], UnimplementedError, r"Invalid action passed \('smile'\)"),
    ],
)
def test_actions_are_checked_before_any_work(
    actions: Any, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cached_models, "facial_attribute", {})  # to build one would fail

    def images() -> Iterator[Image]:
        raise AssertionError("an image was asked for")
        yield

    for img in (images(), "no such file.jpg"):
        with pytest.raises(error, match=message):
            analyze(img, actions=actions)


def test_faces_are_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = []

    def counting(crops: Any, size: tuple[int, int]) -> Any:
        prepared.append(len(crops))
        return original(crops, size)

    original = representation.network_inputs
    monkeypatch.setattr(demography, "network_inputs", counting)
    results = analyze(pictures())
    assert prepared == [sum(map(len, results))]


def test_only_what_is_asked_for_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cached_models, "facial_attribute", {"Age": small_model("Age")})
    assert len(analyze(pictures()[0], actions="age")) == 1
    with pytest.raises(WeightsError, match=STEMS["Race"]):
        analyze(pictures()[0], actions=("age", "race"))


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    two = [pictures()[0]] * 2
    analyze(two, actions="age")
    assert capsys.readouterr().err == ""
    analyze(two, actions="age", silent=False)
    assert "0/2" in capsys.readouterr().err  # later states are shown ten times a second at most


def test_a_picture_without_a_face(tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((90, 80, 3), np.uint8))
    with pytest.raises(FaceNotDetected, match=r"Face could not be detected in .*black\.png"):
        analyze(black, enforce_detection=True)
    with pytest.raises(FaceNotDetected, match=r"item 1 .*black\.png"):
        analyze([pictures()[0], black], enforce_detection=True)
    (face,) = analyze(black)
    assert face["face_confidence"] == 0
    expected = {"x": 0, "y": 0, "w": 79, "h": 89, "left_eye": None, "right_eye": None}
    assert face["region"] == expected


def test_a_bad_item_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(ValueError, match=r"item 1 .*bad\.jpg"):
        analyze([pictures()[0], bad])


def test_spoofs_are_refused() -> None:
    weight("2.7_80x80_MiniFASNetV2.pth")
    real, spoof = (data("images", "photos", name) for name in ("img25.jpg", "img5.jpg"))
    options = {"actions": "emotion", "anti_spoofing": True}
    assert len(analyze(real, **options)) == 1
    with pytest.raises(SpoofDetected, match=r"Spoof detected in .*img5\.jpg"):
        analyze(spoof, **options)
    with pytest.raises(SpoofDetected, match=r"item 1 .*img5\.jpg"):
        analyze([real, spoof], **options)


PUBLISHED = json.loads(Path(__file__).with_name("published_analyze.json").read_text())["calls"]


def check_published(found: Any, expected: list[dict[str, Any]], actions: Any = LABELS) -> None:
    """Within 1e-3 of a percent: the published file has rounded crops of other float types."""

    def place(face: dict[str, Any]) -> int:
        return int(face["region"]["x"])

    assert len(found) == len(expected)
    for face, wanted in zip(sorted(found, key=place), sorted(expected, key=place), strict=True):
        assert json.loads(json.dumps(face["region"])) == wanted["region"]
        assert face["face_confidence"] == wanted["face_confidence"]
        for action in actions:
            if action in wanted:
                assert list(face[action]) == list(wanted[action])
                assert face[action] == pytest.approx(wanted[action], abs=1e-3)


def test_emotions_of_the_published_library() -> None:
    for call in PUBLISHED:
        if "emotion" in call["faces"][0] and call["photo"] != "couple.jpg":  # 5 megapixels
            found = analyze(
                data("images", "photos", call["photo"]), **call["arguments"], actions="emotion"
            )
            check_published(found, call["faces"], ["emotion"])


@pytest.fixture
def real_networks(deepface_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The four networks with stand-in weights; their files do not stay."""
    monkeypatch.setitem(cached_models, "facial_attribute", {})
    for name in STEMS:
        path = write_weights(name, deepface_home)
        ATTRIBUTES.build(name)
        path.unlink()


@pytest.mark.heavy
@pytest.mark.usefixtures("real_networks")
def test_published_results_and_laws_with_the_real_networks() -> None:
    for call in PUBLISHED:
        found = analyze(data("images", "photos", call["photo"]), **call["arguments"])
        assert [list(face) for face in found] == [list(face) for face in call["faces"]]
        check_published(found, call["faces"])
        ages = {(face["region"]["x"], face.get("age")) for face in found}
        assert ages == {(face["region"]["x"], face.get("age")) for face in call["faces"]}
    some = pictures()[:2]
    laws.same_lists(analyze(some), [analyze(picture) for picture in some], same_attributes)
