"""Whatever bytes lie in a gallery's files: a gallery, or an error of ours that names the file."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepface.errors import DeepFaceError
from deepface.search.folder import datastore, formats, refresh
from tests.search.folder.galleries import (
    DIMENSIONS,
    Credentials,
    Embedder,
    same,
    store,
    write_picture,
)
from tests.search.folder.test_datastore import KINDS, gallery

#: Files that are tried per reader.
ROUNDS = 300


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    datastore.forget()
    yield
    datastore.forget()


@contextmanager
def memory_limit(extra: int = 2 << 30) -> Iterator[None]:
    """What a small file makes of the memory is an error, not the end of the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled or cut off, mostly where headers are."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        where = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(-99, 300)
        where %= len(data)
        kind = rng.randrange(6)
        if kind == 0:
            data[where] = rng.randrange(256)
        elif kind == 1:
            data[where] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[where : where + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"])
        elif kind == 3:
            del data[where : where + rng.randint(1, 30)]
        elif kind == 4:
            data[where:where] = data[where : where + rng.randint(1, 30)]
        else:
            del data[where or 1 :]
        if not data:
            return b"\0"
    return bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_datastores(kind: str, tmp_path: Path) -> None:
    store(tmp_path, kind).save(gallery(tmp_path))
    path = store(tmp_path, kind).path
    content = path.read_bytes()
    rng = random.Random(kind)
    with memory_limit():
        # Each parquet file is looked at in a process of its own first.
        for _ in range(ROUNDS // 10 if kind == "parquet" else ROUNDS):
            path.write_bytes(mutated(content, rng))
            datastore.forget()
            try:
                found = store(tmp_path, kind).load()
            except DeepFaceError as error:
                assert str(path) in str(error)
                continue
            assert np.isfinite(found.embedding).all()
            found.identity.tolist(), found.hashes, found.ranking


def header(shape: str, descr: str = "<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def arrays(count: int = 1) -> dict[str, bytes]:
    """The members of a good file."""
    columns: dict[str, Any] = {
        "identity": np.array(["a.jpg"] * count),
        "hash": np.array(["1"] * count),
        "embedding": np.zeros((count, DIMENSIONS)),
        "has_embedding": np.ones(count, bool),
        **{name: np.zeros(count, int) for name in formats.AREA},
    }
    file = io.BytesIO()
    np.savez(file, **columns)
    with zipfile.ZipFile(file) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def bad_deflate(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in arrays(50).items():
            archive.writestr(name, data)
    content = bytearray(path.read_bytes())
    for start in range(60, len(content) - 900, 7):
        content[start] ^= 0xFF
    path.write_bytes(bytes(content))


def change_members(path: Path, **changes: int) -> None:
    """A field of each member's two headers: ``name=value``."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in arrays().items():
            archive.writestr(name, data)
    content = bytearray(path.read_bytes())
    places = {"flags": (6, 8), "method": (8, 10)}
    for name, value in changes.items():
        for signature, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), places[name], strict=True):
            at = -1
            while (at := content.find(signature, at + 1)) >= 0:
                content[at + offset : at + offset + 2] = value.to_bytes(2, "little")
    path.write_bytes(bytes(content))


def with_member(name: str, data: bytes, method: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            for member, content in {**arrays(), f"{name}.npy": data}.items():
                archive.writestr(member, content)

    return write


def with_array(name: str, array: Any) -> Callable[[Path], None]:
    file = io.BytesIO()
    np.save(file, array)
    return with_member(name, file.getvalue())


DAMAGES: dict[str, Callable[[Path], None]] = {
    "bad deflate": bad_deflate,
    "encrypted": lambda path: change_members(path, flags=1),
    "unknown compression": lambda path: change_members(path, method=99),
    "a huge shape": with_member("embedding", header("(1000000000000, 8)") + b"\0" * 64),
    "a shape of huge factors": with_member("embedding", header("(4294967296, 4294967296)")),
    "a negative shape": with_member("embedding", header("(-1, 8)") + b"\0" * 64),
    "a shape of texts": with_member("embedding", header("('1', 8)") + b"\0" * 64),
    "a deep header": with_member("embedding", header("(" * 3000 + ")" * 3000)),
    "a long header": with_member("embedding", header("(1,)" + " " * 60_000)),
    "an odd version": with_member("embedding", b"\x93NUMPY\x09\x09" + b"\0" * 99),
    "a bomb": with_member(
        "embedding",
        header("(40000000, 8)") + b"\0" * (8 * 40_000_000),
        zipfile.ZIP_DEFLATED,
    ),
    "deep notes": with_array("deepface", np.array("[" * 100_000)),
    "notes of numbers": with_array("deepface", np.array('{"prefix": 1}')),
    "notes that are a list": with_array("deepface", np.array("[1]")),
    "complex vectors": with_array("embedding", np.zeros((1, DIMENSIONS), complex)),
    "texts as vectors": with_array("embedding", np.array([["x"] * DIMENSIONS])),
    "dates as vectors": with_array("embedding", np.zeros((1, DIMENSIONS), "datetime64[s]")),
    "vectors of fields": with_array("embedding", np.zeros((1, DIMENSIONS), [("a", float)])),
    "code points that are none": with_member("identity", header("(1,)", "<U1") + b"\xff" * 4),
    "areas of numbers with fractions": with_array("target_x", np.array([1.5])),
    "nested areas": with_array("target_x", np.zeros((1, 2), int)),
    "a scalar": with_array("identity", np.array("a.jpg")),
    "infinite": with_array("embedding", np.full((1, DIMENSIONS), np.inf)),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_crafted_datastores(damage: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", "1")
    path = store(tmp_path).path
    DAMAGES[damage](path)
    content = path.read_bytes()
    with (
        memory_limit(600 << 20),
        pytest.raises(DeepFaceError, match="Consider to delete it") as caught,
    ):
        refresh(store(tmp_path), Embedder())
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def line(record: Any) -> bytes:
    text = record if isinstance(record, bytes) else json.dumps(record).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def vector(values: Any, dtype: str = "<f8") -> str:
    import base64

    return base64.b64encode(np.asarray(values, dtype).tobytes()).decode()


GOOD = vector(range(DIMENSIONS))
#: Lines with a right checksum that are none of ours, or whose vectors would spoil the datastore.
LINES: list[Any] = [
    b"[" * 100_000, b"1", b"null", b"{}", b"1" * 10_000, b"\xff\xfe", b"",
    {"path": 1}, {"path": None, "hash": "x", "faces": []}, {"hash": 5, "faces": []}, {"faces": 5},
    {"faces": [5]}, {"faces": [[]]}, {"faces": [[1, 2, 3, 4, 5]]}, {"faces": {"a": 1}},
    {"faces": [[1, 2, 3, 4, "%%%"]]}, {"faces": [[1, 2, 3, 4, vector([1], "<f4")]]},
    {"faces": [[1, 2, 3, 4, vector(range(DIMENSIONS - 1))]]},
    {"faces": [[1, 2, 3, 4, vector(range(4096))]]}, {"faces": [[1, 2, 3, 4, ""]]},
    {"faces": [[1, 2, 3, 4, vector([np.nan] * DIMENSIONS)]]},
    {"faces": [[1, 2, 3, 4, vector([np.inf] * DIMENSIONS)]]},
    {"faces": [[10**30, 2, 3, 4, GOOD]]}, {"faces": [["x", 2, 3, 4, GOOD]]},
    {"faces": [[None, 2, 3, 4, GOOD]]}, {"faces": [[1, 2, 3, GOOD]]},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(LINES)))
def test_crafted_journals(number: int, tmp_path: Path) -> None:
    """What a line says of a picture that is there, and is nonsense, is not believed."""
    write_picture(tmp_path / "0.jpg", "1")
    expected = refresh(store(tmp_path), Embedder())
    store(tmp_path).path.unlink()
    datastore.forget()
    record = LINES[number]
    if isinstance(record, dict):
        record = {"path": "0.jpg", "hash": expected.hash[0], **record}
    journal = store(tmp_path).path.with_name(store(tmp_path).path.name + ".journal")
    journal.write_bytes(line(record))
    same(refresh(store(tmp_path), Embedder()), expected)
    datastore.forget()
    same(store(tmp_path).load(), expected)


def test_mutated_journals(tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / f"{number}.jpg", "2")
    expected = refresh(store(tmp_path), Embedder())
    store(tmp_path).path.unlink()
    datastore.forget()
    with pytest.raises(KeyboardInterrupt):
        refresh(store(tmp_path), Embedder(3))
    journal = store(tmp_path).path.with_name(store(tmp_path).path.name + ".journal")
    content = journal.read_bytes()
    rng = random.Random("journal")
    for _ in range(ROUNDS // 3):
        journal.write_bytes(mutated(content, rng))
        same(refresh(store(tmp_path), Embedder(), silent=True), expected)
        datastore.forget()
        store(tmp_path).path.unlink()


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b"\xff", b"null", b"[1, null, {}]", b'{"a": 1}', b'["x"]']
)
def test_crafted_signatures(content: bytes, tmp_path: Path) -> None:
    keys: list[Any] = [Credentials("key")]
    with suppress(ImportError):
        from lightdsa import LightDSA

        keys.append(LightDSA(algorithm_name="eddsa"))
    for key in keys:
        store(tmp_path, credentials=key).save(gallery(tmp_path))
        path = store(tmp_path).path
        path.with_name(path.name + ".ldsa").write_bytes(content)
        with pytest.raises(DeepFaceError, match=r"npz (no longer fits its|has no) signature"):
            store(tmp_path, credentials=key).load()


def many_values(path: Path) -> None:
    import pyarrow as pa

    vector = pa.ListArray.from_arrays([0, 20_000_000], pa.array(np.zeros(20_000_000)))
    write_arrow(path, pa.table({"identity": ["a.jpg"], "embedding": vector}))


def many_names(path: Path) -> None:
    import pyarrow as pa

    write_arrow(path, pa.table({"identity": ["a" * 100_000_000], "hash": ["1"]}))


def many_rows_of_nothing(path: Path) -> None:
    import pyarrow as pa

    write_arrow(path, pa.table({"identity": pa.nulls(20_000_000), "hash": pa.nulls(20_000_000)}))


def write_arrow(path: Path, table: Any) -> None:
    from pyarrow import feather, parquet

    if path.suffix == ".parquet":
        parquet.write_table(table, path, compression="zstd", use_dictionary=False)
    else:
        feather.write_feather(table, str(path), compression="zstd")


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("write", [many_values, many_names, many_rows_of_nothing])
def test_small_arrow_files_that_would_fill_the_memory(
    write: Callable[[Path], None], kind: str, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    path = store(tmp_path, kind).path
    write(path)
    assert path.stat().st_size < 1_000_000
    with memory_limit(), pytest.raises(DeepFaceError, match=r"would unpack to|is of type null"):
        store(tmp_path, kind).load()


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
def test_feather_files_are_read_whatever_their_compression(
    compression: str, tmp_path: Path
) -> None:
    """The published library compresses them."""
    pytest.importorskip("pyarrow")
    from pyarrow import feather

    made = gallery(tmp_path)
    store(tmp_path, "feather").save(made)
    path = store(tmp_path, "feather").path
    table = feather.read_table(str(path))
    feather.write_feather(table, str(path), compression=compression, chunksize=2)
    datastore.forget()
    same(store(tmp_path, "feather").load(), made)


@pytest.mark.parametrize("ending", ["npz", "feather", "parquet", "npz.journal", "npz.ldsa"])
def test_files_of_very_many_zeros(ending: str, tmp_path: Path) -> None:
    """They take no room on a disk, and none in memory."""
    write_picture(tmp_path / "a.jpg", "1")
    kind, _, other = ending.partition(".")
    options: dict[str, Any] = {"credentials": Credentials("key")} if other == "ldsa" else {}
    if other == "ldsa":
        store(tmp_path, **options).save(gallery(tmp_path))
    path = store(tmp_path).path.with_suffix("." + ending)
    path.write_bytes(b"")
    os.truncate(path, 3 << 30)
    with memory_limit(1 << 30):
        try:
            found = refresh(store(tmp_path, kind, **options), Embedder())
            assert other == "journal" and len(found) == 1
        except DeepFaceError as error:
            assert other != "journal" and str(path.with_suffix("")) in str(error)
