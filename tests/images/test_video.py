"""Video files as pictures, and folders and videos among the sources of a stream."""

from __future__ import annotations

import os
import re
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepface import DeepFace
from deepface.errors import DeepFaceError, ImageTooLarge, ImgNotFound
from deepface.images.sources import open_sources
from deepface.images.video import is_video, iter_frames
from deepface.pipeline import FacePipeline
from deepface.types import Image
from tests.data import data
from tests.images.pictures import encoded, picture

RATE = 10.0


def shades(count: int) -> list[Image]:
    return [np.full((48, 64, 3), 20 * n, np.uint8) for n in range(count)]


def written(path: Path, code: str) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), RATE, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no such video")
    for frame in shades(10):
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten grey frames, each lighter than the one before."""
    return written(tmp_path / "clip.avi", "MJPG")


@pytest.mark.parametrize("every", [1, 3, 10, 99])
def test_every_nth_frame_with_its_time(clip: Path, every: int) -> None:
    frames = list(iter_frames(clip, every))
    assert [frame.number for frame in frames] == list(range(0, 10, every))
    for frame in frames:
        assert abs(frame.pixels.mean() - 20 * frame.number) < 2
        assert abs(frame.seconds - frame.number / RATE) < 1e-3
        assert frame.name == f"{clip}#{frame.number}"


def test_what_is_a_video() -> None:
    assert is_video("a/b.MP4")
    assert is_video(Path("clip.webm"))
    for suffix in ("3gp", "mts", "ogv", "m2ts", "M4V", "wmv"):
        assert is_video(f"a.{suffix}")
    assert not is_video("a.jpg")
    assert not is_video(picture())


def test_unreadable_videos(tmp_path: Path) -> None:
    with pytest.raises(ImgNotFound, match=r"no\.mp4 exists"):
        next(iter_frames(tmp_path / "no.mp4"))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DeepFaceError, match="no video that OpenCV can read"):
        next(iter_frames(tmp_path / "bad.mp4"))
    with pytest.raises(ValueError, match="every must be at least 1"):
        next(iter_frames(tmp_path / "bad.mp4", 0))


@pytest.mark.parametrize("name", ["10:30:00.mp4", "file:a.mp4", "a%03d.mp4", "concat:a|b.mp4"])
def test_names_that_ffmpeg_would_take_for_something_else(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "x.mp4", "mp4v").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    frames = list(iter_frames(name))
    assert [frame.name for frame in frames] == [f"{name}#{number}" for number in range(10)]


@pytest.mark.parametrize("kept", [3, 7])
def test_a_video_that_is_cut_off_says_so(
    clip: Path, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(list(iter_frames(clip))) == 10
    assert not caplog.records
    content = clip.read_bytes()
    starts = [found.start() for found in re.finditer(b"00dc", content)]
    clip.write_bytes(content[: starts[kept]])
    count = len(list(iter_frames(clip)))
    assert 0 < count <= kept
    assert f"{clip} ends after {count} frames of 10 or so" in caplog.text


def test_frames_obey_the_limit_on_pixels(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_PIXELS", str(64 * 48))
    assert len(list(iter_frames(clip))) == 10
    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_PIXELS", str(64 * 48 - 1))
    with pytest.raises(ImageTooLarge, match="64 x 48"):
        next(iter_frames(clip))
    (item,) = FacePipeline("skip").stream(clip, on_error="yield")
    assert item.source == str(clip) and isinstance(item.error, ImageTooLarge)


def test_a_frame_larger_than_the_video_says(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size in an AVI file's header is not that of the JPEG pictures in it."""
    content = clip.read_bytes()
    size, lie = struct.pack("<II", 64, 48), struct.pack("<II", 16, 16)
    assert content.count(size) >= 2
    clip.write_bytes(content.replace(size, lie))
    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_PIXELS", str(64 * 48 - 1))
    with pytest.raises(ImageTooLarge, match="64 x 48"):
        list(iter_frames(clip))


def test_a_picture_named_as_a_video_obeys_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suffix in (".png", ".jpg", ".bmp"):
        (tmp_path / "1.avi").write_bytes(encoded(picture(), suffix))
        monkeypatch.setenv("DEEPFACE_MAX_IMAGE_PIXELS", str(32 * 24 - 1))
        with pytest.raises(DeepFaceError, match=r"limit|no video"):
            list(iter_frames(tmp_path / "1.avi"))


