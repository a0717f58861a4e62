"""TF32 is off while any thread needs it off, whichever switch had it on, and is put back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from deepface.runtime.execution import tf32
from deepface.runtime.execution.tf32 import exact_float32, tensor_float32
from tests.interleaved import at_once

#: A program that for each switch uses it, then the block twice, and compares what can be read
#: before, inside and after. In processes of their own: what was set stays set.
PROGRAM = """
import os, sys
import torch
from deepface.runtime.execution.tf32 import exact_float32, tensor_float32

backends = torch.backends
READ = {
    "old convolutions": lambda: backends.cudnn.allow_tf32,
    "old products": lambda: backends.cuda.matmul.allow_tf32,
    "old precision": torch.get_float32_matmul_precision,
    "all": lambda: backends.fp32_precision,
    "cudnn": lambda: backends.cudnn.fp32_precision,
    "convolutions": lambda: backends.cudnn.conv.fp32_precision,
    "recurrent": lambda: backends.cudnn.rnn.fp32_precision,
    "products": lambda: backends.cuda.matmul.fp32_precision,
}

def state():
    found = {}
    for name, read in READ.items():
        try:
            found[name] = read()
        except RuntimeError:
            found[name] = "unreadable"
        except AttributeError:
            pass
    return found

def check(switch):
    exec(switch)
    before = state()
    for _ in range(2):
        with exact_float32():
            inside = state()
    assert state() == before, (switch, before, state())
    for name in ("old convolutions", "old products"):
        assert inside[name] is False or before[name] == "unreadable", (switch, before, inside)
    for name in ("convolutions", "products"):
        assert inside.get(name, "ieee") == "ieee", (switch, inside)
    with tensor_float32():
        inside = state()
    assert state() == before, (switch, before, state())
    for name in ("convolutions", "products"):
        assert inside.get(name, "tf32") == "tf32", (switch, inside)

for switch in sys.argv[1:]:
    child = os.fork()
    if not child:
        check(switch)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, switch
"""
SWITCHES = [
    *("pass", "backends.cudnn.allow_tf32 = True", "backends.cudnn.allow_tf32 = False"),
    *("backends.cuda.matmul.allow_tf32 = True", "torch.set_float32_matmul_precision('medium')"),
]
NEWER = [
    f"backends.{part}fp32_precision = '{value}'"
    for part in ("", "cudnn.", "cudnn.conv.", "cuda.matmul.")
    for value in ("ieee", "tf32")
]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_any_switch() -> None:
    switches = SWITCHES + NEWER * hasattr(torch.backends, "fp32_precision")
    program = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *switches],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert program.returncode == 0, program.stderr


def test_a_torch_that_has_the_older_switches_only(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = SimpleNamespace(
        cudnn=SimpleNamespace(allow_tf32=True),
        cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=True)),
    )
    precision = ["high"]
    stand_in = SimpleNamespace(
        backends=backends,
        get_float32_matmul_precision=lambda: precision[0],
        set_float32_matmul_precision=lambda value: precision.__setitem__(0, value),
    )
    monkeypatch.setattr(tf32, "torch", stand_in)
    with exact_float32():
        assert (backends.cudnn.allow_tf32, precision) == (False, ["highest"])
    assert (backends.cudnn.allow_tf32, precision) == (True, ["high"])


def test_restored_after_an_error() -> None:
    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(KeyError), exact_float32():
        assert not torch.backends.cudnn.allow_tf32
        raise KeyError
    assert torch.backends.cudnn.allow_tf32 is before


def test_one_thread_leaves_while_another_is_inside() -> None:
    before = torch.backends.cudnn.allow_tf32
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with exact_float32():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    with exact_float32():
        leave.set()
        thread.join()
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 is before


def test_who_needs_float32_has_it_while_others_want_tf32() -> None:
    before = torch.backends.cudnn.allow_tf32
    for outer, inner in ((tensor_float32, exact_float32), (exact_float32, tensor_float32)):
        with outer():
            assert torch.backends.cudnn.allow_tf32 is (outer is tensor_float32)
            with inner():
                assert not torch.backends.cudnn.allow_tf32
            assert torch.backends.cudnn.allow_tf32 is (outer is tensor_float32)
        assert torch.backends.cudnn.allow_tf32 is before


def test_threads_that_come_and_go() -> None:
    before = torch.backends.cudnn.allow_tf32

    def work(number: int) -> None:
        for _ in range(8):
            with exact_float32():
                assert not torch.backends.cudnn.allow_tf32

    at_once(work, tf32)
    assert torch.backends.cudnn.allow_tf32 is before
