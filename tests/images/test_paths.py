"""Whatever a string or path names: one failed item in a stream, an error of ours elsewhere."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface import DeepFace
from deepface.errors import DataTypeError, DeepFaceError
from deepface.images.files import list_images, named_as_images
from deepface.images.load import load_image
from deepface.images.paths import open_file
from deepface.images.sources import open_sources
from deepface.images.video import iter_frames
from deepface.pipeline import FacePipeline
from tests.images.pictures import encoded, picture

PNG = encoded(picture())


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


#: What can be where a file is expected, and what must be said of it.
THINGS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda path: None, "Confirm that"),
    "a folder": (lambda path: path.mkdir(), "it is a folder"),
    "a pipe": (os.mkfifo, "it is a pipe"),
    "a socket": (_socket, "it is a socket"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    "a dead link": (lambda path: path.symlink_to("nowhere"), "it is a link to nothing"),
    "a circle": (lambda path: path.symlink_to(path), "symbolic links"),
    "below a file": (lambda path: path.parent.write_bytes(PNG), "Confirm that"),
}
#: Strings that name nothing on the disk.
STRINGS = {
    "": "an empty string",
    "x" * 300: "File name too long",
    "x" * 100_000: "must start with data:image/",
    "a\0b": "Confirm that",
    "rtsp://me:secret@camera/1": "rtsp:// is no address",
    "RTSP://me:secret@camera/1": "rtsp:// is no address",
    "file:///etc/hosts": "file:// is no address of a file here: pass its path",
    "s3://bucket/a": "s3:// is no address",
    "a\nb\x1b[31m\u202e": "Confirm that",
    os.fsdecode(b"a\xff\xfe"): "Confirm that",
}


def check(source: str | Path, fragment: str) -> None:
    """The same failure by every way in, in its own place."""
    doors: list[Callable[[], object]] = [
        lambda: load_image(source),
        lambda: DeepFace.extract_faces(source, detector_backend="skip"),  # type: ignore[arg-type]
        lambda: DeepFace.extract_faces([source], detector_backend="skip"),
        lambda: open_file(os.fspath(source)),
        lambda: next(iter_frames(source)),
    ]
    for door in doors:
        with pytest.raises(DeepFaceError) as caught:
            door()
        message = str(caught.value)
        assert fragment in message
        assert message.isprintable() and "secret" not in message
    items = list(FacePipeline("skip").stream([PNG, source, PNG], on_error="yield"))
    assert [len(item.faces) for item in items] == [1, 0, 1]
    assert fragment in str(items[1].error) and str(items[1].error).isprintable()
    assert [item.index for item in items] == [0, 1, 2]


@pytest.mark.parametrize("suffix", ["", ".jpg", ".mp4", ".MTS"])
@pytest.mark.parametrize("text", STRINGS)
def test_strings_that_name_no_file(text: str, suffix: str) -> None:
    check(text + suffix if text else text, STRINGS[text])


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("suffix", ["", ".jpg", ".mp4"])
@pytest.mark.parametrize("thing", THINGS)
def test_what_is_no_file(
    thing: str, suffix: str, kind: Callable[[Path], Any], tmp_path: Path
) -> None:
    make, fragment = THINGS[thing]
    path = tmp_path / "below" / f"x{suffix}"
    if thing != "below a file":
        path.parent.mkdir()
    make(path)
    if thing == "a folder" and suffix != ".jpg":  # which is a source of its own
        assert list(open_sources([path])) == []
        return
    check(kind(path), fragment)


@contextmanager
def nobody() -> Iterator[None]:
    """As a user without rights, if this one has them all."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("suffix", ["", ".jpg", ".mp4"])
def test_what_may_not_be_read(suffix: str) -> None:
    check(PNG_ELSEWHERE, "Confirm that")  # imports what it needs
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        top.chmod(0o755)
        for name, mode in (("closed", 0), ("blind", 0o311), ("open", 0o755)):
            (top / name).mkdir()
            (top / name / f"x{suffix}").write_bytes(PNG)
            (top / name / f"x{suffix}").chmod(0)
            (top / name).chmod(mode)
        with nobody():
            for name in ("closed", "blind", "open"):
                check(top / name / f"x{suffix}", "Permission denied")
            assert list_images(top / "closed") == list_images(top / "open") == []
            for name in ("closed", "blind"):  # a folder that cannot be listed is a failed item
                items = list(FacePipeline("skip").stream([PNG, top / name], on_error="yield"))
                assert [len(item.faces) for item in items] == [1, 0]
                assert "Permission denied" in str(items[1].error)
            with pytest.raises(ValueError, match="Permission denied"):
                list(FacePipeline("skip").stream(top / "closed"))
        (top / "closed").chmod(0o700)


PNG_ELSEWHERE = "no such file.png"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with two pictures, and what is none although its name says so."""
    folder = tmp_path / "mixed"
    (folder / "below").mkdir(parents=True)
    for name in ("a.png", "below/b.PNG", "c.webp", "below/d.mp4", "below/e.MTS", "f.txt"):
        (folder / name).write_bytes(PNG)
    os.mkfifo(folder / "pipe.jpg")
    _socket(folder / "socket.png")
    (folder / "device.jpeg").symlink_to("/dev/zero")
    (folder / "linked").symlink_to(tmp_path)
    return folder


def test_only_regular_files_of_a_folder_count(
    mixed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = [str(mixed / "a.png"), str(mixed / "below" / "b.PNG")]
    for walk in (list_images, named_as_images):
        assert list(walk(mixed)) == expected
        for name, kind in (("pipe", "a pipe"), ("socket", "a socket"), ("device", "a device")):
            assert name in caplog.text and f"it is {kind}, not a file" in caplog.text
        assert "left out in the folder" not in caplog.text
        caplog.clear()
    assert [item.source for item in FacePipeline("skip").stream(mixed)] == expected
    for what in ("1 .mp4", "1 .mts", "1 .webp", "1 linked folders"):
        assert what in caplog.text
    assert "txt" not in caplog.text


def test_a_folder_without_a_picture_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert list(FacePipeline("skip").stream(tmp_path)) == []
    assert f"no picture (.jpg, .jpeg, .png) in the folder {tmp_path}" in caplog.text


def test_a_link_to_nothing_in_a_folder_is_a_failed_item(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("nowhere")
    (item,) = FacePipeline("skip").stream(tmp_path, on_error="yield")
    assert "it is a link to nothing" in str(item.error)


def test_names_are_kept_and_shown_on_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [b"a\nb\x1b[31m.jpg", b"\xff\xfe.jpg", "\u202egpj.exe.jpg".encode()]
    paths = [os.path.join(os.fsencode(tmp_path), name) for name in names]  # noqa: PTH118
    for path in paths:
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(encoded(picture(), ".jpg")[:-100])
    items = list(FacePipeline("skip").stream(tmp_path))
    assert sorted(os.fsencode(item.source) for item in items) == sorted(paths)
    assert len(caplog.records) == 3  # they are truncated
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize("says", [5, None, RuntimeError("broken")])
def test_a_path_object_that_cannot_say_it_costs_one_item(says: object) -> None:
    class Odd:
        def __fspath__(self) -> object:
            if isinstance(says, Exception):
                raise says
            return says

    black = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(DataTypeError, match=r"item 1 \(Odd\): img must be"):
        DeepFace.extract_faces([black, Odd()], "skip")
    errors = [item.error for item in FacePipeline("skip").stream([black, Odd()], on_error="yield")]
    assert [type(error) for error in errors] == [type(None), DataTypeError]
