"""``doctor``: what is installed, what is wrong with it, and the command that repairs it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal

import click
from packaging.requirements import Requirement
from packaging.version import Version

from deepface import __version__
from deepface.cli.models import kinds
from deepface.cli.options import Command, options
from deepface.cli.outcome import stdout
from deepface.runtime.card import ONNX_RUNTIME, Package

#: Packages that no model needs -> what they are for.
_OPTIONAL = {
    Package("pandas", "pip install pandas"): "tables from find",
    Package("pyarrow", "pip install pyarrow"): "--output FILE.parquet",
}
#: Each of them brings a ``cv2`` folder: the second one overwrites files of the first.
_OPENCV = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
_ONNX = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
_REPAIR_OPENCV = 'pip install "opencv-python>=4.11,<5"'
_REPAIR_OWN = "pip install PATH_OF_THE_CHECKOUT"
#: Less free space than the weights of the default models need is told.
_LITTLE_SPACE = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """What one check found; ``fix`` is a command."""

    state: Literal["ok", "absent", "broken"]
    what: str
    fix: str | None = None


@click.command(cls=Command)
@options()
def doctor() -> None:
    """Check the installation; say what repairs it. Exit code 1 if something is broken."""
    out = stdout()
    broken = 0
    for check in CHECKS:
        for finding in check():
            broken += finding.state == "broken"
            click.echo(f"{finding.state:<7} {finding.what}", out)
            if finding.fix is not None:
                click.echo(f"{'':<7} -> {finding.fix}", out)
    click.echo("all is well" if not broken else f"{broken} broken", err=True)
    sys.exit(1 if broken else 0)


def check_python() -> Iterator[Finding]:
    """This package, Python and the system."""
    text = f"deepface {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield Finding("ok", f"{text}, {os.cpu_count()} processors")


def check_required() -> Iterator[Finding]:
    """Packages that everything needs, as the installed metadata says."""
    good = []
    try:
        needed = requirements()
    except PackageNotFoundError:
        yield Finding("broken", "deepface runs from a folder, but is not installed", _REPAIR_OWN)
        return
    for requirement in needed:
        found = installed(requirement.name)
        fix = f'pip install "{requirement}"'
        if found is None:
            yield Finding("broken", f"{requirement.name} is missing", fix)
        elif not requirement.specifier.contains(found, prereleases=True):
            what = f"{requirement.name} {found} does not satisfy {requirement.specifier}"
            yield Finding("broken", what, fix)
        else:
            good.append(f"{requirement.name} {found}")
    yield Finding("ok", ", ".join(good))


def requirements() -> list[Requirement]:
    """What deepface needs without extras on this machine, but OpenCV, which has a check of its own.

    Raises:
        PackageNotFoundError: deepface is not installed.
    """
    return [
        requirement
        for requirement in map(Requirement, requires("deepface") or ())
        if requirement.name not in _OPENCV
        and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    ]


def check_opencv() -> Iterator[Finding]:
    """One OpenCV, from 4.11 and below 5, with what the detectors need."""
    wheels = {name: found for name in _OPENCV if (found := installed(name)) is not None}
    names = ", ".join(f"{name} {found}" for name, found in wheels.items())
    remove = f"pip uninstall -y {' '.join(_OPENCV)}"
    if not wheels:
        yield Finding("broken", "OpenCV is missing", _REPAIR_OPENCV)
    elif len(wheels) > 1:
        what = f"{len(wheels)} OpenCV wheels overwrite each other's files: {names}"
        yield Finding("broken", what, f"{remove} && {_REPAIR_OPENCV}")
    elif (opencv := Version(*wheels.values())) >= Version("5"):
        what = f"{names}: version 5 has neither the cascade classifier nor the Caffe importer"
        yield Finding("broken", what, _REPAIR_OPENCV)
    elif opencv < Version("4.11"):
        what = f"{names}: before 4.11, JPEG files that end too early are taken for whole ones"
        yield Finding("broken", what, f"{remove} && {_REPAIR_OPENCV}")
    else:
        yield _import_of_opencv(names, f"{remove} && {_REPAIR_OPENCV}")


def _import_of_opencv(names: str, fix: str) -> Finding:
    try:
        import cv2

        missing = [name for name in ("imdecode", "CascadeClassifier") if not hasattr(cv2, name)]
    except ImportError as error:
        fix = "apt-get install libgl1 libglib2.0-0" if "libGL" in str(error) else fix
        return Finding("broken", f"{names}: {error}", fix)
    if missing:
        return Finding("broken", f"{names} lacks {', '.join(missing)}", fix)
    return Finding("ok", names)


def check_optional() -> Iterator[Finding]:
    """Packages for some models and formats."""
    purposes: dict[Package, list[str]] = {}
    for kind, cards in kinds().items():
        for card in cards.values():
            if card.package not in (None, ONNX_RUNTIME):
                purposes.setdefault(card.package, []).append(f"{kind} {card.name}")
    for package, models in purposes.items():
        more = f" and {len(models) - 2} more" if len(models) > 2 else ""
        yield _optional(package, f"{', '.join(models[:2])}{more}")
    for package, purpose in _OPTIONAL.items():
        yield _optional(package, purpose)


def _optional(package: Package, purpose: str) -> Finding:
    names = package.distributions or (package.name,)
    for name in names:
        if (found := installed(name)) is not None:
            return Finding("ok", f"{name} {found} ({purpose})")
    return Finding("absent", f"{names[0]} ({purpose})", package.install)


def check_onnx() -> Iterator[Finding]:
    """ONNX Runtime and its providers."""
    wheels = [name for name in _ONNX if installed(name) is not None]
    purpose = "models SFace, Buffalo_L; .onnx weights; small networks on a CPU"
    if not wheels:
        yield Finding("absent", f"onnxruntime ({purpose})", "pip install onnxruntime")
        return
    if len(wheels) > 1:
        what = f"{' and '.join(wheels)} overwrite each other's files"
        fix = f"pip uninstall -y {' '.join(wheels)} && pip install onnxruntime"
        yield Finding("broken", what, fix)
        return
    try:
        import onnxruntime

        providers = ", ".join(onnxruntime.get_available_providers())
        yield Finding("ok", f"{wheels[0]} {installed(wheels[0])} ({purpose}): {providers}")
    except (ImportError, AttributeError) as error:
        fix = f"pip install --force-reinstall {wheels[0]}"
        yield Finding("broken", f"{wheels[0]}: {error}", fix)


def check_device() -> Iterator[Finding]:
    """Where networks run."""
    try:
        import torch

        from deepface.runtime.execution.device import resolve_device

        device = resolve_device()
    except ImportError as error:
        yield Finding("broken", f"torch cannot be imported: {error}", "pip install torch")
        return
    except (RuntimeError, ValueError) as error:
        yield Finding("broken", str(error), "unset DEEPFACE_DEVICE")
        return
    if device.type == "cuda":
        text = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
        free, total = (count / 1e9 for count in torch.cuda.mem_get_info(device))
        yield Finding("ok", f"device {device}: {text}, {free:.1f} of {total:.1f} GB free")
        return
    yield Finding("ok", f"device {device}, {torch.get_num_threads()} threads")
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        built = torch.version.cuda
        reason = f"is built for CUDA {built}" if built else "is built without CUDA"
        yield Finding(
            "absent",
            f"there is an NVIDIA driver, but torch {torch.__version__} {reason}",
            "see https://pytorch.org/get-started/locally for the build for your driver",
        )


def check_weights() -> Iterator[Finding]:
    """The weights folder: writable, with space, its files complete."""
    from deepface.runtime.home import weights_folder
    from deepface.runtime.weights.damage import repair_command
    from deepface.runtime.weights.store import fault_of, file_on_disk, verification_of

    folder = weights_folder()
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        what = f"the weights folder {folder} cannot be written"
        yield Finding("broken", what, "export DEEPFACE_HOME=A_FOLDER_OF_YOURS")
    free = shutil.disk_usage(existing).free
    cards = [card for kind in kinds().values() for card in kind.values()]
    ready = [
        card.name
        for card in cards
        if card.files and all(any(map(file_on_disk, group)) for group in card.files)
    ]
    text = f"weights folder {folder}: {free / 1e9:.1f} GB free, weights of {len(ready)} models"
    if free < _LITTLE_SPACE:
        yield Finding("broken", f"{text}: too little space", "export DEEPFACE_HOME=A_LARGER_DISK")
    else:
        yield Finding("ok", text)
    files = {file.name: file for card in cards for file in card.weight_files()}
    for file in files.values():
        if (path := file_on_disk(file)) is None:
            continue
        if (fault := fault_of(file)) is None:
            yield Finding("ok", f"{path}, verified before it is opened by: {verification_of(file)}")
        else:
            yield Finding("broken", fault, repair_command(path))
    if offline := os.environ.get("DEEPFACE_OFFLINE"):
        yield Finding("ok", f"DEEPFACE_OFFLINE={offline}: no downloads")


#: What the command runs, in order.
CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_required,
    check_opencv,
    check_device,
    check_onnx,
    check_optional,
    check_weights,
)


def installed(distribution: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
