"""What is looked for, in a folder or in a database, and how it is given back."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from deepface.arguments import number, one_of, truth, whole
from deepface.errors import InvalidArgument, MissingPackageError
from deepface.matching.distance import Metric, check_metric_or_function

METHODS = ("exact", "ann")
RETURN_TYPES = ("pandas", "dict")


@dataclass(frozen=True)
class Query:
    """The arguments of ``find`` and ``search`` that have to do with what is looked for.

    All are checked here, before any work: an unknown name is an ``UnimplementedError``, a number
    out of range a ``ValueError``.

    Args:
        distance_metric: one of :data:`deepface.matching.distance.METRICS`; for folders also a
            function of vectors.
        threshold: largest distance; ``None`` takes that of model and metric.
        similarity_search: give the most similar faces, also those beyond the threshold.
        k: at most so many rows per face; ``None`` for all.
        return_type: ``"pandas"`` or ``"dict"``; ``None`` is pandas where it is installed.
        search_method: ``"exact"``, or ``"ann"`` for the index of a database.
        judge: tell the threshold also in the dicts of a similarity search in a folder, which are
            judged by none in the published library.
    """

    distance_metric: str | Metric = "cosine"
    threshold: float | None = None
    similarity_search: bool = False
    k: int | None = None
    return_type: str | None = None
    search_method: str = "exact"
    judge: bool = False

    def __post_init__(self) -> None:
        check_metric_or_function(self.distance_metric)
        if callable(self.distance_metric) and self.threshold is None:
            raise InvalidArgument(
                "Threshold must be specified when using custom distance metrics: pass threshold="
            )
        one_of("search_method", self.search_method, METHODS)
        if self.threshold is not None:
            object.__setattr__(self, "threshold", number("threshold", self.threshold))
        if self.k is not None:
            object.__setattr__(self, "k", whole("k", self.k, least=0))
        for name in ("similarity_search", "judge"):
            object.__setattr__(self, name, truth(name, getattr(self, name)))
        if self.return_type is None:
            kind = "pandas" if find_spec("pandas") else "dict"
            object.__setattr__(self, "return_type", kind)
        one_of("return_type", self.return_type, RETURN_TYPES)
        if self.return_type == "pandas" and not find_spec("pandas"):
            raise MissingPackageError(
                "return_type='pandas' needs pandas: pip install pandas (or use return_type='dict')"
            )
