"""``stream``: what a viewer sees, frame by frame, and what is written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface import DeepFace
from deepface.detection.detector import Detector
from deepface.errors import DeepFaceError, MissingPackageError, PathNotFound
from deepface.images.video import Frame, iter_frames
from deepface.live import StreamAnalysis, overlay, window
from deepface.pipeline import FacePipeline
from deepface.types import FacialAreaRegion, Image
from tests.cli.command import run
from tests.stand_ins import ColorModel, cached

RATE = 10.0
GREEN, RED = (80, 200, 80), (40, 40, 220)


class BrightSquare(Detector):
    """One face where the top left pixel of the picture is bright: 140 pixels wide, or less."""

    name = "bright"

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def _detect_batch(self, canvases: Any) -> list[list[FacialAreaRegion]]:
        self.batches.append(len(canvases))
        return [self._one(canvas) for canvas in canvases]

    def _one(self, canvas: Any) -> list[FacialAreaRegion]:
        corner = int(canvas.image[0, 0, 0])
        if corner < 100:
            return []
        side = 140 if corner >= 200 else {180: 131, 170: 130}.get(corner, 100)
        left, top = canvas.left + 20, canvas.top + 30
        eyes = ((left + 90, top + 40), (left + 40, top + 40))
        return [FacialAreaRegion(left, top, side, side, *eyes, 0.9)]


class Described:
    """An attribute's network."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.faces = 0

    def describe(self, faces: Any) -> list[dict[str, Any]]:
        self.faces += len(faces)
        return [dict(self.values) for _ in faces]


@pytest.fixture(autouse=True)
def models() -> Iterator[dict[str, Any]]:
    found = {
        "bright": BrightSquare(),
        "colors": ColorModel(),
        "Age": Described(age=31),
        "Gender": Described(dominant_gender="Woman"),
        "Emotion": Described(dominant_emotion="happy"),
    }
    with (
        cached("face_detector", "bright", found["bright"]),
        cached("facial_recognition", "colors", found["colors"]),
        cached("facial_attribute", "Age", found["Age"]),
        cached("facial_attribute", "Gender", found["Gender"]),
        cached("facial_attribute", "Emotion", found["Emotion"]),
    ):
        yield found


def picture(corner: int, shade: int = 60) -> Image:
    image = np.full((240, 320, 3), shade, np.uint8)
    image[:2, :2] = corner
    return image


def frames(corners: list[int]) -> list[Frame]:
    return [Frame(picture(c), "clip", n, n / RATE) for n, c in enumerate(corners)]


def kinds(pictures: list[Image], corners: list[int]) -> str:
    """One letter per frame: ``-`` as it came, ``l`` live, ``g`` with green results, ``r`` red."""
    letters = []
    for image, corner in zip(pictures, corners, strict=True):
        edge = tuple(int(value) for value in image[30, 60])
        if edge == GREEN:
            letters.append("g")
        elif edge == RED:
            letters.append("r")
        else:
            letters.append("-" if np.array_equal(image, picture(corner)) else "l")
    return "".join(letters)


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_what_a_viewer_sees(models: dict[str, Any], batch_size: int) -> None:
    """Three frames of following, one second of results, and again; small faces do not count."""
    corners = [0] * 2 + [255] * 2 + [0] + [255] * 16 + [150] * 5
    analysis = StreamAnalysis("bright", time_threshold=1, frame_threshold=3)
    shown = list(analysis.annotate(frames(corners), batch_size))
    assert kinds(shown, corners) == "--ll-ll" + "g" * 10 + "ll" + "g" * 7
    assert models["Age"].faces == 2
    assert max(models["bright"].batches) <= batch_size


def test_frames_that_stand_still_cost_nothing(models: dict[str, Any]) -> None:
    corners = [255] * 40
    analysis = StreamAnalysis("bright", time_threshold=3.5, frame_threshold=1)
    list(analysis.annotate(frames(corners), 4))
    assert sum(models["bright"].batches) < 12


@pytest.mark.parametrize(("corner", "kind"), [(170, "-"), (180, "g")])
def test_faces_up_to_130_pixels_wide_are_ignored(corner: int, kind: str) -> None:
    analysis = StreamAnalysis("bright", frame_threshold=1)
    assert kinds(list(analysis.annotate(frames([corner]), 1)), [corner]) == kind


def test_the_defaults_are_those_of_the_function() -> None:
    defaults = {field.name: field.default for field in fields(StreamAnalysis)}
    parameters = signature(DeepFace.stream).parameters
    assert defaults == {name: parameters[name].default for name in defaults}


def test_thresholds_are_at_least_one() -> None:
    analysis = StreamAnalysis("bright", time_threshold=0, frame_threshold=0)
    assert (analysis.time_threshold, analysis.frame_threshold) == (1, 1)


