"""The other end of ``worker.py``: a process that runs one configuration when asked to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]


class WorkerError(RuntimeError):
    """A worker answered with an error, or died."""


class Worker:
    """A process that speaks ``worker.py``'s language. Use it in a ``with`` block.

    Args:
        published: the Python of an environment with the published library; ``None`` runs this
            library in this Python.
        device: where networks run.
        engine: ``"pytorch"``, ``"tensorflow"`` or ``"onnx"``; see both libraries.
        threads: how many cores it sees, and how many threads it is told to use.
    """

    def __init__(
        self,
        published: str | None = None,
        device: str | None = None,
        engine: str | None = None,
        threads: int | None = None,
    ) -> None:
        environment = os.environ.copy()
        if engine is not None:
            environment["DEEPFACE_BACKEND_ENGINE"] = engine
        if published is None:
            # In front of what leads to packages that are not installed but carried along.
            others = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
            environment["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *others])
        else:
            environment.pop("PYTHONPATH", None)  # it could lead to this library
            environment.setdefault("DEEPFACE_BACKEND_ENGINE", "pytorch")
        if device is not None:
            environment["DEEPFACE_DEVICE"] = device
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see __exit__
        self._process = subprocess.Popen(
            [published or sys.executable, str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            text=True,
        )
        if threads is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self._process.pid, sorted(os.sched_getaffinity(0))[:threads])

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """One request, one answer; see :meth:`answer`."""
        self.send(do, **fields)
        return self.answer()

    def send(self, do: str, **fields: Any) -> None:
        """A request whose answer is fetched later, so that several workers prepare at a time."""
        assert self._process.stdin is not None
        # A process that died is noticed when it does not answer.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The answer to the oldest request that has had none.

        Raises:
            WorkerError: the request failed; the message has the exception's text, or the last
                lines that the process wrote before it died.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._log.seek(0)
            tail = " | ".join(self._log.read().splitlines()[-3:])
            raise WorkerError(f"the process ended with {code}: {tail}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer
