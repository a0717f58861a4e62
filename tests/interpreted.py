"""Kernels for CUDA, run by Triton's interpreter on the CPU."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest


def interpreted(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of kernels, loaded apart from the one that is imported; else the test is skipped."""
    pytest.importorskip("triton", reason="PyTorch brings it on Linux")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
