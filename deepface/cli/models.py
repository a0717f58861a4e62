"""``models``: what there is, what is installed, where its weights are; ``models download``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import click

from deepface.cli.entries import Row
from deepface.cli.options import Command, options

#: Kind -> model -> its files. Those of one group are alternatives, of which one is needed.
MODEL_FILES: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "detector": {
        "opencv": (),
        "ssd": (("res10_300x300_ssd_iter_140000.caffemodel",),),
        "mtcnn": (),
        "fastmtcnn": (),
        "dlib": (("shape_predictor_5_face_landmarks.dat",),),
        "mediapipe": (("blaze_face_short_range.tflite",),),
        **{
            name: ((f"{name}-face.pt",),)
            for name in (
                *("yolov8n", "yolov8m", "yolov8l"),
                *("yolov11n", "yolov11s", "yolov11m", "yolov11l"),
                *("yolov12n", "yolov12s", "yolov12m", "yolov12l"),
            )
        },
        "retinaface": (("retinaface.pth", "retinaface.h5"),),
        "retinaface-mobilenet0.25": (("mobilenet0.25_Final.pth",),),
        "retinaface-resnet50": (("Resnet50_Final.pth",),),
        "yunet": (("face_detection_yunet_2023mar.onnx",),),
        "centerface": (("centerface.onnx",),),
    },
    "recognition": {
        "VGG-Face": (("vgg_face_weights.pth", "vgg_face_weights.h5"),),
        "Facenet": (("facenet_weights.pth", "facenet_weights.h5"),),
        "Facenet512": (("facenet512_weights.pth", "facenet512_weights.h5"),),
        "OpenFace": (("openface_weights.pth", "openface_weights.h5"),),
        "DeepFace": (
            (
                "VGGFace2_DeepFace_weights_val-0.9034.pth",
                "VGGFace2_DeepFace_weights_val-0.9034.h5",
            ),
        ),
        "DeepID": (("deepid_weights.pth", "deepid_keras_weights.h5"),),
        "Dlib": (("dlib_face_recognition_resnet_model_v1.dat",),),
        "ArcFace": (("arcface_weights.pth", "arcface_weights.h5"),),
        "SFace": (("face_recognition_sface_2021dec.onnx",),),
        "GhostFaceNet": (("ghostfacenet_v1.pth", "ghostfacenet_v1.h5"),),
        "Buffalo_L": (("buffalo_l/webface_r50.onnx",),),
    },
    "attribute": {
        "Emotion": (("facial_expression_model_weights.pth", "facial_expression_model_weights.h5"),),
        "Age": (("age_model_weights.pth", "age_model_weights.h5"),),
        "Gender": (("gender_model_weights.pth", "gender_model_weights.h5"),),
        "Race": (("race_model_single_batch.pth", "race_model_single_batch.h5"),),
    },
    "anti-spoofing": {
        "Fasnet": tuple(
            (f"{stem}.pth", f"{stem}.h5")
            for stem in ("2.7_80x80_MiniFASNetV2", "4_0_0_80x80_MiniFASNetV1SE")
        ),
    },
}

#: Model -> the package that it needs besides the required ones -> what installs it.
_EXTRAS = {
    "mediapipe": (
        "mediapipe",
        "pip install --no-deps mediapipe && pip install absl-py flatbuffers",
    ),
    "dlib": ("dlib", "pip install dlib-bin"),
    "Dlib": ("dlib", "pip install dlib-bin"),
    "SFace": ("onnxruntime", "pip install onnxruntime"),
    "Buffalo_L": ("onnxruntime", "pip install onnxruntime"),
}


def missing_package(model: str) -> str | None:
    """The command that installs what a model lacks; ``None`` if it lacks nothing."""
    if model.startswith("yolo"):
        package, command = "ultralytics", "pip install ultralytics"
    elif model in _EXTRAS:
        package, command = _EXTRAS[model]
    else:
        return None
    return command if find_spec(package) is None else None


def file_on_disk(name: str) -> Path | None:
    """Where a weight file is: in the weights folder, or with the package that brings it."""
    from deepface.runtime.weights import store
    from deepface.runtime.weights.table import WEIGHT_FILES

    return store.file_on_disk(WEIGHT_FILES[name])


@click.group(cls=click.Group, invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List models, what they lack, and their weights; download weights."""
    if ctx.invoked_subcommand is None:
        _list()


def _list() -> None:
    from deepface.cli.printed import print_rows
    from deepface.runtime.home import weights_folder

    rows = [
        _row(kind, name, alternatives)
        for kind, names in MODEL_FILES.items()
        for name, alternatives in names.items()
    ]
    print_rows(rows, sys.stdout)
    total = sum(path.stat().st_size for path in weights_folder().rglob("*") if path.is_file())
    click.echo(f"weights folder: {weights_folder()}, {total / 1e6:.1f} MB", err=True)


def _row(kind: str, name: str, groups: tuple[tuple[str, ...], ...]) -> Row:
    from deepface.runtime.weights.store import fault_of, verification_of

    found = [next((file for file in group if file_on_disk(file)), None) for group in groups]
    files = [file for file in found if file is not None]
    faults = [fault for file in files if (fault := fault_of(file))]
    package = missing_package(name)
    if package is not None:
        state = f"needs: {package}"
    elif faults:
        state = f"damaged: {faults[0]}"
    else:
        state = "ready" if len(files) == len(groups) else "not downloaded"
    paths = [path for file in files if (path := file_on_disk(file))]
    return {
        "kind": kind,
        "name": name,
        "state": state,
        "MB": round(sum(path.stat().st_size for path in paths) / 1e6, 1) if paths else None,
        "weights": ", ".join(map(str, paths)) or None,
        "verified": ", ".join(dict.fromkeys(map(verification_of, files))) or None,
    }


@models.command(cls=Command)
@click.argument("names", nargs=-1, required=True)
@options()
def download(names: tuple[str, ...]) -> None:
    """Download the weights of NAMES: models, weight files, or "all"."""
    from deepface.runtime.weights.store import download_all

    if names == ("all",):
        paths = download_all()
    else:
        wanted = [file for name in names for file in _files_of(name)]
        paths = download_all(dict.fromkeys(wanted))
    for path in paths:
        click.echo(path)


def _files_of(name: str) -> list[str]:
    from deepface.runtime.weights.table import WEIGHT_FILES

    if name in WEIGHT_FILES:
        return [name]
    for kind in MODEL_FILES.values():
        if name in kind:
            # What is there already is verified, which downloads it anew if it is incomplete.
            return [
                next((file for file in group if file_on_disk(file)), group[0])
                for group in kind[name]
                if not _is_in_package(group[0])
            ]
    known = ", ".join(model for kind in MODEL_FILES.values() for model in kind)
    raise click.UsageError(f"{name!r} is neither a model nor a weight file. Models: {known}")


def _is_in_package(file: str) -> bool:
    from deepface.runtime.home import weights_folder

    path = file_on_disk(file)
    return path is not None and not path.is_relative_to(weights_folder())
