"""The file of a gallery: formats, damage, signatures, and folders that cannot be written to."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import DeepFaceError, DimensionMismatchError
from deepface.search.folder import Datastore, Gallery, GalleryPicture, datastore, formats, refresh
from deepface.search.folder.signature import signer
from tests.interleaved import at_once
from tests.search.folder.galleries import (
    DIMENSIONS,
    NAME,
    Credentials,
    Embedder,
    faces_of,
    same,
    store,
    write_picture,
)

KINDS = [
    "npz",
    *(
        pytest.param(kind, marks=pytest.mark.skipif(missing, reason="needs pyarrow"))
        for missing in [not __import__("importlib.util").util.find_spec("pyarrow")]
        for kind in ("feather", "parquet")
    ),
]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Each test reads from disk what it has written."""
    datastore.forget()
    yield
    datastore.forget()


def gallery(folder: Path | str) -> Gallery:
    """Two faces, none, one; a name with more than ASCII."""
    return Gallery.of(
        [
            GalleryPicture(f"{folder}/a b.jpg", "1" * 40, faces_of(b"\xff\xd8\xff\xe02")),
            GalleryPicture(f"{folder}/sub/ü漢.png", "2" * 40, []),
            GalleryPicture(f"{folder}/z.jpeg", "3" * 40, faces_of(b"\xff\xd8\xff\xe01")),
        ]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_loaded(kind: str, tmp_path: Path) -> None:
    saved = gallery(tmp_path)
    assert saved.embedding.dtype == np.float32
    store(tmp_path, kind).save(saved)
    datastore.forget()
    loaded = store(tmp_path, kind).load()
    same(loaded, saved)
    assert loaded.embedding.dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.{kind}"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pictures", [[], [GalleryPicture("a.jpg", "1", [])]])
def test_no_faces_at_all(kind: str, pictures: list[GalleryPicture], tmp_path: Path) -> None:
    store(tmp_path, kind).save(Gallery.of(pictures))
    datastore.forget()
    assert len(store(tmp_path, kind).load()) == len(pictures)


def test_numbers_that_float32_cannot_hold_are_kept(tmp_path: Path) -> None:
    exact = np.full((1, DIMENSIONS), 1 / 3)
    saved = Gallery(
        np.array(["a"]), np.array(["b"]), np.zeros((1, 4), int), exact, np.ones(1, bool)
    )
    store(tmp_path).save(saved)
    datastore.forget()
    np.testing.assert_array_equal(store(tmp_path).load().embedding, exact)


def test_the_published_layout(tmp_path: Path) -> None:
    """Arrays as version 0.0.103 writes and expects them."""
    store(tmp_path).save(gallery(tmp_path))
    arrays = np.load(tmp_path / f"{NAME}.npz", allow_pickle=False)
    published = {"identity", "hash", "embedding", "has_embedding", *formats.AREA}
    assert published < set(arrays)
    assert arrays["embedding"].dtype == np.float64
    assert arrays["embedding"].shape == (4, DIMENSIONS)
    assert arrays["has_embedding"].tolist() == [True, True, False, True]
    assert all(arrays[name].dtype == np.int64 for name in formats.AREA)
    np.savez(tmp_path / f"{NAME}.npz", **{name: arrays[name] for name in published})
    datastore.forget()
    same(store(tmp_path).load(), gallery(tmp_path))


def test_a_gallery_is_read_once(tmp_path: Path) -> None:
    store(tmp_path).save(gallery(tmp_path))
    datastore.forget()
    first = store(tmp_path).load()
    assert store(tmp_path).load() is first
    store(tmp_path).path.touch()
    assert store(tmp_path).load() is not first


