"""How strong the tests are: small faults are put into the package, and the tests should notice.

``python -m tests.mutants --room cli`` takes a seeded sample of faults (a flipped comparison, a
number one higher, a keyword or a call left out, a lock removed ...), runs for each the tests of the
room that reach its line, and prints those that no test noticed. Some of these change nothing that
can be seen; the others are tests to be written. It is no part of CI: it takes minutes.

The tests run in a copy of the checkout, in processes forked off one that has imported what takes
long. ``coverage`` tells which test reaches which line.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Imported once; not what is tested.
_SLOW_IMPORTS = ("torch", "torchvision", "cv2", "pandas", "pyarrow.parquet", "pytest", "tqdm.auto")
#: Texts for people, and what only forbids: that one is gone or another is not looked for.
_TEXTS = {"help", "short_help", "epilog", "metavar", "desc", "frozen"}
_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One fault: the ``variant``-th way to change the ``node``-th node of a file."""

    file: str
    line: int
    #: The first and the last line that are run where the node is.
    lines: tuple[int, int]
    node: int
    variant: int
    what: str

    def source(self, before: str) -> str:
        """The file with the fault."""
        tree = ast.parse(before)
        _, change = list(_changes(list(ast.walk(tree))[self.node]))[self.variant]
        change()
        return ast.unparse(ast.fix_missing_locations(tree))


def mutants(file: Path) -> Iterator[Mutant]:
    """All faults of one file."""
    name = str(file.relative_to(ROOT))
    tree = ast.parse(file.read_text(encoding="utf-8"))
    passive = {id(node) for part in _passive(tree) for node in ast.walk(part)}
    start: dict[int, int] = {}  # of the statement that a node belongs to
    for number, node in enumerate(ast.walk(tree)):  # parents come first
        first = node.lineno if isinstance(node, ast.stmt) else start.get(id(node), 1)
        start.update((id(child), first) for child in ast.iter_child_nodes(node))
        if id(node) not in passive:
            for variant, (what, _) in enumerate(_changes(node)):
                place = node.context_expr if isinstance(node, ast.withitem) else node
                line, last = place.lineno, place.end_lineno  # type: ignore[attr-defined]
                yield Mutant(name, line, (first, last or line), number, variant, what)