def test_no_analysis_and_debug(
    models: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    analysis = StreamAnalysis("bright", enable_face_analysis=False, frame_threshold=2, debug=True)
    list(analysis.prepare().annotate(frames([255] * 3), 1))
    assert models["Age"].faces == 0
    assert cv2.imread("freezed_0_0.jpg").shape == (140, 140, 3)  # type: ignore[union-attr]


def test_spoofs_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Judge:
        def judge(self, faces: Any) -> Any:
            from deepface.types import Liveness

            return [Liveness(False, 0.9) for _ in faces]

    corners = [255] * 2
    analysis = StreamAnalysis("bright", anti_spoofing=True, frame_threshold=2)
    with cached("spoofing", "Fasnet", Judge()):
        shown = list(analysis.annotate(frames(corners), 2))
    assert kinds(shown, corners) == "lr"


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Two people: the one whose picture is as grey as the frames, and one who is red."""
    folder = tmp_path / "people"
    folder.mkdir()
    cv2.imwrite(str(folder / "grey.png"), picture(255))
    red = np.zeros((240, 320, 3), np.uint8)
    red[..., 2] = 250
    red[:2, :2] = 255
    cv2.imwrite(str(folder / "red.png"), red)
    return folder


def test_the_closest_person_is_recognised(
    gallery: Path, models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def note(frame: Image, faces: Any, lines: Any, people: Any) -> Image:
        drawn.append((lines, people))
        return frame

    monkeypatch.setattr(overlay, "mark_results", note)
    monkeypatch.setattr("deepface.pipeline.find.find_threshold", lambda *a, **k: 0.1)
    monkeypatch.setattr("deepface.pipeline.find.find_confidence", lambda *a, **k: 99.0)
    analysis = StreamAnalysis("bright", "colors", db_path=str(gallery), frame_threshold=1).prepare()
    list(analysis.annotate(frames([255]), 1))
    [(lines, people)] = drawn
    assert lines == [["grey", "Woman, 31", "happy"]]
    np.testing.assert_array_equal(people[0], picture(255)[30:170, 20:160])


def test_everything_runs_on_the_device_that_was_chosen(
    gallery: Path, models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[Any] = []

    class Noting(FacePipeline):
        def __post_init__(self) -> None:
            chosen.append(self.device)
            super().__post_init__()

    monkeypatch.setattr("deepface.live.analysis.FacePipeline", Noting)
    monkeypatch.setattr("deepface.pipeline.find.find_threshold", lambda *a, **k: 0.1)
    options: dict[str, Any] = {"db_path": str(gallery), "frame_threshold": 1, "device": "cpu"}
    list(StreamAnalysis("bright", "colors", **options).prepare().annotate(frames([255]), 1))
    assert len(chosen) > 4
    assert set(chosen) == {"cpu"}


def test_a_folder_without_faces_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepface.pipeline.find.find_threshold", lambda *a, **k: 0.1)
    empty = StreamAnalysis("bright", "colors", db_path=str(tmp_path)).prepare()
    assert empty.db_path == ""
    with pytest.raises(PathNotFound):
        StreamAnalysis("bright", "colors", db_path=str(tmp_path / "no")).prepare()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (320, 240))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for number in range(30):
        image = picture(0)
        image[:16, :16] = 255 if number > 5 else 0  # a block that compression keeps
        writer.write(image)
    writer.release()
    return path


def test_a_video_is_written_without_a_display(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: dict[str, Any]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    output = tmp_path / "out.mp4"
    DeepFace.stream(
        source=str(clip), detector_backend="bright", output_path=output,
        time_threshold=1, frame_threshold=3,
    )  # fmt: skip
    written = list(iter_frames(output))
    assert len(written) == 30
    assert written[0].pixels.shape == (240, 320, 3)
    standing = written[12].pixels.astype(int)
    assert np.abs(standing - picture(0)).max() > 60  # something was drawn
    assert max(models["bright"].batches) > 1
    with pytest.raises(DeepFaceError, match="there is no display"):
        DeepFace.stream(source=str(clip), detector_backend="bright")


def test_an_opencv_without_windows(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    information = "  GUI:                           NONE\n"
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: information)
    with pytest.raises(MissingPackageError, match='pip install "opencv-python<5"'):
        DeepFace.stream(source=str(clip))


def test_windows_are_shown_until_q(
    clip: Path, monkeypatch: pytest.MonkeyPatch, models: dict[str, Any]
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:  QT5")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda title, image: shown.append(title))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: ord("q") if len(shown) == 4 else -1)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: shown.append("closed"))
    DeepFace.stream(source=str(clip), detector_backend="bright")
    assert shown == ["DeepFace"] * 4 + ["closed"]


@pytest.mark.parametrize("source", ["no/such.mp4", "", "x" * 300 + ".mp4", ".", 77])
def test_a_source_that_cannot_be_opened_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str | int
) -> None:
    """As an error in the log, as published; the command fails."""
    output = tmp_path / "out.mp4"
    DeepFace.stream(source=source, output_path=output)
    assert f"{source!r} cannot be opened" in caplog.text
    result = run("stream", "--source", str(source), "--output_path", output)
    assert result.exit_code == 1
    assert "cannot be opened" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_video_that_breaks_off_is_told(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there until then is written."""

    def broken(path: str) -> Iterator[Frame]:
        yield from islice(iter_frames(path), 10)
        raise DeepFaceError(f"{path} breaks off")

    monkeypatch.setattr(window, "iter_frames", broken)
    output = tmp_path / "out.mp4"
    result = run(
        *("stream", "--source", clip, "--output_path", output, "--detector_backend", "bright"),
        *("--enable_face_analysis", "False"),
    )
    assert result.exit_code == 1
    assert f"{clip} breaks off" in result.stderr
    assert len(list(iter_frames(output))) == 10


def test_names_that_look_like_addresses(
    clip: Path, monkeypatch: pytest.MonkeyPatch, models: dict[str, Any]
) -> None:
    folder = clip.parent / "videos"
    folder.mkdir()
    monkeypatch.chdir(folder)
    clip.rename("10:30:00.avi")
    DeepFace.stream(
        source="10:30:00.avi", detector_backend="bright", output_path="11:30:00.mp4",
        enable_face_analysis=False,
    )  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == ["10:30:00.avi", "11:30:00.mp4"]
    assert len(list(iter_frames(Path("11:30:00.mp4").absolute()))) == 30


class Camera:
    """Gives pictures of these sizes, and is gone then."""

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self.sizes = list(sizes)

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, _: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, Any]:
        if not self.sizes:
            return False, None
        return True, np.zeros((*self.sizes.pop(0), 3), np.uint8)

    def release(self) -> None:
        pass


