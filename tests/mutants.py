"""How strong the tests are: small faults are put into the package, and the tests should notice.

``python -m tests.mutants --room cli`` takes a seeded sample of faults (a flipped comparison, a
number one higher, a keyword or a call left out, a lock removed ...), runs for each the tests that
reach its line, those of the room first, and prints those that no test noticed. Some of these change
nothing that can be seen; the others are tests to be written. It is no part of CI: it takes minutes.

The tests run in a copy of the checkout, in processes forked off one that has imported what takes
long. ``coverage`` tells which test reaches which line; what it told is kept in the temporary folder
for the next run with the same files.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib
import json
import os
import py_compile
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from coverage import Coverage

ROOT = Path(__file__).parents[1]
#: Imported once; not what is tested.
_SLOW_IMPORTS = (
    "torch", "torchvision", "cv2", "pandas", "pyarrow.parquet", "pytest", "tqdm.auto", "hypothesis",
    "hypothesis.strategies", "scipy.sparse", "PIL.Image", "requests", "numpy.testing",
)  # fmt: skip
#: Keywords whose absence shows nowhere, or on other systems and devices than that of the tests:
_UNSEEN = {
    "help", "short_help", "epilog", "metavar", "desc",  # texts for people
    "frozen", "strict", "kw_only", "repr", "slots",  # what only forbids, and what debuggers show
    "copy", "daemon", "name", "thread_name_prefix", "memory_format", "non_blocking", "inplace",
    "encoding", "newline",  # UTF-8 and "\n" are what Linux takes without them
}  # fmt: skip
#: So few tests may reach a line that others need, too.
_FEW = 20
#: A note in the log that nobody must heed.
_NOTE = re.compile(r"get_logger\(\)\.(info|debug)\(")
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
    if any(isinstance(node, ast.Import) and node.names[0].name == "triton" for node in tree.body):
        return  # kernels run on a GPU alone
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
    """Parts that do nothing when the program runs (annotations ...), and notes in the log."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield node
        for field in ("annotation", "returns"):
            if isinstance(part := getattr(node, field, None), ast.AST):
                yield part
        if isinstance(node, ast.keyword) and node.arg in _UNSEEN:
            yield node
        if isinstance(node, ast.FunctionDef) and "overload" in map(
            ast.unparse, node.decorator_list
        ):
            yield node
        if isinstance(node, ast.Expr) and _NOTE.match(ast.unparse(node)):
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
            if keyword.arg is not None and keyword.arg not in _UNSEEN:
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
    """A copy of the checkout in which faults are tried.

    Args:
        rooms: the folders of the tests that go first.
        tests: what pytest runs, each time: files, folders, options.
        limit: seconds that the tests of a fault may take, besides what they take without it.
        seconds: of the tests that are run for a fault, quick ones first.
    """

    def __init__(
        self, rooms: list[str], tests: list[list[str]], limit: float, seconds: float
    ) -> None:
        self._rooms = tuple(f"{room}/" for room in rooms)
        self._limit = limit
        self._budget = seconds
        self._folder = Path(tempfile.mkdtemp(prefix="mutants-"))
        self._failed: Counter[str] = Counter()
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        digest = hashlib.sha256()
        for name in sorted(listed.stdout.splitlines()):
            if (ROOT / name).is_file():
                (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self._folder / name)
                if name.startswith(("deepface/", "tests/")) and ROOT / name != Path(__file__):
                    digest.update(name.encode() + (ROOT / name).read_bytes())
                if name.endswith(".py"):
                    py_compile.compile(str(self._folder / name), doraise=True)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os.environ.setdefault("DEEPFACE_TEST_DATA", str(ROOT.parent / "shared"))
        for module in _SLOW_IMPORTS:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        self.seconds: dict[str, float] = {}
        self._reached: dict[str, dict[str, list[str]]] = {}
        for some in tests:
            told = f"{digest.hexdigest()}{some}".encode()
            kept = Path(tempfile.gettempdir(), f"mutants-{hashlib.sha256(told).hexdigest()}.json")
            if not kept.exists():
                kept.write_text(json.dumps(self._map(some)))
            known, reached = json.loads(kept.read_text())
            self.seconds.update(known)
            for file, lines in reached.items():
                for line, names in lines.items():
                    self._reached.setdefault(file, {}).setdefault(line, []).extend(names)
        seen = {test for file in self._reached.values() for some in file.values() for test in some}
        # In processes of their own, of which nothing is known.
        self._apart = {t for t in self.seconds if t not in seen and t.startswith(self._rooms)}

    def close(self) -> None:
        shutil.rmtree(self._folder)

    def _map(self, tests: list[str]) -> tuple[dict[str, float], dict[str, dict[str, list[str]]]]:
        """Test -> seconds; file -> line -> tests that reach it."""
        import coverage

        file = self._folder / "reached.json"

        def with_coverage() -> int:
            # In memory: a test may become a user who may not write here.
            measured = coverage.Coverage(data_file=None, source=["deepface"])
            measured.start()
            watch = _Watch(measured)
            code = _pytest(tests, watch)
            measured.stop()
            found = measured.get_data()
            reached = {
                str(Path(name).relative_to(self._folder)): {
                    line: [context for context in contexts if context]
                    for line, contexts in found.contexts_by_lineno(name).items()
                }
                for name in found.measured_files()
            }
            file.write_text(json.dumps((watch.seconds, reached)))
            return code

        code, text = self._in_child(with_coverage, 100 * self._limit)
        if code != 0:
            sys.exit(f"the tests fail without any fault:\n{text[-3000:]}")
        seconds, reached = json.loads(file.read_text())
        return seconds, reached

    def tests_of(self, mutant: Mutant) -> list[list[str]]:
        """The tests that reach a fault, and where these are few, all others.

        Few, because what is run once (at import, into a cache) is reached by the first test alone
        that needs it. First what noticed other faults, then those of the room, then all, and quick
        ones first: pytest imports all files of the tests that it is given before it runs one.
        """
        lines = self._reached.get(mutant.file, {})
        first, last = mutant.lines
        reached = {test for line in range(first, last + 1) for test in lines.get(str(line), [])}
        tests = reached | self._apart
        if len(reached) < _FEW:
            reached |= {test for some in lines.values() for test in some}
            tests |= reached | set(self.seconds)

        def order(test: str) -> tuple[object, ...]:
            is_of_room = test.startswith(self._rooms)
            return not is_of_room, test not in reached, self.seconds.get(test, 0.0), test

        chosen: list[str] = []
        left = self._budget
        for test in sorted(tests, key=order):
            left -= self.seconds.get(test, 0.0)
            if left >= 0 or not chosen:
                chosen.append(test)
        parts: dict[int, list[str]] = {0: [], 1: [], 2: []}
        famous = [test for test, _ in self._failed.most_common() if test in chosen][:5]
        for test in chosen:
            parts[0 if test in famous else 1 if test.startswith(self._rooms) else 2].append(test)
        return [part for part in parts.values() if part]

    def fate(self, mutant: Mutant) -> str:
        """``noticed``, where a test fails; ``did not end``, which a busy machine may be the reason
        of; ``not noticed``.
        """
        path = self._folder / mutant.file
        before, times = path.read_text(encoding="utf-8"), path.stat()
        path.write_text(mutant.source(before), encoding="utf-8")
        try:
            for tests in self.tests_of(mutant):
                limit = self._limit + 5 * sum(self.seconds.get(test, 0.0) for test in tests)
                code, text = self._in_child(partial(_pytest, tests), limit)
                if code is None:
                    return "did not end"
                if code != 0:
                    failed = re.findall(r"^(?:FAILED|ERROR) ([^\s\[]+)", text, re.MULTILINE)
                    self._failed.update(failed)
                    return "noticed"
            return "not noticed"
        finally:
            path.write_text(before, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # what is compiled is its own

    def _in_child(self, run: Callable[[], int], limit: float) -> tuple[int | None, str]:
        """The exit code, ``None`` where it did not end; and what was printed."""
        log = self._folder / "log"
        child = os.fork()
        if child == 0:
            os.setsid()
            os.chdir(self._folder)
            sys.path.insert(0, str(self._folder))
            for name in [n for n in sys.modules if n.split(".")[0] in ("deepface", "tests")]:
                del sys.modules[name]
            os.environ["PYTHONPATH"] = str(self._folder)
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = 99
            try:
                code = run()
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                sys.stdout.flush()
                os._exit(code)
        end = time.monotonic() + limit
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), log.read_text(errors="replace")
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None, log.read_text(errors="replace")


