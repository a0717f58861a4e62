"""Every test runs offline, in a DEEPFACE_HOME of its own that holds the test weights."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from deepface.logger import get_logger
from tests.data import FOR_ALL, MADE_WEIGHTS, WEIGHTS, package_weights
from tests.left_behind import left_behind, state

#: Tests of which a case took long when it was last measured, without their parameters.
SLOW = Path(__file__).with_name("slow.txt")
#: Seconds of a case, and of all cases of a test, from which on it is slow.
LONG, LONG_IN_ALL = 0.3, 0.6

# Some tests fork; the handlers of gRPC, where it has threads, do not always survive that.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# The first network on CUDA sets these (prefer_engines); so no test does, and leaves them behind.
os.environ.setdefault("TORCH_CUDNN_USE_HEURISTIC_MODE_B", "1")
os.environ.setdefault(
    "CUDNN_ERRATA_JSON_FILE",
    str(Path(__file__).parents[1] / "deepface/runtime/execution/cudnn_engines.json"),
)
#: The same examples in every run, so that a run fails for what was changed alone. With
#: ``--hypothesis-profile=explore`` they are others each time, and more.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", max_examples=1000, deadline=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("deepface")
    group.addoption("--fast", action="store_true", help=f"not what is heavy or in {SLOW.name}")
    group.addoption("--note-slow", action="store_true", help=f"note in {SLOW.name} what was slow")


def pytest_configure(config: pytest.Config) -> None:
    """Children heed SIGINT, whether or not a shell that runs tests in the background ignores it.

    Each could see to that itself, by ``preexec_fn``; but then it is forked, which the threads of
    libraries in this process (gRPC's) do not always survive.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # xdist's own order is by how many tests a file has, which suits those of --fast.
    config.option.loadscopereorder = config.getoption("--fast")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The files with most that is slow come first: processes that share them end together."""
    known = set(SLOW.read_text().splitlines())
    heavy = {item for item in items if item.get_closest_marker("heavy")}
    slow = {item for item in items if item.nodeid.split("[")[0] in known} | heavy
    if config.getoption("--fast"):
        config.hook.pytest_deselected(items=list(slow))
        items[:] = [item for item in items if item not in slow]
        return
    cost = Counter(path for path, _ in {(item.path, item.nodeid.split("[")[0]) for item in slow})
    for item in heavy:  # each case takes seconds, of a slow test all cases do
        cost[item.path] += 5
    items.sort(key=lambda item: -cost[item.path])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    note, fast = config.getoption("--note-slow"), config.getoption("--fast")
    if not (note or fast):
        return
    cases: dict[str, float] = defaultdict(float)
    for report in (report for some in terminalreporter.stats.values() for report in some):
        if isinstance(report, pytest.TestReport):
            cases[report.nodeid] += report.duration
    tests: dict[str, list[float]] = defaultdict(list)
    for case, seconds in cases.items():
        tests[case.split("[")[0]].append(seconds)
    slow = {name for name, took in tests.items() if max(took) > LONG or sum(took) > LONG_IN_ALL}
    if note:
        others = {name for name in SLOW.read_text().splitlines() if name not in tests}
        SLOW.write_text("".join(f"{name}\n" for name in sorted(slow | set(filter(exists, others)))))
    elif slow:
        terminalreporter.section(f"slow; --note-slow notes it in {SLOW.name}")
        for name in sorted(slow, key=lambda name: -sum(tests[name])):
            terminalreporter.line(f"{sum(tests[name]):.1f} s {name}")


def exists(test: str) -> bool:
    file, *_, name = test.split("::")
    path = SLOW.parents[1] / file
    return path.is_file() and f"def {name}(" in path.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def cuda_device(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests marked ``gpu`` run on a GPU; where there is none, on one that stands in for it."""
    if request.node.get_closest_marker("gpu") is None:
        yield
        return
    import torch

    if torch.cuda.is_available():
        yield
        return
    from tests.standin import Standin

    with Standin() as device:
        yield
        assert not device.settings.refused, device.settings.refused


@pytest.fixture(scope="module", autouse=True)
def models_of_the_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Models that a module's tests built go with it, and what it cached: some take gigabytes.

    Collecting garbage is quick: what there was before the module is not looked at.
    """
    gc.freeze()
    yield
    models = sys.modules.get("deepface.runtime.models")
    for built in models.cached_models.values() if models else ():
        built.clear()
    for cached in vars(request.module).values():
        if getattr(cached, "__module__", None) == request.module.__name__:
            getattr(cached, "cache_clear", lambda: None)()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # glibc keeps a gigabyte that was freed
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """No module of tests changes the process for those after it: tables, variables, settings.

    That is an error with ``--fast``, where it is cheap to look for; else it is told.
    """
    before = state()
    yield
    if changed := left_behind(before, state()):
        told = f"{request.node.nodeid} leaves behind: " + "; ".join(changed)
        if request.config.getoption("--fast"):
            pytest.fail(told)
        warnings.warn(told, stacklevel=1)


@pytest.fixture(scope="session", autouse=True)
def log_level() -> None:
    """What is logged can be looked at: pytest sets up logging, for warnings only."""
    get_logger().setLevel(logging.INFO)


@pytest.fixture(scope="session", autouse=True)
def deepface_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with links to the test weights, and no network."""
    home = tmp_path_factory.mktemp("home")
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    files = {name: file for name, file in package_weights().items() if name in FOR_ALL}
    if WEIGHTS.is_dir():
        files |= {file.name: file for file in WEIGHTS.iterdir() if file.is_file()}
    for name, file in files.items():
        (folder / name).symlink_to(file)
    settings = {
        "DEEPFACE_HOME": str(home),
        "DEEPFACE_OFFLINE": "1",
        "DEEPFACE_ALLOW_UNKNOWN_WEIGHTS": ",".join(MADE_WEIGHTS),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    yield home
    for key, value in before.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
