"""Verification on LFW pairs: accuracy and area under the ROC curve, per model and detector.

The pictures of all pairs are embedded in batches, each once; a pair's distance is that of the
closest faces, as in ``verify``. Besides the accuracy at the model's own threshold, the table has
the best one that any threshold gives on these pairs (fitted on them: an upper bound).
``--calibrate`` prints the thresholds and confidence curves that are stored for
``align="landmarks"``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import add_output, folder, names
from benchmarks.report import Report, Row, table

HELP = "accuracy of verify on LFW pairs, with the ROC curve"
COLUMNS = {
    "model": "model",
    "detector": "detector",
    "align": "align",
    "pairs": "pairs",
    "accuracy": "accuracy at its threshold",
    "threshold": "threshold",
    "best_accuracy": "best accuracy",
    "best_threshold": "at",
    "auc": "AUC",
    "without_face": "pictures without a face",
}

Pair = tuple[str, str, bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--images", type=folder, required=True, metavar="DIR", help="LFW: pairs.txt and pictures"
    )
    parser.add_argument("--model", type=names, default=["Dlib"], help="NAME[,NAME...]")
    parser.add_argument("--detector", type=names, default=["mtcnn"], help="NAME[,NAME...]")
    parser.add_argument("--metric", default="cosine")
    parser.add_argument(
        "--align", type=names, default=["True", "landmarks"], help="True, False, landmarks"
    )
    parser.add_argument("--border", type=float, default=0.5)
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="also print threshold and confidence curve of every metric",
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save, draw."""
    report = Report("lfw", settings={"metric": args.metric, "border": args.border})
    pairs = read_pairs(args.images)
    curves: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for model, detector, align in itertools.product(args.model, args.detector, args.align):
        mode = align if align == "landmarks" else align == "True"
        try:
            vectors, missing = embed(pairs, model, detector, mode, args.border)
        except (ValueError, ImportError) as error:
            report.note(f"{model} with {detector}, align={align} skipped: {error}")
            continue
        same = np.array([pair[2] for pair in pairs])
        distances = pair_distances(pairs, vectors, args.metric)
        if args.calibrate:
            print_calibration(pairs, vectors, same)
        row, curve = judge(distances, same, model, args.metric, mode)
        label = f"{model}, {detector}, align={align}"
        report.rows.append(
            {
                "model": model,
                "detector": detector,
                "align": align,
                "pairs": len(pairs),
                **row,
                "without_face": missing,
            }
        )
        curves[f"{label}: AUC {row['auc']:.3f}"] = curve
    if not report.rows:
        return 1
    path = report.save(args.out, args.tag)
    draw(curves, path.with_suffix(".png"))
    print(f"{table(report.rows, COLUMNS)}\n\nwritten: {path}")
    return 0


def read_pairs(images: Path) -> list[Pair]:
    """``pairs.txt``: ``name i j`` for the same person, ``name i name j`` for two."""

    def path(name: str, number: str) -> str:
        return str(images / name / f"{name}_{int(number):04d}.jpg")

    pairs = []
    for line in (images / "pairs.txt").read_text().splitlines():
        parts = line.split("\t")
        if len(parts) == 3:
            pairs.append((path(parts[0], parts[1]), path(parts[0], parts[2]), True))
        elif len(parts) == 4:
            pairs.append((path(parts[0], parts[1]), path(parts[2], parts[3]), False))
    return pairs


def embed(
    pairs: Sequence[Pair], model: str, detector: str, align: Any, border: float
) -> tuple[dict[str, NDArray[np.float64]], int]:
    """The vectors of every picture's faces, and how many pictures have no face."""
    from deepface import DeepFace

    paths = sorted({path for pair in pairs for path in pair[:2]})
    results = DeepFace.represent(
        paths,
        model_name=model,
        detector_backend=detector,
        align=align,
        enforce_detection=False,
        border=border,
    )
    vectors = {
        path: np.array([face["embedding"] for face in faces])
        for path, faces in zip(paths, results, strict=True)
    }
    return vectors, sum(faces[0]["face_confidence"] == 0 for faces in results)


