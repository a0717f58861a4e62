"""Kernels for CUDA, run by Triton's interpreter on the CPU."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest


def interpreted(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of kernels, loaded apart from the one that is imported; else the test is skipped."""
    triton = pytest.importorskip("triton", reason="PyTorch brings it on Linux")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    # Triton's own functions, such as sum, are kernels too, and mostly imported before.
    library = triton.language.standard
    for function, value in list(vars(library).items()):
        if type(value) is triton.runtime.JITFunction:
            again = triton.jit(value.fn)
            for module in (library, triton.language):
                if getattr(module, function, None) is value:
                    monkeypatch.setattr(module, function, again)
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
