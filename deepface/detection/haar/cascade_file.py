"""OpenCV's cascade files as arrays: which pixels a feature weighs, and what its answer is worth.

In the format of OpenCV 2 and later: upright features, one split per tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.runtime.weights.damage import reading

#: OpenCV lowers the thresholds of stages by it, in 32 bits.
_THRESHOLD_EPS = np.float32(1e-5)
#: OpenCV takes a window for constant when the inverse of its deviation is larger.
FLAT = 0.1
#: Of a feature, at most.
_RECTANGLES = 3


@dataclass(frozen=True)
class CascadeStage:
    """Features that vote on a window; with ``f`` features and a window of ``w`` pixels:

    Attributes:
        kernels: how often each pixel of the window counts, ``(f, w, w)`` float32, whole numbers.
        rectangles: the same as x, y, width, height and weight, ``(f, 3, 5)`` int32; of features
            that have two of them the third is zeros.
        splits: below which value the left vote counts, ``(f,)`` float32.
        left: votes, ``(f,)`` float64 that hold float32 numbers.
        right: likewise.
        threshold: sum of votes that a window needs.
    """

    kernels: NDArray[np.float32]
    rectangles: NDArray[np.int32]
    splits: NDArray[np.float32]
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    threshold: float


@dataclass(frozen=True)
class HaarCascade:
    """The stages that a window of ``window`` times ``window`` pixels has to pass, in order."""

    window: int
    stages: tuple[CascadeStage, ...]


def read_cascade(path: Path) -> HaarCascade:
    """Read one of the XML files that come with OpenCV.

    Raises:
        WeightsError: it is none, or has tilted features or deeper trees, which those for frontal
            faces and eyes have not.
    """
    with reading(path, "Haar cascade of OpenCV"):
        return _read(path)


def _read(path: Path) -> HaarCascade:
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    try:
        root = file.getNode("cascade")
        if root.getNode("featureType").string() != "HAAR":
            raise ValueError("it has other features")
        window = int(root.getNode("width").real())
        features = [_rectangles(feature) for feature in _items(root.getNode("features"))]
        stages = [_stage(stage, features, window) for stage in _items(root.getNode("stages"))]
    finally:
        file.release()
    return HaarCascade(window, tuple(stages))


def _items(node: Any) -> list[Any]:
    return [node.at(i) for i in range(node.size())]


def _numbers(node: Any) -> list[float]:
    return [node.at(i).real() for i in range(node.size())]


def _rectangles(feature: Any) -> NDArray[np.int32]:
    if feature.getNode("tilted").real():
        raise ValueError("it has tilted features, which are not supported")
    rows = np.array([_numbers(row) for row in _items(feature.getNode("rects"))])
    if len(rows) > _RECTANGLES or (rows != rows.astype(np.int32)).any():
        raise ValueError(f"it has features of more than {_RECTANGLES} rectangles, or fractions")
    rectangles = np.zeros((_RECTANGLES, 5), np.int32)
    rectangles[: len(rows)] = rows
    return rectangles


def _kernel(rectangles: NDArray[np.int32], window: int) -> NDArray[np.float32]:
    kernel = np.zeros((window, window), np.float32)
    for x, y, width, height, weight in rectangles:
        kernel[y : y + height, x : x + width] += weight
    return kernel


def _stage(stage: Any, features: list[NDArray[np.int32]], window: int) -> CascadeStage:
    trees = _items(stage.getNode("weakClassifiers"))
    nodes = [_numbers(tree.getNode("internalNodes")) for tree in trees]
    if any(len(node) != 4 for node in nodes):
        raise ValueError("it has trees with several splits, which are not supported")
    votes = np.array([_numbers(tree.getNode("leafValues")) for tree in trees], np.float32)
    left, right = votes.astype(np.float64).T
    rectangles = np.stack([features[int(feature)] for _, _, feature, _ in nodes])
    return CascadeStage(
        np.stack([_kernel(feature, window) for feature in rectangles]),
        rectangles,
        np.array([split for *_, split in nodes], np.float32),
        left,
        right,
        float(np.float32(stage.getNode("stageThreshold").real()) - _THRESHOLD_EPS),
    )
