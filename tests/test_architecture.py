"""Data walks one way: what ``docs/architecture.md`` says about imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepface import modeling
from deepface.pipeline.options import ACTIONS
from deepface.recognition.preprocessing import NORMALIZATIONS

PACKAGE = Path(__file__).parents[1] / "deepface"
#: A room imports from itself and from those before it. Rooms of one line import each other freely
#: as long as no circle of files comes of it.
ROOMS = (
    (
        "__init__",
        "_opencv",
        "types",
        "results",
        "errors",
        "logger",
        "arguments",
        "_pyinstaller",
    ),
    ("runtime",),
    ("images",),
    ("detection",),
    ("cropping",),
    ("spoofing", "recognition", "attributes"),
    ("matching",),
    ("search",),
    ("modeling", "published"),
    ("pipeline",),
)
DOORS = ("DeepFace", "tables", "cli", "server", "live", "distributed", "compat", "api", "client")


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(file): file for file in files()}


def imports(file: Path) -> Iterator[str]:
    """Modules of the package that a file imports, wherever in it, if for type checkers only."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                if inner in MODULES:
                    yield inner
                elif node.module in MODULES:
                    yield node.module


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


FLOOR = {name: floor for floor, names in enumerate(ROOMS) for name in names}


def test_every_module_is_in_a_room_of_the_plan() -> None:
    assert {room(name) for name in MODULES} <= {*FLOOR, *DOORS}


@pytest.mark.parametrize("name", list(MODULES))
def test_a_room_imports_only_from_rooms_before_it(name: str) -> None:
    here = room(name)
    for other in set(imports(MODULES[name])):
        there = room(other)
        if here in DOORS:
            shared = (here, "compat", "DeepFace")  # whose signatures the other doors offer
            assert there not in DOORS or there in shared, f"{name} imports the door {other}"
        elif name != "deepface":
            assert there in FLOOR and FLOOR[there] <= FLOOR[here], f"{name} imports {other}"


def test_no_circle_of_files() -> None:
    arrows = {name: set(imports(file)) - {name} for name, file in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in arrows[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in arrows:
        visit(name, ())


def test_a_package_that_cannot_be_imported_says_why() -> None:
    """It may be there, and lack something of its own."""
    for name, file in MODULES.items():
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "raise MissingPackageError" in text else ():
            if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name):
                said = ast.unparse(node)
                if "raise MissingPackageError" in said:
                    assert f"{{{node.name}" in said, f"{name}, line {node.lineno}"


#: Where models are named besides their cards: what is published, what is measured, the defaults.
NAMING = ("DeepFace", "compat", "runtime.execution.engine_table", "pipeline.options")


def test_no_room_names_a_model_by_text() -> None:
    """But for a model's own files, and for what is called the same: packages, ways to normalise."""
    models = {name for registry in modeling.TASKS.values() for name in registry.own}
    same = {*NORMALIZATIONS, "DeepFace", "dlib", "mtcnn", "opencv"}
    found = {
        f"{name}: {node.value}"
        for name, file in MODULES.items()
        if ".cards." not in name and name.removeprefix("deepface.") not in NAMING
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in models - same
    }
    assert found == {
        *(f"deepface.attributes.{model.lower()}: {model}" for model in ACTIONS.values()),
        "deepface.detection.yolo.detector: yolov8n",
    }


CLASSES = {
    node.name: node
    for file in files()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    if isinstance(node, ast.ClassDef)
}


def lineage(name: str) -> Iterator[str]:
    """A class and all that it inherits from, by their names."""
    yield name
    for base in CLASSES[name].bases if name in CLASSES else ():
        yield from lineage(ast.unparse(base).split("[")[0].split(".")[-1])


def methods(name: str) -> list[ast.FunctionDef]:
    body = CLASSES[name].body if name in CLASSES else ()
    return [part for part in body if isinstance(part, ast.FunctionDef)]


def test_every_public_method_is_documented_once() -> None:
    """By itself, or by a class that it inherits from: then it need not say so."""

    def documented(name: str, method: str) -> bool:
        known = (part for above in lineage(name) for part in methods(above))
        return any(part.name == method and ast.get_docstring(part) for part in known)

    public = [name for name in CLASSES if not name.startswith("_")]
    missing = [
        f"{name}.{part.name}"
        for name in public
        for part in methods(name)
        if not part.name.startswith("_") and not documented(name, part.name)
    ]
    assert not missing


def test_abstract_methods_are_in_abstract_classes() -> None:
    """Elsewhere the word does nothing."""
    abstract = [
        name
        for name in CLASSES
        for part in methods(name)
        if any("abstractmethod" in ast.unparse(decorator) for decorator in part.decorator_list)
    ]
    assert abstract
    assert not [name for name in abstract if "ABC" not in lineage(name)]
