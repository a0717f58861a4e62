"""The plots of the page of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Row

_WIDTH = 4.0
_HEIGHT = 2.8
_COLUMNS = 3


def _groups(rows: Sequence[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    return found


def _panels(
    groups: dict[tuple[Any, ...], list[Row]],
    path: Path,
    draw: Callable[[Any, list[Row]], None],
) -> None:
    """One small plot per group, side by side, into ``path``."""
    if not groups:
        return
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(_COLUMNS, len(groups))
    lines = -(-len(groups) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(_WIDTH * columns, _HEIGHT * lines), squeeze=False
    )
    for axis in axes.flat[len(groups) :]:
        axis.axis("off")
    for axis, (title, rows) in zip(axes.flat, groups.items(), strict=False):
        axis.set_title(", ".join(str(part) for part in title if part), fontsize=7)
        draw(axis, rows)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    Image.open(path).convert("RGB").quantize(32).save(path, optimize=True)  # a quarter of the bytes


def detection(rows: Sequence[Row], path: Path) -> None:
    """Images per second against batch size, one panel per detector."""

    def draw(axis: Any, group: list[Row]) -> None:
        for (sizes, machine), own in _groups(group, "sizes", "machine").items():
            batches = sorted((row for row in own if row.get("batch")), key=lambda r: r["batch"])
            axis.plot(
                [row["batch"] for row in batches],
                [row["images_per_second"] for row in batches],
                marker="o",
                markersize=3,
                label=f"{sizes}, {machine}"[:40],
            )
            for row in own:
                if row["run"] == "published":
                    axis.axhline(row["images_per_second"], linestyle=":", linewidth=1)
        axis.set_ylim(bottom=0)
        axis.set_xlabel("batch (dotted: published)", fontsize=7)
        axis.set_ylabel("images/s", fontsize=7)

    _panels(_groups(rows, "detector", "function"), path, draw)


def recognition(rows: Sequence[Row], path: Path) -> None:
    """Milliseconds per face against batch size, one panel per model and number of threads."""

    def draw(axis: Any, group: list[Row]) -> None:
        for (run, precision), own in _groups(group, "run", "precision").items():
            label = f"{run} {precision or ''}"
            points = sorted((r for r in own if isinstance(r["batch"], int)), key=_batch)
            axis.plot([r["batch"] for r in points], [r["ms"] for r in points], "o-", label=label)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xlabel("batch", fontsize=7)
        axis.set_ylabel("ms per face", fontsize=7)

    alone = [
        row | {"on": f"{row['threads']} thread(s)" if row.get("threads") else None}
        for row in rows
        if isinstance(row.get("batch"), int)
    ]
    _panels(_groups(alone, "model", "on", "machine"), path, draw)


def _batch(row: Row) -> int:
    return int(row["batch"])


def retinaface(rows: Sequence[Row], path: Path) -> None:
    """What each speed-up is worth, one panel per backbone."""

    def draw(axis: Any, group: list[Row]) -> None:
        runs = [f"{row['run']}, {row['batch']}" for row in group]
        axis.barh(runs, [row["images_per_second"] for row in group])
        axis.invert_yaxis()
        axis.set_xlabel("images/s", fontsize=7)

    _panels(_groups(rows, "detector", "machine"), path, draw)


def end_to_end(rows: Sequence[Row], path: Path) -> None:
    """Images per second of the stream and of the published loop."""

    def draw(axis: Any, group: list[Row]) -> None:
        axis.bar([row["run"] for row in group], [row["images_per_second"] for row in group])
        axis.set_ylabel("images/s", fontsize=7)

    _panels(_groups(rows, "detector", "model", "machine"), path, draw)


def memory(rows: Sequence[Row], path: Path) -> None:
    """Resident memory over a long stream."""

    def draw(axis: Any, group: list[Row]) -> None:
        axis.plot([row["after"] for row in group], [row["rss_mb"] for row in group])
        axis.set_ylim(bottom=0)
        axis.set_xlabel("pictures", fontsize=7)
        axis.set_ylabel("resident MB", fontsize=7)

    _panels(_groups([row for row in rows if "after" in row], "machine"), path, draw)
