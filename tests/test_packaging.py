"""What is built from the tree, installed as a stranger would, and frozen."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import deepface
from tests.data import WEIGHTS, package_pictures

ROOT = Path(__file__).resolve().parents[1]
#: Everything that a build reads: tests, benchmarks and documents are no part of it.
SOURCES = (
    *("deepface", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"),
    "requirements.txt",
)
#: An encoding in which the README cannot be read.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SCRIPT = """
import json, sys
from deepface import DeepFace

for detector in sys.argv[2:]:
    faces = DeepFace.extract_faces(sys.argv[1], detector_backend=detector)
    print(json.dumps([detector, sys.modules["deepface"].__file__, faces[0]["facial_area"]]))
"""


def metadata() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return loaded


def test_requirements_txt_repeats_the_metadata() -> None:
    assert (ROOT / "requirements.txt").read_text("utf-8").split() == metadata()["dependencies"]


def test_every_extra_is_one_that_exists() -> None:
    extras = metadata()["optional-dependencies"]
    named = {
        extra
        for requirements in extras.values()
        for requirement in map(Requirement, requirements)
        if requirement.name == "deepface"
        for extra in requirement.extras
    }
    assert named <= set(extras)


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """What a command prints; nothing of this checkout is on its path."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


def build(kind: str, tree: Path) -> Path:
    """The ``wheel`` or ``sdist`` of a tree."""
    code = f"import setuptools.build_meta as b; print('made', b.build_{kind}('dist'))"
    said = run(sys.executable, "-c", code, cwd=tree, **ASCII)
    return tree / "dist" / said.split()[-1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def sdist(tree: Path) -> Path:
    return build("sdist", tree)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, sdist: Path) -> Path:
    """An environment with this package from its sdist, and what it needs from where tests run.

    Packages that are installed there as links to a checkout, as this one, are not seen.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    scheme = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    (packages / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    executable = Path(sysconfig.get_path("scripts", "venv", scheme), "python")
    pip = (sys.executable, "-m", "pip", "--python", executable, "install", "--no-index")
    options = ("--no-deps", "--no-build-isolation", "--ignore-installed")
    run(*pip, *options, sdist, cwd=folder, **ASCII)
    return executable


@pytest.mark.heavy
def test_the_wheel_of_the_sdist_is_that_of_the_tree(
    tree: Path, sdist: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    wheels = []
    for source in (tree, unpacked):
        with zipfile.ZipFile(build("wheel", source)) as wheel:
            wheels.append({name: wheel.read(name) for name in wheel.namelist()})
    assert wheels[0] == wheels[1]
    files = (path for path in (ROOT / "deepface").rglob("*") if path.is_file())
    expected = {str(path.relative_to(ROOT)) for path in files if path.parent.name != "__pycache__"}
    assert expected == {name for name in wheels[0] if name.startswith("deepface/")}
    assert {path.name for path in unpacked.iterdir()} >= set(SOURCES)


@pytest.mark.heavy
def test_the_sdist_installs_and_finds_a_face(python: Path, tmp_path: Path) -> None:
    said = run(python, "-c", SCRIPT, package_pictures()[0], "opencv", cwd=tmp_path)
    name, file, area = json.loads(said)
    assert name == "opencv"
    assert Path(file).is_relative_to(python.parent.parent)
    assert area["w"] > 50
    command = python.with_name("deepface")
    assert deepface.__version__ in run(command, "--version", cwd=tmp_path)


def freeze(python: Path, folder: Path, excluded: Iterable[str]) -> Path:
    """The script as a program of its own."""
    (folder / "program.py").write_text(SCRIPT)
    options = [option for name in excluded for option in ("--exclude-module", name)]
    make = ("-m", "PyInstaller", "--noconfirm", "--log-level", "WARN")
    run(python, *make, *options, "program.py", cwd=folder)
    return folder / "dist" / "program" / "program"


def needless(*left_out: str) -> list[str]:
    """Modules installed here that the package can do without, and those ``left_out``."""
    left, needed = (ROOT / "requirements.txt").read_text("utf-8").split(), set()
    while left:
        requirement = Requirement(left.pop())
        name = canonicalize_name(requirement.name)
        is_meant = requirement.marker is None or requirement.marker.evaluate()
        if is_meant and name not in needed and name not in left_out:
            needed.add(name)
            left += importlib.metadata.requires(name) or []
    return sorted(
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if module.isidentifier() and module != "deepface"
        if needed.isdisjoint(map(canonicalize_name, owners))
    )


def detected(*command: str | Path, cwd: Path) -> list[Any]:
    found = [json.loads(line) for line in run(*command, cwd=cwd).splitlines()]
    return [(name, area) for name, _, area in found]


@pytest.mark.heavy
def test_a_frozen_program_without_torch(python: Path, tmp_path: Path) -> None:
    detectors: Sequence[str] = ("opencv",)
    if (WEIGHTS / "face_detection_yunet_2023mar.onnx").is_file():
        detectors = ("yunet", "opencv")
    # What is installed beside this package for the tests would make the program larger.
    program = freeze(python, tmp_path, needless("torch", "torchvision"))
    arguments = (str(package_pictures()[0]), *detectors)
    expected = detected(python, "-c", SCRIPT, *arguments, cwd=tmp_path)
    assert detected(program, *arguments, cwd=tmp_path) == expected
