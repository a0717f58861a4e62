from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.index import Crowd, _nearest

pytest.importorskip("faiss", reason="pip install faiss-cpu")


def test_a_crowd_is_as_alike_as_asked() -> None:
    crowd = Crowd(1000, 128, cosine=0.6)
    ((ids, vectors),) = crowd.chunks()
    assert ids.tolist() == list(range(1000))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    ((_, again),) = crowd.chunks()
    assert (again == vectors).all()
    cosines = (vectors @ vectors.T)[~np.eye(1000, dtype=bool)]
    same = cosines[cosines > 0.4]
    assert abs(same.mean() - 0.6) < 0.03
    assert abs(cosines[cosines <= 0.4].mean()) < 0.01


def test_brute_force_over_chunks() -> None:
    crowd = Crowd(25_000, 8, cosine=0.6)
    queries = crowd.queries(3)
    vectors = np.concatenate([vectors for _, vectors in crowd.chunks()])
    names, _ = _nearest(crowd, queries)
    for query, own in zip(queries, names, strict=True):
        expected = np.sort(vectors @ query)[::-1][:10]
        np.testing.assert_allclose(vectors[own] @ query, expected, rtol=1e-5)


@pytest.mark.heavy
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--vectors", "2000", "--dimensions", "32", "--stored", "300", "--queries", "20"]
    assert main(["index", *small, "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("recall@10" in line for line in lines)
    assert sum(line.startswith("| database:") for line in lines) == 5
