"""Keeping a gallery up to date: any changes in any order, builds that are cut off, processes."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deepface.errors import EmptyDatasource
from deepface.search.folder import Gallery, datastore, refresh
from deepface.search.folder.scan import file_hash
from tests.search.folder.galleries import NAME, Embedder, same, store, write_picture

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    datastore.forget()
    yield
    datastore.forget()


def fresh_build(folder: Path) -> Gallery:
    """What a build from nothing gives, in a datastore of another name."""
    other = datastore.Datastore(str(folder), "ds_fresh", "npz", 8)
    try:
        return refresh(other, Embedder())
    finally:
        for path in folder.glob("ds_fresh*"):
            path.unlink()


class Folder:
    """A folder that changes at random, and the files that each refresh has to embed."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.random = random.Random(seed)
        self.number = 0
        path.mkdir()

    def change(self) -> None:
        pictures = sorted(self.path.rglob("*.jpg"))
        kinds = ["add", "change", "move", "delete", "rename", "swap", "touch", "other", "folder"]
        kind = self.random.choice(kinds) if len(pictures) > 1 else "add"
        if kind in ("add", "other"):
            self.write(self.new_path(".jpg" if kind == "add" else ".txt"))
            return
        picture, other = self.random.sample(pictures, 2)
        if kind == "change":
            self.write(picture)
        elif kind == "move":
            target = self.new_path(".jpg")
            target.parent.mkdir(exist_ok=True)
            picture.rename(target)
        elif kind == "delete":
            picture.unlink()
        elif kind == "rename":
            picture.rename(picture.with_name(f"renamed{self.number}.jpg"))
        elif kind == "swap":
            picture.rename(self.path / "aside")
            other.rename(picture)
            (self.path / "aside").rename(other)
        elif kind == "touch":
            picture.touch()
        else:
            for folder in [path for path in self.path.iterdir() if path.is_dir()]:
                folder.rename(folder.with_name(f"folder{self.number}"))
                break
        self.number += 1

    def new_path(self, ending: str) -> Path:
        self.number += 1
        folder = self.random.choice(["", "a", "b"])
        return self.path / folder / f"{self.random.randrange(1000)}-{self.number}{ending}"

    def write(self, path: Path) -> None:
        self.number += 1
        write_picture(path, f"{self.random.choice([0, 1, 1, 1, 3])} picture {self.number}")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["npz", "feather"])
def test_always_as_a_fresh_build(seed: int, kind: str, tmp_path: Path) -> None:
    if kind == "feather":
        pytest.importorskip("pyarrow")
    folder = Folder(tmp_path / "pictures", seed)
    known: dict[str, str | None] = {}
    for _ in range(12):
        for _ in range(folder.random.randrange(5)):
            folder.change()
        paths = [str(path) for path in folder.path.rglob("*.jpg")]
        if not paths:
            continue
        embedder = Embedder(limit=folder.random.choice([None, None, 0, 1, 2]))
        changed = {path for path in paths if known.get(path) != file_hash(path)}
        try:
            found = refresh(store(folder.path, kind), embedder, silent=True)
        except KeyboardInterrupt:
            known.update((path, file_hash(path)) for path in embedder.done)
            continue
        finally:
            if folder.random.random() < 0.5:
                datastore.forget()
        assert set(embedder.done) == changed, "each change is embedded once, and nothing else"
        same(found, fresh_build(folder.path))
        known = {path: file_hash(path) for path in paths}
        datastore.forget()
        same(store(folder.path, kind).load(), found)


def test_messages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in "abc":
        write_picture(tmp_path / f"{name}.jpg", "2")
    refresh(store(tmp_path), Embedder())
    assert "Found 3 newly added image(s), 0 removed image(s), 0 replaced image(s)." in caplog.text
    assert f"There are now 6 representations in {NAME}.npz" in caplog.text
    write_picture(tmp_path / "a.jpg", "1 other")
    (tmp_path / "b.jpg").rename(tmp_path / "d.jpg")
    refresh(store(tmp_path), Embedder())
    assert "Found 1 newly added image(s), 1 removed image(s), 1 replaced image(s)." in caplog.text
    caplog.clear()
    refresh(store(tmp_path), Embedder())
    write_picture(tmp_path / "e.jpg", "1")
    refresh(store(tmp_path), Embedder(), silent=True)
    assert not caplog.text


