"""What of a folder is searched, what is left out of it and said, and what is kept for later."""

from __future__ import annotations

import encodings.cp437  # noqa: F401 - of zip files; Python's own folder may be closed to others
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepface.errors import DeepFaceError, EmptyDatasource
from deepface.images.files import list_images
from deepface.search.folder import datastore, refresh
from deepface.search.folder.scan import scan
from tests.search.folder.galleries import Embedder, same, store, write_picture


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    datastore.forget()
    yield
    datastore.forget()


def link_to_folder(path: Path) -> None:
    write_picture(path.parent.parent / "elsewhere/x.jpg", "1")
    path.with_suffix("").symlink_to(path.parent.parent / "elsewhere")


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # a socket's path is short


#: What is made under the name -> a part of what is said of it.
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "webp.jpg": (
        lambda path: path.write_bytes(b"RIFF\x24\0\0\0WEBPVP8 "),
        "content is neither JPEG nor PNG",
    ),
    "html.png": (lambda path: path.write_text("<!DOCTYPE html>"), "neither JPEG nor PNG"),
    "empty.jpg": (lambda path: path.touch(), "they are empty"),
    "EMPTY.JPEG": (lambda path: path.touch(), "they are empty"),
    "pipe.jpg": (lambda path: os.mkfifo(path), "no regular files"),
    "socket.png": (listen, "no regular files"),
    "dangling.jpg": (lambda path: path.symlink_to("nowhere"), "links to nothing"),
    "linked.jpg": (link_to_folder, "links to folders"),
    "photo.webp": (lambda path: path.write_bytes(b"RIFF"), ".jpg, .jpeg and .png only"),
    "photo.TIFF": (lambda path: path.write_bytes(b"II*\0"), ".jpg, .jpeg and .png only"),
}