class _Watch:
    """A plugin of pytest: which test runs, for how long."""

    def __init__(self, measured: Coverage) -> None:
        self._measured = measured
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._measured.switch_context(nodeid.split("[")[0])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.split("[")[0]
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration


def _pytest(arguments: list[str], *plugins: object) -> int:
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    return int(pytest.main([*arguments, *options], plugins))


def _sample(known: list[tuple[Path, Mutant]], count: int, seed: int) -> list[tuple[Path, Mutant]]:
    """Some of the faults: the same ones also after other lines were changed."""
    lines: dict[Path, list[str]] = {}
    order = {}
    alike: Counter[str] = Counter()
    for file, mutant in known:
        code = lines.setdefault(file, file.read_text(encoding="utf-8").splitlines())
        text = f"{seed} {mutant.file} {mutant.what} {code[mutant.line - 1].strip()}"
        alike[text] += 1
        order[mutant] = hashlib.sha256(f"{text} {alike[text]}".encode()).digest()
    return sorted(known, key=lambda some: order[some[1]])[:count]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "--room", required=True, nargs="+", help="folders or files of deepface/, e.g. cli"
    )
    parser.add_argument("--slow", nargs="+", default=[], help="whose slow tests are run too")
    parser.add_argument("--only", nargs="+", help="the tests to run in place of all quick ones")
    parser.add_argument("--count", type=int, default=100, help="most faults that are tried")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--limit", type=float, default=60, help="seconds for the tests of a fault")
    parser.add_argument("--seconds", type=float, default=20, help="of tests for a fault")
    chosen = parser.parse_args()
    places = [ROOT / "deepface" / room for room in chosen.room]
    files = sorted(
        file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])
    )
    lines = {file: file.read_text(encoding="utf-8").splitlines() for file in files}
    known = [(file, mutant) for file in files for mutant in mutants(file)]
    sample = _sample(known, chosen.count, chosen.seed)
    folders = sorted({f"tests/{room.removesuffix('.py').split('/')[0]}" for room in chosen.room})
    quick = [["--fast", "tests"]] if chosen.only is None else [[place] for place in chosen.only]
    tests = [*quick, *([place] for place in chosen.slow)]
    laboratory = Laboratory(folders, tests, chosen.limit, chosen.seconds)
    fates: Counter[str] = Counter()
    try:
        for number, (file, mutant) in enumerate(sorted(sample, key=lambda m: (m[0], m[1].line)), 1):
            fate = laboratory.fate(mutant)
            fates[fate] += 1
            if fate != "noticed":
                code = lines[file][mutant.line - 1].strip()
                print(f"{fate}: {mutant.file}:{mutant.line}: {mutant.what}: {code}", flush=True)
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{number}/{len(sample)}", end=end, file=sys.stderr, flush=True)
    finally:
        laboratory.close()
    share = 100 * fates["noticed"] / max(1, len(sample))
    told = ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items()))
    print(f"of {len(sample)} faults {told} ({share:.0f} % noticed); there are {len(known)}")


if __name__ == "__main__":
    main()
