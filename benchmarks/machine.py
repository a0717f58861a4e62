"""What a measurement was made on and with."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from deepface import __version__

_PACKAGES = ("torch", "torchvision", "numpy", "ultralytics", "onnxruntime")
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, memory, GPUs, thread limit, load at the start."""
    affinity = getattr(os, "sched_getaffinity", None)
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gb": round(pages * size / 1e9, 1),
        "gpu": _gpu(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "load": round(os.getloadavg()[0], 1),
    }


def versions() -> dict[str, str | None]:
    """Python, this library with its commit, and the packages that do the work."""
    found = {name: _version(name) for name in _PACKAGES}
    opencv = [text for name in _OPENCV if (text := _version(name))]
    return {
        "python": platform.python_version(),
        "deepface": __version__,
        "commit": _commit(),
        "opencv": opencv[0] if opencv else None,
        **found,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _gpu() -> str | None:
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return "; ".join(result.stdout.split("\n")).strip("; ") or None


def _commit() -> str:
    """The commit of the checkout, with ``+`` when files differ from it."""
    root = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
