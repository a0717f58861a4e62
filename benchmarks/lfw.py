"""Verification on LFW pairs: accuracy and area under the ROC curve, per model and detector.

The pictures of all pairs are embedded in batches, each once; a pair's distance is that of the
closest faces, as in ``verify``. Besides the accuracy at the model's own threshold, the table has
the best one that any threshold gives on these pairs (fitted on them: an upper bound), and what
confidence curve fits, for calibrating ``align="landmarks"``.
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
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save, draw."""
    report = Report("lfw", settings={"metric": args.metric, "border": args.border})
    pairs = read_pairs(args.images)
    curves: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for model, detector, align in itertools.product(args.model, args.detector, args.align):
        mode = align if align == "landmarks" else align == "True"
        try:
            distances, missing = measure(pairs, model, detector, mode, args.metric, args.border)
        except (ValueError, ImportError) as error:
            report.note(f"{model} with {detector}, align={align} skipped: {error}")
            continue
        same = np.array([pair[2] for pair in pairs])
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


def measure(
    pairs: Sequence[Pair], model: str, detector: str, align: Any, metric: str, border: float
) -> tuple[NDArray[np.float64], int]:
    """The distance of every pair, and how many pictures have no face."""
    from deepface import DeepFace
    from deepface.matching.distance import find_distance

    paths = sorted({path for pair in pairs for path in pair[:2]})
    results: Any = DeepFace.represent(
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
    missing = sum(faces[0]["face_confidence"] == 0 for faces in results)
    distances = [find_distance(vectors[a], vectors[b], metric).min() for a, b, _ in pairs]
    return np.array(distances), missing


def judge(
    distances: NDArray[np.float64], same: NDArray[np.bool_], model: str, metric: str, align: Any
) -> tuple[Row, tuple[NDArray[Any], NDArray[Any]]]:
    """The figures of the table, and the ROC curve (false and true positive rates)."""
    from deepface.matching.thresholds import find_threshold

    threshold = find_threshold(model, metric, align=align)
    order = np.argsort(distances, kind="stable")
    hits = np.concatenate([[0], np.cumsum(same[order])])
    false = np.concatenate([[0], np.cumsum(~same[order])])
    # A threshold lies between two neighbours; equal distances fall on the same side of it.
    edges = np.concatenate([[True], np.diff(distances[order]) > 0, [True]])
    correct = np.where(edges, hits + (~same).sum() - false, -1)
    best = int(correct.argmax())
    low = distances[order][max(0, best - 1)]
    high = distances[order][min(best, len(order) - 1)]
    true_rate, false_rate = hits[edges] / same.sum(), false[edges] / (~same).sum()
    return {
        "accuracy": float(((distances <= threshold) == same).mean()),
        "threshold": threshold,
        "best_accuracy": float(correct[best] / len(same)),
        "best_threshold": float((low + high) / 2),
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
