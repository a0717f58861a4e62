"""What makes PyTorch believe in the devices."""

from __future__ import annotations

import contextlib
import threading
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
import torchvision.io

from deepface.detection.registry import DETECTORS
from deepface.runtime.concurrency import stage
from deepface.runtime.concurrency.kept_threads import kept_threads
from deepface.runtime.execution.cuda_graphs import give_memory_back
from deepface.runtime.models import cached_models
from tests.standin import graphs, streams
from tests.standin.tensors import COUNTS, SETTINGS, DeviceTensor, _made, modes

#: The detectors that were built here before.
_DETECTORS: dict[str, Any] = {}
#: Kernels that nvJPEG starts for a picture: a guess.
_PER_JPEG = 10


class Standin(contextlib.ExitStack):
    """The devices, for the ``with`` block, in all threads.

    Attributes:
        counts: what they were asked to do.
        settings: see :class:`tests.standin.tensors.Settings`.
    """

    counts = COUNTS
    settings = SETTINGS

    def __enter__(self) -> Standin:
        if not hasattr(torch._C, "_ensureCUDADeviceGuardSet"):
            pytest.skip(
                f"the stand-in needs a guard of devices that PyTorch {torch.__version__} lacks"
            )
        super().__enter__()
        SETTINGS.reset()
        COUNTS.reset()
        # The guard that does nothing, which PyTorch has for its own tensors without data.
        torch._C._ensureCUDADeviceGuardSet()  # type: ignore[attr-defined]
        properties = SimpleNamespace(
            name="stand-in", major=9, minor=0, multi_processor_count=132, total_memory=80 << 30
        )
        for name, value in {
            "_lazy_init": lambda: None,
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "device_count": lambda: streams.DEVICES,
            "current_device": streams.current_index,
            "device": streams.device,
            "stream": streams.stream,
            "Stream": streams.Stream,
            "Event": streams.Event,
            "CUDAGraph": graphs.CudaGraph,
            "graph_pool_handle": object,
            "current_stream": streams.current_stream,
            "default_stream": streams.default_stream,
            "synchronize": lambda device=None: streams.current_stream(device).synchronize(),
            "mem_get_info": lambda *_: (70 << 30, 80 << 30),
            "max_memory_allocated": lambda *_: 0,
            "empty_cache": lambda: None,
            "get_device_properties": lambda *_: properties,
            "get_device_name": lambda *_: properties.name,
            "get_device_capability": lambda *_: (9, 0),
        }.items():
            self.enter_context(mock.patch.object(torch.cuda, name, value))
        self._in_threads()
        # Parameters cannot be swapped for tensors of another class in place.
        overwrite = torch.__future__.set_overwrite_module_params_on_conversion
        overwrite(True)
        self.callback(overwrite, False)
        self._own_models()
        decode = mock.patch.object(
            torchvision.io, "decode_jpeg", _nvjpeg(torchvision.io.decode_jpeg)
        )
        self.enter_context(decode)
        self.enter_context(modes())
        return self

    def _own_models(self) -> None:
        """Which device is the automatic one is otherwise fixed for a process, and so are models.

        Detectors are kept for the next test; others have weights of the test, which are large.
        """
        before = dict(cached_models)
        cached_models.clear()
        cached_models[DETECTORS.task] = _DETECTORS

        def back() -> None:
            stage._streams.cache_clear()
            give_memory_back()  # graphs keep all that was made on the way
            cached_models.clear()
            cached_models.update(before)

        self.callback(back)

    def _in_threads(self) -> None:
        run = threading.Thread.run

        def run_with_modes(thread: threading.Thread) -> None:
            with modes():
                run(thread)

        self.enter_context(mock.patch.object(threading.Thread, "run", run_with_modes))
        kept_threads.cache_clear()  # those that run already are without modes
        self.callback(kept_threads.cache_clear)


def _nvjpeg(decode: Any) -> Any:
    def decode_jpeg(data: Any, mode: Any = None, device: Any = "cpu", **options: Any) -> Any:
        if torch.device(device).type != "cuda":
            return decode(data, mode=mode, device=device, **options)
        pictures = []
        for file in data:
            assert not isinstance(file, DeviceTensor), "nvJPEG reads bytes of the host"
            COUNTS.upload(file.numel())
            picture = decode(file, mode=mode, **options)
            COUNTS.kernel(_PER_JPEG, 2 * picture.numel(), 0)
            pictures.append(_made(picture, streams.index_of(device)))
        streams.current_stream(device).synchronize()
        return pictures

    return decode_jpeg