def test_nothing_to_do_writes_nothing(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", "1")
    refresh(store(tmp_path), Embedder())
    before = [(path.name, path.stat().st_mtime_ns) for path in sorted(tmp_path.iterdir())]
    refresh(store(tmp_path), Embedder())
    assert [(path.name, path.stat().st_mtime_ns) for path in sorted(tmp_path.iterdir())] == before


def test_only_pictures(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", "1")
    (tmp_path / "text.jpg").write_bytes(b"text")
    write_picture(tmp_path / "picture.webp", "1")
    assert refresh(store(tmp_path), Embedder()).identity.tolist() == [str(tmp_path / "a.jpg")]
    (tmp_path / "a.jpg").write_bytes(b"no longer one")
    write_picture(tmp_path / "b.jpg", "1")
    assert refresh(store(tmp_path), Embedder()).identity.tolist() == [str(tmp_path / "b.jpg")]


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(EmptyDatasource, match="No item found in"):
        refresh(store(tmp_path), Embedder())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_emptied_keeps_its_datastore(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", "1")
    refresh(store(tmp_path), Embedder())
    shutil.move(tmp_path / "a.jpg", tmp_path / "a.jpg.aside")
    with pytest.raises(EmptyDatasource):
        refresh(store(tmp_path), Embedder())
    assert len(store(tmp_path).load()) == 1


def test_a_file_that_goes_while_the_gallery_is_built(tmp_path: Path) -> None:
    for name in "abc":
        write_picture(tmp_path / f"{name}.jpg", "1")

    def leaves_one_out(files: list[str]):  # type: ignore[no-untyped-def]
        return (pair for pair in Embedder()(files) if not pair[0].endswith("b.jpg"))

    assert len(refresh(store(tmp_path), leaves_one_out)) == 2
    embedder = Embedder()
    assert len(refresh(store(tmp_path), embedder)) == 3
    assert embedder.done == [str(tmp_path / "b.jpg")]


class TestCutOff:
    def test_goes_on_where_it_was(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for number in range(10):
            write_picture(tmp_path / f"{number}.jpg", f"{number % 3} {number}")
        done = []
        for limit in (4, 3):
            embedder = Embedder(limit)
            with pytest.raises(KeyboardInterrupt):
                refresh(store(tmp_path), embedder)
            done += embedder.done
            assert not store(tmp_path).path.exists(), "half a gallery is none"
        embedder = Embedder()
        found = refresh(store(tmp_path), embedder)
        assert "7 of them are done already, by a call that was cut off" in caplog.text
        assert sorted(done + embedder.done) == sorted(set(found.identity.tolist()))
        same(found, fresh_build(tmp_path))
        assert not list(tmp_path.glob("*.journal"))

    @pytest.mark.parametrize("damage", ["cut", "changed", "foreign"])
    def test_a_damaged_end_of_the_journal(self, damage: str, tmp_path: Path) -> None:
        for number in range(4):
            write_picture(tmp_path / f"{number}.jpg", f"1 {number}")
        with pytest.raises(KeyboardInterrupt):
            refresh(store(tmp_path), Embedder(3))
        (journal,) = tmp_path.glob("*.journal")
        content = journal.read_bytes()
        if damage == "cut":
            journal.write_bytes(content[:-9])
        elif damage == "changed":
            at = content.rindex(b'"') - 8  # in a vector, which could be read all the same
            other = b"A" if content[at : at + 1] != b"A" else b"B"
            journal.write_bytes(content[:at] + other + content[at + 1 :])
        else:
            journal.write_bytes(b"something else\n")
        expected = {"cut": 2, "changed": 2, "foreign": 4}[damage]
        with pytest.raises(KeyboardInterrupt):  # cut off once more, after the damaged end
            refresh(store(tmp_path), Embedder(expected - 1))
        embedder = Embedder()
        found = refresh(store(tmp_path), embedder)
        assert len(embedder.done) == 1
        same(found, fresh_build(tmp_path))

    def test_pictures_that_change_in_between(self, tmp_path: Path) -> None:
        for number in range(4):
            write_picture(tmp_path / f"{number}.jpg", f"1 {number}")
        with pytest.raises(KeyboardInterrupt):
            refresh(store(tmp_path), Embedder(3))
        write_picture(tmp_path / "0.jpg", "2 changed")
        (tmp_path / "1.jpg").unlink()
        embedder = Embedder()
        same(refresh(store(tmp_path), embedder), fresh_build(tmp_path))
        assert embedder.done == [str(tmp_path / "0.jpg"), str(tmp_path / "3.jpg")]


#: Builds a gallery, tells of each picture that is kept, and prints how many it had to embed. With
#: "steps" it waits for a line, or for the end of all lines, before it goes on to the next picture.
_BUILD = """
import sys
from tests.search.folder.galleries import Embedder, store
from deepface.search.folder import refresh
class Telling(Embedder):
    def __call__(self, files):
        for pair in super().__call__(files):
            yield pair
            print("kept", flush=True)  # the journal has it when the next one is asked for
            if sys.argv[2] == "steps":
                sys.stdin.readline()
embedder = Telling()
print("ready", flush=True)
sys.stdin.readline()
found = refresh(store(sys.argv[1]), embedder, silent=True)
print(len(embedder.done), len(found), flush=True)
"""


def builder(folder: Path, steps: str = "") -> subprocess.Popen[str]:
    """A process that is about to build the gallery, once a line is written to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(folder), steps],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(process, "ready")
    return process


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read lines until one has this in it."""
    assert process.stdout is not None
    assert any(text in line for line in iter(process.stdout.readline, ""))


def last_line(process: subprocess.Popen[str]) -> str:
    """What a process prints last, when nothing more is written to it."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    last = process.stdout.read().splitlines()[-1]
    process.wait()
    process.stdout.close()
    return last


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_two_processes_at_once(tmp_path: Path) -> None:
    for number in range(60):
        write_picture(tmp_path / f"{number}.jpg", f"{number % 3} {number}")
    processes = [builder(tmp_path, steps) for steps in ("steps", "", "")]
    for number, process in enumerate(processes):
        start(process)
        wait_for(process, "another process is working on" if number else "kept")
    counts = [last_line(process) for process in processes]
    assert counts == ["60 80", "0 80", "0 80"], "one builds, the others wait"
    same(store(tmp_path).load(), fresh_build(tmp_path))


def test_threads_at_once(tmp_path: Path) -> None:
    for number in range(20):
        write_picture(tmp_path / f"{number}.jpg", f"1 {number}")
    embedders = [Embedder() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda embedder: refresh(store(tmp_path), embedder), embedders))
    assert sorted(len(embedder.done) for embedder in embedders) == [0, 0, 0, 20]
    for gallery in found:
        same(gallery, found[0])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_killed_and_resumed(tmp_path: Path) -> None:
    for number in range(20):
        write_picture(tmp_path / f"{number}.jpg", f"{number % 3} {number}")
    for count in (1, 7, 4):
        process = builder(tmp_path, "steps")
        for _ in range(count):
            start(process)
            wait_for(process, "kept")
        process.kill()
        process.communicate()
    embedder = Embedder()
    found = refresh(store(tmp_path), embedder)
    assert len(embedder.done) == 20 - 12, "nothing that was done is done again"
    same(found, fresh_build(tmp_path))


def test_killed_while_the_datastore_is_written(tmp_path: Path) -> None:
    """A temporary file and a journal lie about, the datastore is the one before."""
    for number in range(3):
        write_picture(tmp_path / f"{number}.jpg", "1")
    with pytest.raises(KeyboardInterrupt):
        refresh(store(tmp_path), Embedder(2))
    path = store(tmp_path).path
    path.with_name(f"{path.name}.tmp").write_bytes(b"half of it")
    embedder = Embedder()
    same(refresh(store(tmp_path), embedder), fresh_build(tmp_path))
    assert len(embedder.done) == 1
    left = [path.name]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0.jpg", "1.jpg", "2.jpg", *left]
