"""The figures of the LFW benchmark, on distances with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.lfw import judge, read_pairs


def test_figures() -> None:
    distances = np.array([0.01, 0.02, 0.08, 0.05, 0.09, 0.2])
    same = np.array([True, True, True, False, False, False])
    row, (false_rate, true_rate) = judge(distances, same, "Dlib", "cosine", True)
    assert row["threshold"] == 0.07
    assert row["accuracy"] == pytest.approx(4 / 6)  # 0.08 is missed, 0.05 is taken
    assert row["best_accuracy"] == pytest.approx(5 / 6)
    assert row["auc"] == pytest.approx(8 / 9)  # one of nine pairs of pairs is in the wrong order
    assert false_rate[0] == true_rate[0] == 0
    assert false_rate[-1] == true_rate[-1] == 1


def test_separated_pairs() -> None:
    distances = np.array([0.1, 0.2, 0.5, 0.6])
    row, _ = judge(distances, np.array([True, True, False, False]), "Dlib", "cosine", True)
    assert row["best_accuracy"] == 1
    assert row["auc"] == 1
    assert 0.2 < row["best_threshold"] < 0.5


def test_equal_distances_fall_on_one_side() -> None:
    row, _ = judge(np.full(4, 0.3), np.array([True, False, True, False]), "Dlib", "cosine", True)
    assert row["best_accuracy"] == 0.5
    assert row["auc"] == 0.5


def test_pairs_file(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("A_B\t1\t4\nA_B\t2\tC\t13\n")
    (first, second) = read_pairs(tmp_path)
    assert first == (str(tmp_path / "A_B/A_B_0001.jpg"), str(tmp_path / "A_B/A_B_0004.jpg"), True)
    assert second == (str(tmp_path / "A_B/A_B_0002.jpg"), str(tmp_path / "C/C_0013.jpg"), False)
