"""The pipeline on many machines: as classes and functions for Ray Data's ``map_batches``.

    import ray
    from deepface.distributed import FaceRows

    pictures = ray.data.from_items([{"path": str(path)} for path in paths])
    faces = pictures.map_batches(
        FaceRows,
        fn_constructor_kwargs={"detector_backend": "yunet", "model_name": "Facenet"},
        batch_format="pyarrow",
        batch_size=64,
        compute=ray.data.ActorPoolStrategy(size=2),
    )
    faces.write_parquet("faces")

Needs the extra ``ray``: ``pip install "deepface[ray]"``. How it grows: ``docs/distributed.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from deepface.errors import DataTypeError, MissingPackageError, without_item
from deepface.images.batch import FailedImage, open_batch
from deepface.pipeline.face_pipeline import FacePipeline, StreamItem

if TYPE_CHECKING:
    import pyarrow as pa

#: Boxes and scores come under other names from ``extract_faces`` and from ``analyze``.
_AREA = ("facial_area", "region")
_CONFIDENCE = ("face_confidence", "confidence")
_ATTRIBUTES = ("age", "dominant_emotion", "dominant_gender", "dominant_race")


class FaceRows:
    """A batch of pictures in, a table with a row per face out.

    Ray makes one of these per actor; the models are built when the first batch comes.

    Args:
        options: the fields of :class:`deepface.pipeline.FacePipeline`.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("enforce_detection", "empty")
        self._pipeline = FacePipeline(**options)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The faces of a batch.

        Args:
            batch: with a column ``path`` (paths or URLs), and maybe a column ``image`` that
                :func:`decode` has filled.

        Returns:
            One row per face: ``path``, ``face`` (its number in the picture), ``x``, ``y``, ``w``,
            ``h`` in pixels, ``confidence``, ``embedding`` (float32) with a recognition model, the
            attributes that were asked for, and ``error``. A picture without a face has no row; one
            with an error has one, with the error's text and everything else null.
        """
        rows: list[dict[str, Any]] = []
        paths, pictures, errors = _columns(batch)
        items = self._pipeline.items(open_batch(pictures), "yield")
        for path, error in zip(paths, errors, strict=True):
            if error is not None:
                rows.append({"path": path, "error": error})
            else:
                rows += _rows(path, next(items))
        return _table(rows, self._pipeline)


def decode(batch: pa.Table) -> pa.Table:
    """Read and decode a batch's pictures, on machines without a GPU; :class:`FaceRows` comes next.

    Args:
        batch: with a column ``path``.

    Returns:
        The same with the columns ``image`` (the pixels' bytes, BGR ``uint8``), ``height``,
        ``width`` and ``error``; where a picture cannot be read, only the error is filled in.
    """
    import pyarrow as pa

    paths = _paths(batch)
    rows: list[dict[str, Any]] = []
    for chunk in open_batch(paths).attempts(len(paths) or 1):
        for image in chunk:
            if isinstance(image, FailedImage):
                rows.append({"path": paths[image.index], "error": str(without_item(image.error))})
            else:
                height, width = image.pixels.shape[:2]
                pixels = {"image": image.pixels.tobytes(), "height": height, "width": width}
                rows.append({"path": paths[image.index], **pixels})
    schema = {
        "path": pa.string(),
        "image": pa.large_binary(),
        "height": pa.int32(),
        "width": pa.int32(),
        "error": pa.string(),
    }
    return pa.Table.from_pylist(rows, schema=pa.schema(schema))


def _paths(batch: pa.Table) -> list[str]:
    if "path" not in batch.column_names:
        raise DataTypeError(
            f"a batch needs a column 'path'; this one has {', '.join(batch.column_names)}. "
            "Rename yours, e.g. with Dataset.rename_columns"
        )
    paths: list[str] = batch["path"].to_pylist()
    return paths


def _columns(batch: pa.Table) -> tuple[list[str], Iterable[Any], list[str | None]]:
    """The paths, the pictures that can be walked, and the errors of the others."""
    if not hasattr(batch, "column_names"):
        raise DataTypeError(
            f"FaceRows takes pyarrow tables, not {type(batch).__name__}: pass "
            "batch_format='pyarrow' to map_batches"
        )
    paths = _paths(batch)
    if "image" not in batch.column_names:
        return paths, paths, [None] * len(paths)
    errors: list[str | None] = batch["error"].to_pylist()
    shapes = zip(batch["height"].to_pylist(), batch["width"].to_pylist(), strict=True)
    pictures = (
        np.frombuffer(image.as_buffer(), np.uint8).reshape(*shape, 3)
        for image, shape, error in zip(batch["image"], shapes, errors, strict=True)
        if error is None
    )
    return paths, pictures, errors


def _rows(path: str, item: StreamItem) -> list[dict[str, Any]]:
    if item.error is not None:
        return [{"path": path, "error": str(without_item(item.error))}]
    rows = []
    for number, face in enumerate(item.faces):
        area = next(face[key] for key in _AREA if key in face)
        row = {"path": path, "face": number, **{side: area[side] for side in "xywh"}}
        row["confidence"] = next(face[key] for key in _CONFIDENCE if key in face)
        row |= {key: face[key] for key in ("embedding", *_ATTRIBUTES) if key in face}
        rows.append(row)
    return rows


def _table(rows: list[dict[str, Any]], pipeline: FacePipeline) -> pa.Table:
    """Rows as a table whose columns depend on what is asked for only, never on what was found."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingPackageError(
            f'deepface.distributed needs pyarrow ({error}): pip install "deepface[ray]"'
        ) from error
    fields = [("path", pa.string()), ("face", pa.int32())]
    fields += [(side, pa.int32()) for side in "xywh"]
    fields.append(("confidence", pa.float32()))
    if pipeline.model_name is not None:
        fields.append(("embedding", pa.list_(pa.float32())))
    for action in pipeline.actions or ():
        fields.append(
            ("age", pa.float32()) if action == "age" else (f"dominant_{action}", pa.string())
        )
    fields.append(("error", pa.string()))
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))