def pair_distances(
    pairs: Sequence[Pair], vectors: dict[str, NDArray[np.float64]], metric: str
) -> NDArray[np.float64]:
    """The distance of the closest faces of every pair."""
    from deepface.matching.distance import find_distance

    return np.array([find_distance(vectors[a], vectors[b], metric).min() for a, b, _ in pairs])


def print_calibration(
    pairs: Sequence[Pair], vectors: dict[str, NDArray[np.float64]], same: NDArray[np.bool_]
) -> None:
    """Per metric the best threshold, and the confidence curve in the order of ``Curve``."""
    from deepface.matching.distance import METRICS

    for metric in METRICS:
        distances = pair_distances(pairs, vectors, metric)
        threshold = round(best_threshold(distances, same)[0], 4)
        values = [round(value, 6) for value in fit_curve(distances, same, threshold)]
        print(f"{metric}: threshold {threshold}, curve {values}")


def fit_curve(
    distances: NDArray[np.float64], same: NDArray[np.bool_], threshold: float
) -> tuple[float, ...]:
    """Logistic regression of "same person" on the distance, and the ranges of its values.

    As the published curves: distances above 1 are divided by the largest, and the ranges reach
    from the curve's value at the threshold to that at the smallest and the largest distance.
    """
    normalizer = float(distances.max())
    x = np.stack([distances / max(1.0, normalizer), np.ones(len(distances))], 1)
    weights = np.zeros(2)
    for _ in range(50):  # Newton's method; the small ridge keeps separable data finite
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (same - p) - 1e-3 * weights
        weights += np.linalg.solve((x.T * (p * (1 - p))) @ x + 1e-3 * np.eye(2), gradient)

    def value(distance: float) -> float:
        z = weights[0] * distance / max(1.0, normalizer) + weights[1]
        return float(100 / (1 + np.exp(-z)))

    at_threshold = value(threshold)
    smallest, largest = value(float(distances.min())), value(normalizer)
    return (*weights.tolist(), normalizer, smallest, at_threshold, at_threshold, largest)


def best_threshold(distances: NDArray[np.float64], same: NDArray[np.bool_]) -> tuple[float, float]:
    """The threshold that decides most pairs rightly, and its accuracy."""
    values = np.unique(distances)
    limits = (values + np.append(values[1:], values[-1])) / 2
    accuracies = np.array([((distances <= limit) == same).mean() for limit in limits])
    best = int(accuracies.argmax())
    return float(limits[best]), float(accuracies[best])


def judge(
    distances: NDArray[np.float64], same: NDArray[np.bool_], model: str, metric: str, align: Any
) -> tuple[Row, tuple[NDArray[Any], NDArray[Any]]]:
    """The figures of the table, and the ROC curve (false and true positive rates)."""
    from deepface.matching.thresholds import find_threshold

    threshold = find_threshold(model, metric, align=align)
    order = np.argsort(distances, kind="stable")
    hits = np.concatenate([[0], np.cumsum(same[order])])
    false = np.concatenate([[0], np.cumsum(~same[order])])
    # Equal distances fall on the same side of a threshold.
    edges = np.concatenate([[True], np.diff(distances[order]) > 0, [True]])
    limit, accuracy = best_threshold(distances, same)
    true_rate, false_rate = hits[edges] / same.sum(), false[edges] / (~same).sum()
    return {
        "accuracy": float(((distances <= threshold) == same).mean()),
        "threshold": threshold,
        "best_accuracy": accuracy,
        "best_threshold": limit,
        "auc": float(np.trapezoid(true_rate, false_rate)),
    }, (false_rate, true_rate)


def draw(curves: dict[str, tuple[NDArray[Any], NDArray[Any]]], path: Path) -> None:
    """The ROC curves of all rows in one picture, where matplotlib is installed."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("no ROC curve drawn: pip install matplotlib")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 6))
    for label, (false_rate, true_rate) in curves.items():
        axes.step(false_rate, true_rate, where="post", label=label)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="LFW pairs")
    axes.set(xlim=(0, 0.4), ylim=(0.6, 1.002))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
