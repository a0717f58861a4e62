"""The same faces through each door, in every database that runs here: Python, commands, a service.

With names that would be something else to a shell, a statement, a pattern or a URL.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface import DeepFace
from deepface.errors import DeepFaceError
from deepface.search.database.base import storable
from tests.cli.command import lines, run
from tests.search.database.conftest import details_of
from tests.search.database.test_hostile import NAMES
from tests.server.conftest import client_of
from tests.stand_ins import ColorModel, cached

#: Where Linux lists what this process has open.
OPEN_FILES = Path("/proc/self/fd")
KINDS = ("sqlite", "postgres", "pgvector", "mysql", "redis", "milvus")
SAME: dict[str, Any] = {"model_name": "SFace", "detector_backend": "skip"}


def face(number: int) -> Any:
    return np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def png(number: int) -> bytes:
    return cv2.imencode(".png", face(number))[1].tobytes()


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    details = details_of(request.param, request, tmp_path)
    with cached("facial_recognition", "SFace", ColorModel()):
        yield {"database_type": request.param, "connection_details": details}


def service(place: dict[str, Any]) -> AbstractContextManager[Any]:
    """A client of a service, whose settings are text: a dict is given as JSON."""
    details = place["connection_details"]
    text = json.dumps(details) if isinstance(details, dict) else details
    return client_of(**{**place, "connection_details": text})


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_names_through_every_door(place: dict[str, Any]) -> None:
    names = [storable(name) for name in NAMES if name]
    kept = [f"kept {number}" for number in range(2)]
    options: dict[str, Any] = {**SAME, **place}
    words = [f"--{key}={value}" for key, value in options.items()]

    def listed() -> list[str]:
        rows = DeepFace.list_faces(return_type="dict", **options)
        return sorted(row["img_name"] for row in rows)

    for door in ("python", "commands", "service"):
        pictures = [face(number) for number in range(len(names) + 2)]
        told = DeepFace.register(pictures, img_name=[*names, *kept], **options)
        assert told == {"inserted": len(pictures)}
        with service(place) as client:
            if door == "commands":
                rows: list[dict[str, Any]] = json.loads(run("list-faces", *words).stdout)
                assert sorted(row["img_name"] for row in rows) == listed()
            elif door == "service":
                rows = client.get("/faces", params=SAME).json()["results"]
                assert sorted(row["img_name"] for row in rows) == listed()
            for name in names:
                if door == "python":
                    deleted = DeepFace.unregister(img_name=name, **options)
                elif door == "commands":
                    text = repr(name) if name.startswith("{") else name  # values are literals
                    (deleted,) = lines(run("unregister", f"--img_name={text}", *words))
                else:
                    body = client.delete("/faces", params={**SAME, "img_name": name})
                    deleted = body.json()
                assert deleted == {"deleted": 1}, (door, name[:50])
        assert listed() == kept
        assert DeepFace.unregister(img=pictures[-2:], **options) == {"deleted": 2}


@pytest.mark.parametrize("place", [*KINDS, "qdrant"], indirect=True)
def test_a_life_through_every_door(place: dict[str, Any], tmp_path: Path) -> None:
    """One, many, a face twice, a picture that is none; search; delete by id, name and picture."""
    options: dict[str, Any] = {**SAME, **place}
    words = [f"--{key}={value}" for key, value in options.items()]
    files = []
    for number in range(4):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(png(number))
    (tmp_path / "broken.png").write_bytes(b"no picture")

    assert DeepFace.register(face(10), img_name="ten", **options) == {"inserted": 1}
    assert lines(run("register", str(files[0]), "--img_name", "nil", *words)) == [{"inserted": 1}]
    with service(place) as client:
        sent = [("img", png(20)), ("img", png(21))]
        asked = {**SAME, "img_name": ["twenty", "more"]}
        assert client.post("/register", files=sent, data=asked).json() == {"inserted": 2}
        # A face twice, or a picture that is none, in the middle: nothing of it is stored.
        for bad in (png(20), b"no picture"):
            sent = [("img", png(30)), ("img", bad), ("img", png(31))]
            answer = client.post("/register", files=sent, data=SAME)
            assert 400 <= answer.status_code < 500 and answer.text
        with pytest.raises(ValueError, match="broken"):
            DeepFace.register([str(files[1]), str(tmp_path / "broken.png")], **options)
        failed = run("register", json.dumps([str(files[1]), str(files[0])]), *words)
        assert failed.exit_code == 1 and "registered already" in failed.stderr
        assert len(DeepFace.list_faces(return_type="dict", **options)) == 4
        DeepFace.build_index(**SAME, **place)
        for method in ("exact", "ann"):
            found = [
                DeepFace.search(face(20), search_method=method, return_type="dict", **options),
                client.post(
                    "/search", files={"img": png(20)}, data={**SAME, "search_method": method}
                ).json()["results"],
            ]
            for (rows,) in found:
                assert rows[0]["img_name"] == "twenty" and rows[0]["distance"] < 1e-3
        ids = {
            row["img_name"]: row["id"]
            for row in client.get("/faces", params=SAME).json()["results"]
        }
        answer = client.delete("/faces", params={**SAME, "identity_id": ids["ten"]})
        assert answer.json() == {"deleted": 1}
    arguments = ["--identity_id", str(ids["nil"]), *words]
    assert lines(run("unregister", *arguments)) == [{"deleted": 1}]
    assert lines(run("unregister", *arguments)) == [{"deleted": 0}]
    assert DeepFace.unregister(img=face(21), **options) == {"deleted": 1}
    for method in ("exact", "ann"):  # the index follows
        (rows,) = DeepFace.search(
            face(21), search_method=method, similarity_search=True, return_type="dict", **options
        )
        assert [row["img_name"] for row in rows] == ["twenty"]
    assert DeepFace.unregister(img_name="twenty", **options) == {"deleted": 1}
    assert DeepFace.list_faces(return_type="dict", **options) == []


#: What somebody may ask for instead of an id, a name, a path or a model.
ODD = [
    "", "%", "*", "kept 0'; DELETE FROM embeddings; --", "a\nb\r\n\tc", "x" * 10_000, "kept 0\0",
    "\udcff", "１", "KEPT 0", "ｋept 0", "1 OR 1=1", "[1, 2", '{"$gt": ""}', "FLUSHALL\r\nQUIT\r\n",
    "../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("place", ["sqlite", "redis"], indirect=True)
def test_odd_requests_through_every_door(place: dict[str, Any], tmp_path: Path) -> None:
    """Each is a result or one clear error, and nobody else's face is gone."""
    options: dict[str, Any] = {**SAME, **place}
    words = [f"--{key}={value}" for key, value in place.items()]
    same = [f"--{key}={value}" for key, value in SAME.items()]
    kept = [f"kept {number}" for number in range(3)]
    DeepFace.register([face(number) for number in range(3)], img_name=kept, **options)
    picture = tmp_path / "0.png"
    picture.write_bytes(png(0))
    sent = {"img": png(0)}

    def check() -> None:
        rows = DeepFace.list_faces(return_type="dict", **options)
        assert sorted(row["img_name"] for row in rows) == kept, ascii(odd)[:80]

    with service(place) as client:
        for odd in ODD:
            asked: list[list[Any]] = [
                ["unregister", f"--identity_id={odd}", *same],
                ["unregister", f"--img_name={odd}", *same],
                ["unregister", f"--img={odd}", *same],
                ["identify", picture, f"--identity_id={odd}", *same],
                ["search", f"--img={odd}", *same],
                ["list-faces", f"--model_name={odd}", "--detector_backend=skip"],
                ["unregister", f"--model_name={odd}", f"--img_name={kept[0]}"],
                ["search", picture, f"--detector_backend={odd}", "--model_name=SFace"],
            ]
            for arguments in asked:
                result = run(*arguments, *words)
                case = (arguments[0], ascii(odd)[:80], result.output[-500:], result.exception)
                assert isinstance(result.exception, (SystemExit, type(None))), case
                assert result.exit_code in (0, 1, 2), case
                assert result.exit_code == 0 or result.stderr.strip(), case
                assert "Traceback" not in result.output, case
            check()
            text = odd.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
            answers = [
                client.delete("/faces", params={**SAME, "identity_id": text}),
                client.delete("/faces", params={**SAME, "img_name": text}),
                client.post("/identify", files=sent, data={**SAME, "identity_id": text}),
                client.post("/search", data={**SAME, "img": text}),
                client.get("/faces", params={**SAME, "model_name": text}),
                client.delete("/faces", params={**SAME, "model_name": text, "img_name": kept[0]}),
                client.post("/search", files=sent, data={**SAME, "detector_backend": text}),
            ]
            for answer in answers:
                case = (
                    str(answer.url)[:80],
                    ascii(odd)[:80],
                    answer.status_code,
                    answer.text[:300],
                )
                assert answer.status_code < 500, case
                assert answer.status_code == 200 or answer.json()["error"], case
            check()


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="needs /proc/self/fd: Linux")
@pytest.mark.parametrize("place", [*KINDS, "qdrant"], indirect=True)
def test_nothing_is_left_open(place: dict[str, Any]) -> None:
    """Neither a file nor a connection, whatever comes of a call."""
    options: dict[str, Any] = {**SAME, **place}
    nowhere = {**options, "connection_details": {"no such option": 1}}

    def life() -> int:
        DeepFace.register([face(0), face(1)], img_name=["nil", "one"], **options)
        DeepFace.build_index(**options)
        for method in ("exact", "ann"):
            DeepFace.search(face(0), search_method=method, return_type="dict", **options)
        rows = DeepFace.list_faces(return_type="dict", **options)
        DeepFace.identify(face(0), identity_id=rows[0]["id"], **options)
        for failing in (
            lambda: DeepFace.register([face(2), face(0)], **options),
            lambda: DeepFace.identify(face(0), identity_id="nobody", **options),
            lambda: DeepFace.search(face(0), **{**options, "detector_backend": "no such"}),
            lambda: DeepFace.list_faces(**nowhere),
        ):
            with pytest.raises(DeepFaceError):
                failing()
        assert DeepFace.unregister(img_name=["nil", "one"], **options) == {"deleted": 2}
        gc.collect()
        return len(list(OPEN_FILES.iterdir()))

    life()  # what is opened once and kept: a library's own files
    opened = life()
    assert max(life() for _ in range(3)) <= opened