def _passive(tree: ast.Module) -> Iterator[ast.AST]:
    """Parts that do nothing when the program runs: annotations, and imports for type checkers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield node
        for field in ("annotation", "returns"):
            if isinstance(part := getattr(node, field, None), ast.AST):
                yield part
        if isinstance(node, ast.keyword) and node.arg in _TEXTS:
            yield node
        if isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation):
            yield node
        if isinstance(node, ast.Assign) and "TypeVar" in ast.unparse(node.value):
            yield node


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[], None]]]:
    """What can be done to a node, in words, and what does it."""

    def put(field: str, value: object) -> Callable[[], None]:
        return lambda: setattr(node, field, value)

    if isinstance(node, ast.Compare) and type(node.ops[0]) in _FLIPPED:
        other = _FLIPPED[type(node.ops[0])]()
        yield "another comparison", put("ops", [other, *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and for or, or for and", put("op", swapped)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "without not", put("operand", ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        if not isinstance(node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            yield "the opposite condition", put("test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.BinOp) and type(node.op) in _SWAPPED:
        if not isinstance(node.left, (ast.Constant, ast.JoinedStr)) or _is_number(node.left):
            yield "another operation", put("op", _SWAPPED[type(node.op)]())
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "the opposite", put("value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield "one more", put("value", node.value + 1)
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in _TEXTS:
                rest = [other for other in node.keywords if other is not keyword]
                yield f"without {keyword.arg}=", put("keywords", rest)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "without the call", put("value", ast.Constant(None))
    elif isinstance(node, ast.Return) and not isinstance(node.value, (ast.Constant, type(None))):
        yield "None", put("value", ast.Constant(None))
    elif isinstance(node, ast.withitem) and "lock" in ast.unparse(node.context_expr).lower():
        nothing = ast.parse("__import__('contextlib').nullcontext()", mode="eval").body
        yield "without the lock", put("context_expr", nothing)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


class Laboratory:
    """A copy of the checkout in which faults are tried."""

    def __init__(self, tests: list[str], limit: float, slowest: float) -> None:
        self._tests = tests
        self._limit = limit
        self._slowest = slowest
        self._folder = Path(tempfile.mkdtemp(prefix="mutants-"))
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self._folder / name)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os.environ.setdefault("DEEPFACE_TEST_DATA", str(ROOT.parent / "shared"))
        for module in _SLOW_IMPORTS:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        self.seconds: dict[str, float] = {}
        self._reached = self._map()
        seen = {test for file in self._reached.values() for some in file.values() for test in some}
        self._apart = (
            set(self.seconds) - seen
        )  # in processes of their own, of which nothing is known

    def close(self) -> None:
        shutil.rmtree(self._folder)

    def _map(self) -> dict[str, dict[int, list[str]]]:
        """File -> line -> tests that reach it."""
        import coverage

        data = self._folder / ".coverage"
        settings = self._folder / ".coveragerc"
        settings.write_text(f"[run]\ndynamic_context = test_function\ndata_file = {data}\n")
        log = self._folder / "durations"

        def with_coverage() -> int:
            measured = coverage.Coverage(config_file=str(settings), source=["deepface"])
            measured.start()
            code = _pytest([*self._tests, "--durations=0", "-vvv"])
            measured.stop()
            measured.save()
            return code

        code = self._in_child(with_coverage, 100 * self._limit, log)
        text = log.read_text()
        if code != 0:
            sys.exit(f"the tests fail without any fault:\n{text[-3000:]}")
        for line in text.splitlines():
            parts = line.split()
            if len(parts) == 3 and parts[1] in ("call", "setup") and parts[0].endswith("s"):
                name = parts[2].split("[")[0]
                self.seconds[name] = self.seconds.get(name, 0) + float(parts[0][:-1])
        found = coverage.CoverageData(str(data))
        found.read()
        reached: dict[str, dict[int, list[str]]] = {}
        for file in found.measured_files():
            lines = found.contexts_by_lineno(file)
            name = str(Path(file).relative_to(self._folder))
            reached[name] = {n: [_node_id(c) for c in tests if c] for n, tests in lines.items()}
        return reached

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that reach a fault, quick ones first; of what is run at import, all.

        Slow ones only where there is no other.
        """
        lines = self._reached.get(mutant.file, {})
        first, last = mutant.lines
        tests = {test for line in range(first, last + 1) for test in lines.get(line, [])}
        tests = tests | self._apart if tests else set(self.seconds)
        quick = {test for test in tests if self.seconds.get(test, 0.0) <= self._slowest}
        return sorted(quick or tests, key=lambda test: (self.seconds.get(test, 0.0), test))

    def is_noticed(self, mutant: Mutant) -> bool:
        """Whether a test fails, or does not end."""
        path = self._folder / mutant.file
        before = path.read_text(encoding="utf-8")
        path.write_text(mutant.source(before), encoding="utf-8")
        try:
            tests = self.tests_of(mutant)
            limit = self._limit + 5 * sum(self.seconds.get(test, 0.0) for test in tests)
            return bool(tests) and self._in_child(lambda: _pytest(tests), limit) != 0
        finally:
            path.write_text(before, encoding="utf-8")

    def _in_child(self, run: Callable[[], int], limit: float, log: Path | None = None) -> int:
        child = os.fork()
        if child == 0:
            os.setsid()
            os.chdir(self._folder)
            sys.path.insert(0, str(self._folder))
            for name in [n for n in sys.modules if n.split(".")[0] in ("deepface", "tests")]:
                del sys.modules[name]
            os.environ["PYTHONPATH"] = str(self._folder)
            output = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = 99
            try:
                code = run()
            finally:
                sys.stdout.flush()
                os._exit(code)
        end = time.monotonic() + limit
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return 98


def _pytest(arguments: list[str]) -> int:
    import pytest

    return int(pytest.main([*arguments, "-x", "-q", "-p", "no:cacheprovider"]))


def _node_id(context: str) -> str:
    """``tests.cli.test_app.test_version`` as pytest names it."""
    parts = context.split(".")
    place = next(n for n, part in enumerate(parts) if part.startswith("test_"))
    return "::".join(["/".join(parts[: place + 1]) + ".py", *parts[place + 1 :]])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "--room", required=True, nargs="+", help="folders or files of deepface/, e.g. cli"
    )
    parser.add_argument("--tests", nargs="*", help="where its tests are; those of its folder")
    parser.add_argument("--count", type=int, default=100, help="most faults that are tried")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--limit", type=float, default=60, help="seconds for the tests of a fault")
    parser.add_argument("--slowest", type=float, default=3, help="seconds that a test may take")
    chosen = parser.parse_args()
    places = [ROOT / "deepface" / room for room in chosen.room]
    files = sorted(
        file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])
    )
    lines = {file: file.read_text(encoding="utf-8").splitlines() for file in files}
    known = [(file, mutant) for file in files for mutant in mutants(file)]
    sample = random.Random(chosen.seed).sample(known, min(chosen.count, len(known)))
    folders = sorted({f"tests/{room.removesuffix('.py').split('/')[0]}" for room in chosen.room})
    laboratory = Laboratory(chosen.tests or folders, chosen.limit, chosen.slowest)
    survivors = []
    try:
        for number, (file, mutant) in enumerate(sorted(sample, key=lambda m: (m[0], m[1].line)), 1):
            if not laboratory.is_noticed(mutant):
                survivors.append(mutant)
                code = lines[file][mutant.line - 1].strip()
                print(f"{mutant.file}:{mutant.line}: {mutant.what}: {code}", flush=True)
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{number}/{len(sample)}", end=end, file=sys.stderr, flush=True)
    finally:
        laboratory.close()
    noticed = len(sample) - len(survivors)
    share = 100 * noticed / max(1, len(sample))
    print(f"{noticed} of {len(sample)} faults noticed ({share:.0f} %); there are {len(known)}")


if __name__ == "__main__":
    main()