def test_the_end_of_a_camera_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for sizes, level, text in (
        ([], "ERROR", "gives no picture"),
        ([(64, 96), (48, 96), (64, 96)], "INFO", "has ended after 3 frames"),
    ):
        camera = Camera(*sizes)
        monkeypatch.setattr(cv2, "VideoCapture", lambda _, camera=camera: camera)
        caplog.clear()
        output = tmp_path / "out.mp4"
        DeepFace.stream(
            source=0, detector_backend="bright", enable_face_analysis=False, output_path=output
        )
        assert [r.levelname for r in caplog.records if text in r.getMessage()] == [level]
        monkeypatch.undo()
        assert output.exists() == bool(sizes)
    assert len(list(iter_frames(output))) == 3  # also the one of another size


def test_ctrl_c_keeps_what_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Camera):
        def read(self) -> tuple[bool, Any]:
            if not self.sizes:
                raise KeyboardInterrupt
            return super().read()

    monkeypatch.setattr(cv2, "VideoCapture", lambda _: Interrupted(*[(48, 64)] * 5))
    output = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        DeepFace.stream(
            source=0, detector_backend="bright", enable_face_analysis=False, output_path=output
        )
    monkeypatch.undo()
    assert len(list(iter_frames(output))) == 5


def test_videos_and_faces_are_written_through_no_link(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, outside = tmp_path / "work", tmp_path / "outside"
    folder.mkdir()
    outside.write_bytes(b"not ours")
    monkeypatch.chdir(folder)
    for name in ("out.mp4", "freezed_0_0.jpg"):
        Path(name).symlink_to(outside)
    DeepFace.stream(
        source=str(clip), detector_backend="bright", output_path="out.mp4", debug=True,
        enable_face_analysis=False, frame_threshold=1,
    )  # fmt: skip
    assert outside.read_bytes() == b"not ours"
    assert {path.name for path in folder.iterdir()} >= {"out.mp4", "freezed_0_0.jpg"}
    assert not any(path.is_symlink() for path in folder.iterdir())


def test_an_output_that_cannot_be_written(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(DeepFaceError, match="does its folder exist"):
        DeepFace.stream(
            source=str(clip), detector_backend="bright", output_path=tmp_path / "no" / "out.mp4"
        )


def test_a_camera_s_password_is_not_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    address = "rtsp://me:secret@127.0.0.1:9/live?key=secret"
    DeepFace.stream(source=address, output_path=tmp_path / "out.mp4")
    assert "'rtsp://127.0.0.1:9/live?...' cannot be opened" in caplog.text
    assert "secret" not in caplog.text


def test_names_of_people_that_are_not_utf8_are_drawn_as_escapes() -> None:
    """OpenCV ends the whole process at such a text."""
    canvas = np.zeros((80, 300, 3), np.uint8)
    face = {"facial_area": {"x": 0, "y": 0, "w": 20, "h": 20}}
    marked = overlay.mark_results(canvas, [face], [["J\udcffrg"]], [None])
    assert np.array_equal(marked, overlay.mark_results(canvas, [face], [["J\\udcffrg"]], [None]))