def test_only_some_galleries_are_kept(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        folder.mkdir()
        store(folder).save(gallery(folder))
    held = [store(folder).load() for folder in folders]
    newest_first = [*zip(folders, held, strict=True)][::-1]
    kept = [store(folder).load() is one for folder, one in newest_first]
    assert kept[0] and not kept[-1] and kept == sorted(kept, reverse=True), "the last ones"


def test_threads_keep_galleries_at_the_same_time(tmp_path: Path) -> None:
    stores = [store(tmp_path / str(number)) for number in range(8)]
    for kept in stores:
        kept.path.parent.mkdir()
        kept.save(Gallery.of([]))

    def load(number: int) -> None:
        for step in range(10):
            assert not len(stores[(number + step) % 8].load().identity)

    at_once(load, datastore)


@pytest.mark.parametrize("change", ["moved", "linked", "relative"])
def test_a_folder_by_another_path(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    write_picture(folder / "sub/a.jpg", "1")
    refresh(store(folder), Embedder())
    other: Path | str = tmp_path / "there"
    if change == "moved":
        folder.rename(other)
    elif change == "linked":
        Path(other).symlink_to(folder)
    else:
        monkeypatch.chdir(tmp_path)
        other = os.path.join(".", "here")  # noqa: PTH118
    embedder = Embedder()
    found = refresh(store(other), embedder)
    assert not embedder.done
    assert found.identity.tolist() == [os.path.join(other, "sub/a.jpg")]  # noqa: PTH118


def write_columns(path: Path, **columns: Any) -> None:
    """An npz file with one row of zeros, but for some columns."""
    arrays: dict[str, Any] = {
        "identity": np.array(["a.jpg"]),
        "hash": np.array(["1"]),
        "embedding": np.zeros((1, DIMENSIONS)),
        "has_embedding": np.ones(1, bool),
        **{name: np.zeros(1, int) for name in formats.AREA},
        **columns,
    }
    with path.open("wb") as file:
        np.savez(file, **arrays)


DAMAGES: dict[str, tuple[Any, str]] = {
    "empty": (lambda path: path.write_bytes(b""), "no npz file"),
    "garbage": (lambda path: path.write_bytes(b"garbage" * 99), "no npz file"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "no npz file"),
    "damaged inside": (
        lambda path: path.write_bytes(path.read_bytes().replace(b"\x93NUMPY", b"\x93NUNPY")),
        "cannot be used",
    ),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps([{}])), "no npz file"),
    "a pickled array": (
        lambda path: write_columns(path, embedding=np.array([{}], dtype=object)),
        "allow_pickle",
    ),
    "other columns": (lambda path: np.savez(path.open("wb"), a=np.ones(1)), "has_embedding"),
    "lengths": (
        lambda path: write_columns(path, hash=np.array(["1", "2"])),
        "its columns differ in length",
    ),
    "not finite": (
        lambda path: write_columns(path, embedding=np.full((1, DIMENSIONS), np.nan)),
        "not finite",
    ),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_damage_is_an_error_that_changes_nothing(damage: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", "1")
    refresh(store(tmp_path), Embedder())
    path = store(tmp_path).path
    spoil, message = DAMAGES[damage]
    spoil(path)
    content = path.read_bytes()
    with pytest.raises(DeepFaceError, match=message) as caught:
        refresh(store(tmp_path), Embedder())
    assert str(path) in str(caught.value)
    assert "Consider to delete it" in str(caught.value)
    assert path.read_bytes() == content
    path.unlink()
    assert len(refresh(store(tmp_path), Embedder())) == 1


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("content", [b"", b"garbage" * 99, None])
def test_damaged_tables(kind: str, content: bytes | None, tmp_path: Path) -> None:
    store(tmp_path, kind).save(gallery(tmp_path))
    path = store(tmp_path, kind).path
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    with pytest.raises(DeepFaceError, match=f"it is no {kind} file, or a part of one"):
        store(tmp_path, kind).load()


def test_another_model(tmp_path: Path) -> None:
    store(tmp_path).save(gallery(tmp_path))
    with pytest.raises(
        DimensionMismatchError, match="has vectors of 8 dimensions, but the model's"
    ):
        datastore.forget()
        Datastore(str(tmp_path), NAME, "npz", 512).load()
    store(tmp_path).path.rename(tmp_path / "ds_model_other.npz")
    with pytest.raises(DeepFaceError, match=f"was made as {NAME}, with another model"):
        Datastore(str(tmp_path), "ds_model_other", "npz", DIMENSIONS).load()


def test_mixed_dimensions() -> None:
    faces = faces_of(b"\xff\xd8\xff\xe01")
    shorter = [face._replace(embedding=face.embedding[:4]) for face in faces]
    pictures = [GalleryPicture("a.jpg", "1", faces), GalleryPicture("b.jpg", "2", shorter)]
    with pytest.raises(DimensionMismatchError, match="of 4 and of 8 dimensions"):
        Gallery.of(pictures)
    with pytest.raises(DimensionMismatchError, match="of 4 and of 8 dimensions"):
        Gallery.joined([Gallery.of(pictures[:1]), Gallery.of(pictures[1:])])


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown datastore_format 'pkl'; use one of npz, feather"):
        store(tmp_path, "pkl")


def test_formats_without_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"need pyarrow \(.*\): pip install pyarrow"):
        store(tmp_path, "feather")


class TestSignatures:
    def test_who_has_the_key_uses_and_refreshes_it(self, tmp_path: Path) -> None:
        key = Credentials("key")
        for number in range(3):
            write_picture(tmp_path / f"{number}.jpg", "1")
            assert len(refresh(store(tmp_path, credentials=key), Embedder())) == number + 1
        verifier = Credentials("key", private=False)
        assert len(refresh(store(tmp_path, credentials=verifier), Embedder())) == 3

    def test_who_has_not_does_not(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "0.jpg", "1")
        refresh(store(tmp_path, credentials=Credentials("key")), Embedder())
        with pytest.raises(DeepFaceError, match="no longer fits its signature"):
            store(tmp_path, credentials=Credentials("other")).load()
        content = store(tmp_path).path.read_bytes()
        embedder = Embedder()
        for _ in range(2):  # with a change and without one
            for use in (store(tmp_path).load, lambda: refresh(store(tmp_path), embedder)):
                with pytest.raises(DeepFaceError, match="Credentials not provided"):
                    use()
            write_picture(tmp_path / "1.jpg", "1")
        assert not embedder.done, "it is said before the work, not after"
        with pytest.raises(ValueError, match="private key"):
            refresh(store(tmp_path, credentials=Credentials("key", private=False)), Embedder())
        assert store(tmp_path).path.read_bytes() == content
        store(tmp_path).path.unlink()
        for _ in range(2):  # the signature of what is no more signs nothing
            assert len(refresh(store(tmp_path), Embedder())) == 2
            datastore.forget()

    def test_what_was_changed_is_refused(self, tmp_path: Path) -> None:
        store(tmp_path, credentials=Credentials("key")).save(gallery(tmp_path))
        path = store(tmp_path).path
        path.write_bytes(path.read_bytes().replace(b"a\0\0\0 \0\0\0b", b"a\0\0\0 \0\0\0c"))
        with pytest.raises(DeepFaceError, match="no longer fits its signature"):
            store(tmp_path, credentials=Credentials("key")).load()
        path.with_name(f"{path.name}.ldsa").unlink()
        with pytest.raises(DeepFaceError, match="has no signature"):
            store(tmp_path, credentials=Credentials("key")).load()

    def test_cut_off_between_the_two_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = Credentials("key")
        write_picture(tmp_path / "0.jpg", "1")
        refresh(store(tmp_path, credentials=key), Embedder())
        replace = Path.replace

        def cut_off(self: Path, target: Path) -> Path:
            if target.suffix == ".npz":
                raise KeyboardInterrupt
            return replace(self, target)

        for number in (1, 2):  # twice in a row
            write_picture(tmp_path / f"{number}.jpg", "1")
            with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
                patched.setattr(Path, "replace", cut_off)
                refresh(store(tmp_path, credentials=key), Embedder())
            assert len(store(tmp_path, credentials=key).load()) == 1
        assert len(refresh(store(tmp_path, credentials=key), Embedder())) == 3

    def test_with_the_package(self, tmp_path: Path) -> None:
        lightdsa = pytest.importorskip("lightdsa")
        key = lightdsa.LightDSA(algorithm_name="eddsa")
        store(tmp_path, credentials=key).save(gallery(tmp_path))
        same(store(tmp_path, credentials=key).load(), gallery(tmp_path))
        with pytest.raises(DeepFaceError, match="no longer fits its signature"):
            store(tmp_path, credentials=lightdsa.LightDSA(algorithm_name="eddsa")).load()

    def test_a_dict_makes_the_key_that_is_in_it(self, tmp_path: Path) -> None:
        lightdsa = pytest.importorskip("lightdsa")
        key = lightdsa.LightDSA(algorithm_name="eddsa")
        keys = key.dsa.keys
        store(tmp_path, credentials=key).save(gallery(tmp_path))
        for more in (keys, {"public_key": keys["public_key"]}, {"keys": keys}):
            made = signer({"algorithm_name": "eddsa", **more})
            same(store(tmp_path, credentials=made).load(), gallery(tmp_path))

    def test_importing_the_package_changes_nothing_else(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That import lifts Python's limit of digits, for the whole process."""
        lightdsa = pytest.importorskip("lightdsa")
        key = lightdsa.LightDSA(algorithm_name="eddsa")
        monkeypatch.delitem(sys.modules, "lightdsa")
        before = sys.get_int_max_str_digits()
        try:
            sys.set_int_max_str_digits(4300)
            signer({"algorithm_name": "eddsa", **key.dsa.keys})
            assert sys.get_int_max_str_digits() == 4300
        finally:
            sys.set_int_max_str_digits(before)


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder with a picture that this process, for the time being, cannot write to."""
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which others cannot reach
    write_picture(folder / "a.jpg", "1")
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
def test_a_folder_that_cannot_be_written_to(
    read_only: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Embedder()
    for _ in range(2):
        assert len(refresh(store(read_only), embedder)) == 1
    assert len(embedder.done) == 1, "the second call takes it from memory"
    assert "cannot be written (Permission denied): the gallery is kept in memory" in caplog.text
    assert [path.name for path in read_only.iterdir()] == ["a.jpg"]


def test_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_picture(tmp_path / "a.jpg", "1")
    refresh(store(tmp_path), Embedder())
    content = store(tmp_path).path.read_bytes()
    write_picture(tmp_path / "b.jpg", "1")
    with monkeypatch.context() as patched:
        patched.setattr(formats, "write", full_disk)
        assert len(refresh(store(tmp_path), Embedder())) == 2
    assert "No space left on device" in caplog.text
    assert store(tmp_path).path.read_bytes() == content
    assert not list(tmp_path.glob("*.tmp"))
    datastore.forget()
    embedder = Embedder()
    assert len(refresh(store(tmp_path), embedder)) == 2
    assert not embedder.done, "what was done is in the journal"


def full_disk(*_: Any) -> None:
    raise OSError(28, "No space left on device")
