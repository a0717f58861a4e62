"""What is known of a recognition model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deepface.cropping.face_crops import FaceCut
from deepface.recognition.curves import Curve
from deepface.runtime.card import Card


@dataclass(frozen=True, kw_only=True)
class RecognitionCard(Card):
    """What is known of a recognition model.

    Attributes:
        input_shape: width and height of the faces, in pixels.
        output_shape: length of a vector.
        published_name: the class attribute ``model_name``, where it is not ``name``.
        cut: how its faces were cut in training, for ``align="landmarks"``; ``None`` has none.
        thresholds: by metric, the published distance up to which two faces are the same person.
        curves: by metric, the published confidence. The thresholds' pictures were normalised as
            ``"base"``.
        landmark_thresholds: the same for faces cut with ``align="landmarks"``; empty: as published.
        landmark_curves: likewise.
        minmax: smallest and largest value of its vectors, as measured by the published library.
    """

    input_shape: tuple[int, int]
    output_shape: int
    published_name: str | None = None
    cut: FaceCut | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    landmark_thresholds: Mapping[str, float] = field(default_factory=dict)
    landmark_curves: Mapping[str, Curve] = field(default_factory=dict)
    minmax: tuple[float, float] | None = None
