import json
from csv import reader
from pathlib import Path

import cv2
import pytest

from benchmarks import haar
from benchmarks.__main__ import main
from benchmarks.haar import ALL_CORES, ONE_BY_ONE, OURS, OURS_CPU, Key
from benchmarks.pictures import read
from tests.data import package_pictures


def test_every_way_finds_the_same(tmp_path: Path) -> None:
    portrait = read(package_pictures()[0])
    for number in range(2):
        picture = cv2.resize(portrait[:, 100 * number : 400 + 100 * number], (160, 200))
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    arguments = f"haar --images {tmp_path} --size 160x200 --batch 1,2 --repeat 2 --device cpu"
    assert main([*arguments.split(), "--out", str(tmp_path / "out")]) == 0
    (table,) = (tmp_path / "out").glob("haar-*.csv")
    lines = list(reader(table.read_text().splitlines()))
    run, batch, faces, eyes = (lines[0].index(name) for name in ("run", "batch", "faces", "eyes"))
    ways = [("1", ONE_BY_ONE), ("2", ALL_CORES)]
    ways += [(size, run) for size in ("1", "2") for run in (OURS_CPU, OURS)]
    assert [(line[batch], line[run]) for line in lines[1:]] == ways
    assert len({(line[faces], line[eyes]) for line in lines[1:]}) == 1
    assert int(lines[1][faces]) > 0
    (document,) = (tmp_path / "out").glob("haar-*.json")
    result = json.loads(document.read_text())
    assert result["settings"]["rounds"] == 2
    goal, choice = result["notes"]
    assert goal.startswith(f"batch 2 to OpenCV on all cores: {OURS} ") and "goal on a GPU" in goal
    assert choice.startswith("left to choose, the detector takes")


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ({1: 0.5, 8: 0.1}, f"{OURS} at batch 8"),
        ({1: 0.1, 8: 0.1}, f"{OURS} at batch 1, 8"),
        ({1: 0.5, 8: 0.5}, f"{OURS_CPU} at every batch"),
    ],
)
def test_what_the_detector_chooses(device: dict[int, float], expected: str) -> None:
    times: dict[Key, list[float]] = {(OURS_CPU, batch): [0.3, 0.2] for batch in device}
    times |= {(OURS, batch): [9.0, rate] for batch, rate in device.items()}
    assert haar._choice(times, list(device)) == f"left to choose, the detector takes {expected}"


def test_rounds_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def run() -> list[bool]:
        nonlocal now
        now += 4.0
        return [True]

    monkeypatch.setattr("time.perf_counter", lambda: now)
    runs = {("a", 1): (1, run), ("b", 2): (2, run)}
    found, times = haar._measure(runs, 9, 30)
    assert found == {("a", 1): [True], ("b", 2): [True]}
    assert times == {("a", 1): [4.0, 4.0], ("b", 2): [2.0, 2.0]}
