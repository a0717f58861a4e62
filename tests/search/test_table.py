"""Tables of results have the same columns and types with any number of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepface.search.table import FACES, FIND, SEARCH, Columns, table

VALUES: dict[type, Any] = {str: "a/\udcff ü.jpg", int: 7, float: 0.5, bool: True}
SCHEMAS: dict[str, Columns] = {
    "find": FIND,
    "search": SEARCH,
    "search by texts": {**SEARCH, "id": str},
    "faces": FACES,
}


def values(columns: Columns, rows: int) -> dict[str, list[Any]]:
    return {name: [VALUES[kind]] * rows for name, kind in columns.items()}


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_frames(name: str) -> None:
    pytest.importorskip("pandas")
    columns = SCHEMAS[name]
    none, one, many = (table(columns, values(columns, rows), "pandas") for rows in (0, 1, 50))
    for frame in (none, one, many):
        assert list(frame.columns) == list(columns)
        assert frame.dtypes.to_dict() == many.dtypes.to_dict()
        for column, kind in columns.items():
            if kind is str:  # what failed on the published empty frame
                assert frame[column].str.contains("a").tolist() == [True] * len(frame)
            else:
                assert frame[column].dtype == np.dtype(kind)
    assert one.to_dict("records") == table(columns, values(columns, 1), "dict")


def test_dicts_hold_types_of_python() -> None:
    arrays = {name: np.array([VALUES[kind]] * 3) for name, kind in FIND.items()}
    rows = table(FIND, arrays, "dict")
    assert len(rows) == 3 and list(rows[0]) == list(FIND)
    assert {name: type(value) for name, value in rows[0].items()} == dict(FIND)
    assert table(FIND, values(FIND, 0), "dict") == []