def test_a_stream_of_a_video(clip: Path) -> None:
    items = list(FacePipeline("skip", batch_size=3).stream(str(clip), every=2))
    assert [item.index for item in items] == [0, 1, 2, 3, 4]
    assert [item.source for item in items] == [f"{clip}#{n}" for n in range(0, 10, 2)]
    assert [item.seconds for item in items] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=1e-3)
    assert all(len(item.faces) == 1 for item in items)


def test_folders_and_videos_among_pictures(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    (folder / "a.png").write_bytes(encoded(picture()))
    (folder / "below" / "b.jpg").write_bytes(encoded(picture(), ".jpg"))
    (folder / "notes.txt").write_text("no picture")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    sources = [picture(), folder, bad, clip, folder / "a.png"]
    items = list(FacePipeline("skip").stream(sources, on_error="yield", every=5))
    assert [item.source for item in items] == [
        "numpy array",
        str(folder / "a.png"),
        str(folder / "below" / "b.jpg"),
        str(bad),
        f"{clip}#0",
        f"{clip}#5",
        str(folder / "a.png"),
    ]
    assert [item.index for item in items if item.error is not None] == [3]
    assert "no video that OpenCV can read" in str(items[3].error)
    assert [item.source for item in FacePipeline("skip").stream(folder)] == [
        str(folder / "a.png"),
        str(folder / "below" / "b.jpg"),
    ]


def test_any_iterable_is_a_source() -> None:
    one, two = picture(seed=1), picture(seed=2)
    pipeline = FacePipeline("skip")
    for sources in ({"a": one, "b": two}.values(), (one, two), iter([one, two]), [one, two]):
        assert len(list(pipeline.stream(sources))) == 2
    assert len(list(pipeline.stream(np.stack([one, two])))) == 2
    for single in (one, encoded(one)):
        assert len(list(pipeline.stream(single))) == 1


def test_a_broken_file_of_a_folder_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    (tmp_path / "b.jpg").write_bytes(b"garbage")
    (tmp_path / "c.png").write_bytes(encoded(picture()))
    items = list(FacePipeline("skip").stream(tmp_path, on_error="yield"))
    assert [len(item.faces) for item in items] == [1, 0, 1]
    assert "Failed to decode image" in str(items[1].error)


def test_pictures_are_not_looked_up_to_learn_whether_they_are_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def is_dir(path: str) -> bool:
        asked.append(path)
        return False

    monkeypatch.setattr(os.path, "isdir", is_dir)
    opened = open_sources(["a.jpg", "b.PNG", "notes"])
    assert opened.total == 3
    assert asked == ["notes"]


def test_how_many_come_is_known_where_it_can_be(clip: Path, tmp_path: Path) -> None:
    assert open_sources([picture()] * 3).total == 3
    assert open_sources(np.zeros((4, 8, 8, 3), np.uint8)).total == 4
    assert open_sources(picture()).total == 1
    for several in (clip, [clip, picture()], tmp_path, iter([picture()])):
        assert open_sources(several).total is None


def test_faces_of_a_real_video() -> None:
    path = data("images", "video", "ageitgey_short_hamilton_clip.mp4")
    items = list(FacePipeline(enforce_detection="empty").stream(path, every=30))
    assert len(items) == 10
    assert any(item.faces for item in items)
    seconds = [item.seconds for item in items]
    assert seconds == sorted(seconds)  # type: ignore[type-var]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("where", ["name", "folder"])
def test_names_that_are_not_utf8_are_told_of(clip: Path, tmp_path: Path, where: str) -> None:
    """OpenCV ends the whole process at one."""
    name, folder = (b"\xff.avi", b"") if where == "name" else (b"clip.avi", b"\xff")
    path = tmp_path / "x" / os.fsdecode(folder) / os.fsdecode(name)
    path.parent.mkdir(parents=True)
    clip.rename(path)
    for source in (str(path), path, [str(path)], [path]):
        (item,) = FacePipeline("skip").stream(source, on_error="yield")
        assert isinstance(item.error, DeepFaceError) and "not UTF-8" in str(item.error)
    with pytest.raises(DeepFaceError, match="not UTF-8"):
        DeepFace.stream(
            source=str(path), output_path=str(tmp_path / "o.mp4"), enable_face_analysis=False
        )
    with pytest.raises(DeepFaceError, match="not UTF-8"):
        DeepFace.stream(source="rtsp://127.0.0.1/\udcff", output_path=str(tmp_path / "o.mp4"))
