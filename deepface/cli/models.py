"""``models``: what there is, what is installed, where its weights are; ``models download``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deepface.cli.entries import Row
from deepface.cli.options import Command, options
from deepface.cli.outcome import stdout

if TYPE_CHECKING:
    from deepface.runtime.card import Card
    from deepface.runtime.weights.table import WeightFile


def kinds() -> dict[str, dict[str, Card]]:
    """Kind of models -> name -> card."""
    from deepface.attributes.registry import ATTRIBUTES
    from deepface.detection.registry import DETECTORS
    from deepface.recognition.registry import RECOGNIZERS
    from deepface.spoofing.registry import SPOOF_DETECTORS

    return {
        "detector": dict(DETECTORS.entries),
        "recognition": dict(RECOGNIZERS.entries),
        "attribute": dict(ATTRIBUTES.entries),
        "anti-spoofing": dict(SPOOF_DETECTORS.entries),
    }


def missing_package(card: Card) -> str | None:
    """The command that installs what a model lacks; ``None`` if it lacks nothing."""
    package = card.package
    return package.install if package is not None and not package.is_installed() else None


@click.group(cls=click.Group, invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List models, what they lack, and their weights; download weights."""
    if ctx.invoked_subcommand is not None:
        return
    from deepface.cli.printed import print_rows
    from deepface.runtime.home import weights_folder

    rows = [model_row(kind, card) for kind, cards in kinds().items() for card in cards.values()]
    print_rows(rows, stdout())
    total = sum(path.stat().st_size for path in weights_folder().rglob("*") if path.is_file())
    click.echo(f"weights folder: {weights_folder()}, {total / 1e6:.1f} MB", err=True)


def model_row(kind: str, card: Card) -> Row:
    """What the list says of a model."""
    from deepface.runtime.card import ONNX_RUNTIME
    from deepface.runtime.engine import chosen_file, for_pytorch
    from deepface.runtime.weights.store import fault_of, file_on_disk, verification_of

    chosen = [chosen_file(group) for group in card.files]
    files = [file for file in chosen if file_on_disk(file)]
    faults = [fault for file in files if (fault := fault_of(file))]
    package = missing_package(card)
    if any(file.name.endswith(".onnx") and for_pytorch(card.files[0]) for file in files):
        package = None if ONNX_RUNTIME.is_installed() else ONNX_RUNTIME.install
    if package is not None:
        state = f"needs: {package}"
    elif faults:
        state = f"damaged: {faults[0]}"
    else:
        state = "ready" if len(files) == len(card.files) else "not downloaded"
    paths = [path for file in files if (path := file_on_disk(file))]
    licences = dict.fromkeys(file.licence or "not stated" for file in chosen)
    return {
        "kind": kind,
        "name": card.name,
        "state": state,
        "MB": round(sum(path.stat().st_size for path in paths) / 1e6, 1) if paths else None,
        "licence": ", ".join(licences) or None,
        "verified": ", ".join(dict.fromkeys(map(verification_of, files))) or None,
        "weights": ", ".join(map(str, paths)) or None,
    }


@models.command(cls=Command)
@click.argument("names", nargs=-1, required=True)
@options()
def download(names: tuple[str, ...]) -> None:
    """Download the weights of NAMES: models, weight files, or "all"."""
    from deepface.runtime.weights.store import download_all

    out = stdout()
    if names == ("all",):
        kinds()  # with which all files are known
        paths = download_all()
    else:
        wanted = [file for name in names for file in files_of(name)]
        paths = download_all({file.name: file for file in wanted}.values())
    for path in paths:
        click.echo(path, out)


def files_of(name: str) -> list[WeightFile]:
    """The weight files of a model, one of each group, or the file of this name."""
    from deepface.runtime.engine import chosen_file
    from deepface.runtime.weights.table import WEIGHT_FILES

    models = {name: card for cards in kinds().values() for name, card in cards.items()}
    if name in WEIGHT_FILES:
        return [WEIGHT_FILES[name]]
    if name in models:
        # What is there already is verified, which downloads it anew if it is incomplete.
        return [chosen_file(group) for group in models[name].files]
    known = ", ".join(models)
    raise click.UsageError(f"{name!r} is neither a model nor a weight file. Models: {known}")
