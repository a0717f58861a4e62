"""The worker against a stand-in for the library, so that no model is needed."""

from pathlib import Path

import pytest

from benchmarks import process
from benchmarks.process import Worker, WorkerError

LIBRARY = """
class DeepFace:
    @staticmethod
    def extract_faces(img_path, detector_backend, enforce_detection, batch_size=None, **options):
        print("noise on standard output")
        if detector_backend == "broken":
            raise ValueError("no such detector")
        if detector_backend == "deadly":
            import os, sys
            print("last words", file=sys.stderr, flush=True)
            os._exit(3)
        assert enforce_detection is False
        face = {"confidence": 0.9 if options.get("align") else 0}
        if isinstance(img_path, list):
            assert batch_size == 2
            return [[face] for _ in img_path]
        return [face, face]
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deepface").mkdir()
    (tmp_path / "deepface" / "__init__.py").write_text(LIBRARY)
    monkeypatch.setattr(process, "_ROOT", tmp_path)


def prepare(worker: Worker, detector: str = "any", batch: int | None = None) -> None:
    worker.ask(
        "prepare",
        function="extract_faces",
        detector=detector,
        paths=["a.jpg", "b.jpg", "c.jpg"],
        batch=batch,
        arguments={"align": True},
        warmup=1,
    )


@pytest.mark.usefixtures("library")
def test_a_worker_times_the_loop_or_one_call_with_the_list() -> None:
    with Worker() as loop, Worker() as batch:
        prepare(loop)
        prepare(batch, batch=2)
        assert loop.ask("run")["faces"] == 6
        answer = batch.ask("run")
        assert answer["faces"] == 3
        assert answer["seconds"] >= 0
        assert loop.ask("peak")["memory_mb"] > 5
        assert loop.ask("peak")["device_memory_mb"] is None


@pytest.mark.usefixtures("library")
def test_an_exception_is_answered_and_a_death_is_noticed() -> None:
    with Worker() as worker:
        with pytest.raises(WorkerError, match="ValueError: no such detector"):
            prepare(worker, "broken")
        prepare(worker)
        with pytest.raises(WorkerError, match=r"ended with 3: .*last words"):
            prepare(worker, "deadly")
