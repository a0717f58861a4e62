"""Nothing is written through links, or into what is no regular file."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import Timeout

from deepface.runtime.safe_files import (
    create,
    locked,
    open_existing,
    open_to_append,
    replacing,
    replacing_by_name,
    write,
)

SECRET = b"not ours"


def _create(path: Path) -> None:
    with create(path) as file:
        file.write(b"new")


def _append(path: Path) -> None:
    with open_to_append(path) as file:
        file.write(b"new")


def _change(path: Path) -> None:
    with open_existing(path, "r+b") as file:
        file.truncate(0)


def _lock(path: Path) -> None:
    with locked(path, timeout=0):
        pass


WRITES: list[Callable[[Path], None]] = [
    _create,
    _append,
    _change,
    _lock,
    lambda path: write(path, b"new"),
]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "file"


@pytest.mark.parametrize("do", WRITES)
def test_links_lead_nowhere(do: Callable[[Path], None], outside: Path, place: Path) -> None:
    dangling = outside.with_name("dangling")
    makers: list[Callable[[], None]] = [
        lambda: place.symlink_to(outside),
        lambda: place.symlink_to(dangling),
        lambda: place.hardlink_to(outside),
    ]
    for make in makers:
        make()
        try:
            do(place)
        except OSError as error:
            assert error.filename == str(place)
        assert outside.read_bytes() == SECRET
        assert not dangling.exists()
        place.unlink(missing_ok=True)


@pytest.mark.parametrize("do", WRITES)
def test_only_regular_files_are_touched(do: Callable[[Path], None], place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        makers: list[Callable[[], None]] = [
            lambda: os.mkfifo(place),
            place.mkdir,
            lambda: server.bind(os.path.relpath(place)),
        ]
        for make in makers:
            make()
            before = place.lstat()
            with pytest.raises(OSError, match="is no regular file") as raised:
                do(place)
            assert raised.value.filename == str(place)
            assert os.path.samestat(place.lstat(), before)
            assert [path.name for path in place.parent.iterdir()] == ["file"]
            place.rmdir() if place.is_dir() else place.unlink()


def test_new_files_and_what_they_replace(place: Path) -> None:
    write(place, b"first")
    with pytest.raises(KeyboardInterrupt), replacing(place) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert place.read_bytes() == b"first"
    with replacing(place) as file:
        file.write(b"second")
        file.flush()
        assert place.read_bytes() == b"first"
    assert place.read_bytes() == b"second"
    mask = os.umask(0)
    os.umask(mask)
    assert place.stat().st_mode & 0o777 == 0o666 & ~mask
    with create(place) as file:
        assert place.read_bytes() == b""
        file.write(b"third")
        file.seek(0)
        assert file.read() == b"third"
    assert [path.name for path in place.parent.iterdir()] == ["file"]


def test_a_name_for_libraries_that_open_files_themselves(place: Path) -> None:
    video = place.with_suffix(".mp4")
    with replacing_by_name(video) as name:
        assert name.suffix == ".mp4" and name.parent == place.parent
        name.write_bytes(b"frames")
        assert not video.exists()
    assert video.read_bytes() == b"frames"
    assert [path.name for path in place.parent.iterdir()] == ["file.mp4"]


def test_names_of_the_longest_length(place: Path) -> None:
    longest = place.with_name("n" * os.pathconf(place.parent, "PC_NAME_MAX"))
    write(longest, b"content")
    assert longest.read_bytes() == b"content"


def test_what_is_appended_comes_behind(place: Path) -> None:
    for count in (1, 2):
        with open_to_append(place) as file:
            file.write(b"line\n")
            assert place.read_bytes() == count * b"line\n"
    with open_existing(place, "rb") as file:
        assert file.readline() == b"line\n"
    with pytest.raises(FileNotFoundError):
        open_existing(place.with_name("absent"), "r+b")


def test_a_lock_is_one_and_leaves_nothing(place: Path) -> None:
    with locked(place), pytest.raises(Timeout), locked(place, timeout=0):
        pass
    assert not list(place.parent.iterdir())
    counter = [0]

    def count() -> None:
        for _ in range(8):
            with locked(place):
                before = counter[0]
                threading.Event().wait(0.0005)
                counter[0] = before + 1

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter == [24]
    assert not list(place.parent.iterdir())


def test_a_lock_is_let_go_of_in_another_thread(place: Path) -> None:
    """As happens to a generator that is closed where it was not begun."""
    lock = locked(place)
    lock.__enter__()
    thread = threading.Thread(target=lock.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with locked(place, timeout=0):
        pass