@pytest.mark.parametrize("name", list(ODD))
def test_what_is_left_out_is_said_once(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, reason = ODD[name]
    folder = tmp_path / "people"
    folder.mkdir()
    monkeypatch.chdir(folder)
    make(folder / name)
    shown = str(folder / name).removesuffix(".jpg") if "linked" in name else str(folder / name)
    with pytest.raises(EmptyDatasource, match="No item found") as caught:
        refresh(store(folder), Embedder())
    assert shown in str(caught.value) and reason in str(caught.value)

    write_picture(folder / "a.jpg", "1")
    for _ in range(3):
        assert len(refresh(store(folder), Embedder(), silent=True)) == 1
    (told,) = caplog.messages
    assert shown in told and reason in told and "1 left out" in told

    caplog.clear()
    (folder / "more").mkdir()
    for number in range(9):
        (folder / f"more/{number}.jpg").touch()
    refresh(store(folder), Embedder(), silent=True)
    (told,) = caplog.messages
    assert f"{10 if 'empty' in reason else 9} left out because they are empty" in told
    assert "more/0.jpg" in told and "more/8.jpg" not in told


def test_the_walk_is_that_of_yield_images(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.png", "a/b/c.jpeg", "a.jpg", "a-b/x.JPG", "Ünï/ä b.jpg", "c/d.jpg"):
        write_picture(tmp_path / name, "1")
    write_picture(tmp_path / os.fsdecode(b"caf\xe9.jpg"), "1")
    assert list(scan(str(tmp_path), {}).files) == list_images(tmp_path)
    assert refresh(store(tmp_path), Embedder()).identity.tolist() == list_images(tmp_path)


def deny_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``os.walk`` cannot list the folder."""
    scandir = os.scandir

    def scandir_but(path: str) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_but)


def deny_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder can be listed, but not entered."""
    stat = os.stat

    def stat_but(path: str, *args: object, **kwargs: object) -> os.stat_result:
        if not isinstance(path, int) and folder in Path(path).parents:
            raise OSError(5, "Input/output error", str(path))
        return stat(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat_but)


@pytest.mark.parametrize("deny", [deny_folder, deny_files])
@pytest.mark.parametrize("where", ["sub", "sub/deeper"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_folder_that_cannot_be_read_for_a_moment(
    deny: Callable[[Path, pytest.MonkeyPatch], None],
    where: str,
    relative: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("people" if relative else tmp_path / "people")
    for name in ("a.jpg", "sub/b.jpg", "sub/deeper/c.jpg", "sub/deeper/d.jpg", "sub2/e.jpg"):
        write_picture(folder / name, "2")
    write_picture(folder / "z.jpg", "0")
    before = refresh(store(folder), Embedder(), silent=True)
    hidden = folder / where
    with monkeypatch.context() as patched:
        deny(hidden, patched)
        for changed in (False, True):  # a refresh that changes nothing, and one that does
            if changed:
                write_picture(folder / "a2.jpg", "1")
            embedder = Embedder()
            found = refresh(store(folder), embedder, silent=True)
            assert len(embedder.done) == changed
            assert not any(
                where in name.split("people")[1] + "/"
                for name in found.identity
                if Path(name).parent == hidden
            )
            assert {Path(name).name for name in found.identity} == {
                "a.jpg", "e.jpg", "z.jpg", *(["b.jpg"] if where == "sub/deeper" else []),
                *(["a2.jpg"] if changed else []),
            }  # fmt: skip
            datastore.forget()
    assert len(caplog.messages) == 1 and "cannot be read now" in caplog.text
    assert str(hidden) in caplog.text
    assert "(Permission denied)" in caplog.text or "(Input/output error)" in caplog.text
    embedder = Embedder()
    after = refresh(store(folder), embedder, silent=True)
    assert not embedder.done, "nothing is computed again"
    (folder / "a2.jpg").unlink()
    same(refresh(store(folder), embedder, silent=True), before)
    (folder / "sub/b.jpg").unlink()
    assert len(refresh(store(folder), embedder, silent=True)) == len(after) - 3


def test_a_folder_that_cannot_be_read_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "a.jpg", "1")
    refresh(store(tmp_path), Embedder())
    content = store(tmp_path).path.read_bytes()
    with monkeypatch.context() as patched:
        deny_folder(tmp_path, patched)
        with pytest.raises(DeepFaceError, match="cannot be read: Permission denied"):
            refresh(store(tmp_path), Embedder())
    assert store(tmp_path).path.read_bytes() == content


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that any user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("mode", [0o000, 0o111, 0o222, 0o333, 0o444, 0o555, 0o666])
@pytest.mark.parametrize("built", [False, True])
def test_whatever_the_rights_of_a_folder_are(mode: int, built: bool, shared_folder: Path) -> None:
    """A result, or an error that names the folder and what is missing."""
    for changed in ("people", "people/sub"):
        folder = shared_folder / "people"
        for name in ("a.jpg", "sub/b.jpg"):
            write_picture(folder / name, "1")
        expected = refresh(store(folder), Embedder()) if built else None
        datastore.forget()
        (shared_folder / changed).chmod(mode)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            found = refresh(store(folder), Embedder(), silent=True)
            names = [Path(name).name for name in found.identity]
            assert names == (["a.jpg", "b.jpg"] if mode == 0o555 else ["a.jpg"])
            assert mode == 0o555 or changed != "people"
        except DeepFaceError as error:
            assert changed == "people" and f"{folder} cannot be read" in str(error)
        finally:
            if is_root:
                os.seteuid(0)
            (shared_folder / changed).chmod(0o755)
        if expected is not None:
            same(refresh(store(folder), Embedder(0)), expected)  # nothing was lost
        shutil.rmtree(folder)


@pytest.mark.parametrize("ending", ["npz.journal", "npz.tmp", "npz.lock", "npz"])
@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_what_stands_where_a_file_is_written(
    ending: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing outside is touched, and the answer is the same, or an error that names the file."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "people"
    write_picture(folder / "a.jpg", "1")
    odd = store(folder).path.with_suffix("." + ending)
    if kind == "link":
        odd.symlink_to(victim)
    elif kind == "hard link":
        odd.hardlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.mkdir()
    embedder = Embedder()
    try:
        assert len(refresh(store(folder), embedder)) == 1
    except DeepFaceError as error:
        assert ending == "npz" and str(odd) in str(error)
    assert caplog.text.count("is not noted") == (ending == "npz.journal")
    assert victim.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] in (
        ["victim", "people"],
        ["people", "victim"],
    )
