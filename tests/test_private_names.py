"""Tests go through the public door. Where they do not is counted, and may only become less.

Left are how long a download waits, how many pixels are turned at a time (so many take gigabytes),
when a server's workers are idle, and the streams of the stand-in device.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
#: Lower these when it has become less.
MOST = {"attribute": 2, "patch": 3, "import": 0}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def given(tree: ast.AST) -> Iterator[str]:
    """Names that a module gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


@cache
def private_names() -> set[str]:
    """Of the package."""
    files = (TESTS.parent / "deepface").rglob("*.py")
    names = (name for file in files for name in given(ast.parse(file.read_text("utf-8"))))
    return set(filter(is_private, names))


def uses(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Private names of the package, and constants that are replaced: kind, line, name."""
    ours, elsewhere = private_names() - set(given(tree)), {"self", "cls"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            is_ours = (node.module or "").split(".")[0] == "deepface"
            for imported in node.names:
                if is_ours and is_private(imported.name):
                    yield "import", node.lineno, imported.name
                elif not is_ours:
                    elsewhere.add(imported.asname or imported.name)

    def leans(thing: str, name: str) -> bool:
        return thing.split(".")[0] not in elsewhere and name in ours

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and leans(ast.unparse(node.value), node.attr):
            yield "attribute", node.lineno, node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "patch")):
            thing, *others = (ast.unparse(part).strip("'\"") for part in node.args)
            if "deepface." in thing:
                thing, _, name = thing.rpartition(".")
            else:
                name = others[0] if others else ""
            constant = name.isupper() and thing.split(".")[0] not in elsewhere | {"sys", "os"}
            if constant or leans(thing, name):
                yield "patch", node.lineno, name


def test_private_names_are_found() -> None:
    source = """
from deepface.server.grpc.server import _server, serve
from tests.data import thing
monkeypatch.setattr(clinic, "CHECKS", ())
monkeypatch.setattr("deepface.search.database.nearest._PAGE", 5)
monkeypatch.setattr(thing, "_PAGE", 5)
batcher._idle + self._idle + thing._idle + batcher._own_name + batcher.idle
"""
    found = [(kind, name) for kind, _, name in uses(ast.parse(source))]
    patches = [("patch", "CHECKS"), ("patch", "_PAGE")]
    assert found == [("import", "_server"), *patches, ("attribute", "_idle")]


def test_private_names_do_not_become_more() -> None:
    found = [
        (kind, f"{file.relative_to(TESTS)}:{line} {name}")
        for file in sorted(TESTS.rglob("*.py"))
        for kind, line, name in uses(ast.parse(file.read_text("utf-8")))
    ]
    for kind, count in Counter(kind for kind, _ in found).items():
        assert count <= MOST[kind], [place for other, place in found if other == kind]
