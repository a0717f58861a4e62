from csv import reader
from pathlib import Path

import cv2

from benchmarks.__main__ import main
from benchmarks.haar import ALL_CORES, ONE_BY_ONE, OURS, OURS_CPU
from benchmarks.pictures import read
from tests.data import package_pictures


def test_every_way_finds_the_same(tmp_path: Path) -> None:
    portrait = read(package_pictures()[0])
    for number in range(2):
        picture = cv2.resize(portrait[:, 100 * number : 400 + 100 * number], (160, 200))
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    arguments = f"haar --images {tmp_path} --size 160x200 --batch 1,2 --repeat 1 --device cpu"
    assert main([*arguments.split(), "--out", str(tmp_path / "out")]) == 0
    (table,) = (tmp_path / "out").glob("haar-*.csv")
    lines = list(reader(table.read_text().splitlines()))
    run, batch, faces, eyes = (lines[0].index(name) for name in ("run", "batch", "faces", "eyes"))
    ways = [("1", ONE_BY_ONE), ("2", ALL_CORES), ("2", OURS_CPU), ("1", OURS), ("2", OURS)]
    assert [(line[batch], line[run]) for line in lines[1:]] == ways
    assert len({(line[faces], line[eyes]) for line in lines[1:]}) == 1
    assert int(lines[1][faces]) > 0
