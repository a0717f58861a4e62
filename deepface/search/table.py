"""Tables of results. Their columns are written here, once: names and types are the same for any
number of rows, none included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: A table's columns and what is in them.
Columns = Mapping[str, type]

_BOX = ("x", "y", "w", "h")
#: What :func:`deepface.DeepFace.find` gives.
FIND: Columns = {
    "identity": str,
    "hash": str,
    **{f"target_{side}": int for side in _BOX},
    "threshold": float,
    **{f"source_{side}": int for side in _BOX},
    "distance": float,
    "confidence": float,
}
#: What :func:`deepface.DeepFace.search` gives; some databases call their records by texts.
SEARCH: Columns = {
    "id": int,
    "img_name": str,
    "model_name": str,
    "detector_backend": str,
    "aligned": bool,
    "l2_normalized": bool,
    "search_method": str,
    **{f"target_{side}": int for side in _BOX},
    "threshold": float,
    "distance_metric": str,
    "distance": float,
    "confidence": float,
}
#: What :func:`deepface.DeepFace.list_faces` gives.
FACES: Columns = {name: SEARCH[name] for name in list(SEARCH)[:6]}


def table(columns: Columns, values: Mapping[str, Any], return_type: str) -> Any:
    """A ``pandas.DataFrame`` (``"pandas"``), or a list with a dict of Python's own types per row.

    ``values`` has a sequence or an array per column, all of one length.
    """
    if return_type == "pandas":
        import pandas as pd

        text = _text_dtype()
        return pd.DataFrame(
            {
                name: pd.Series(_plain(values[name]), dtype=text if kind is str else kind)
                for name, kind in columns.items()
            }
        )
    rows = zip(*(_plain(values[name]) for name in columns), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _text_dtype() -> Any:
    """The dtype that this pandas gives texts, in a form that also holds names of files that are no
    UTF-8.
    """
    import pandas as pd

    if int(pd.__version__.split(".")[0]) < 3:
        return object
    return pd.StringDtype("python", na_value=np.nan)
