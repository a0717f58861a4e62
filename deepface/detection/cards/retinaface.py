"""What is known of the RetinaFace detectors; see ``detection/retinaface`` for them."""

from __future__ import annotations

from deepface.detection.card import DetectorCard
from deepface.runtime.weights.table import WeightFile, published

RETINAFACE = DetectorCard(
    name="retinaface",
    model="deepface.detection.retinaface.detector:RetinaFaceDetector",
    summary="RetinaFace on ResNet-50, as the package `retina-face` runs it.",
    files=(
        (
            published(
                "retinaface.pth",
                "MIT",
                tensors={
                    "bn_data.weight": (3,),
                    "face_rpn_stride8.landmark_pred.bias": (20,),
                },
            ),
            published(
                "retinaface.h5",
                "MIT",
                size=118_667_368,
                sha256="ecb2393a89da3dd3d6796ad86660e298f62a0c8ae7578d92eb6af14e0bb93adf",
                layers=153,
            ),
        ),
    ),
    landmarks=5,
)
MOBILENET_FILE = WeightFile(
    "mobilenet0.25_Final.pth",
    (
        "https://github.com/m2man/Pytorch_Retinaface/raw/"
        "752127c3f1efe263d24a5b25c46aa6cf88ca42a0/weights/mobilenet0.25_Final.pth",
    ),
    "MIT",
    size=1_789_735,
    sha256="38ec7bb3c9cbfe2f40edabc05fab970a6d648747cbc534092be85d5eb9b37ed0",
)
MOBILENET = DetectorCard(
    name="retinaface-mobilenet0.25",
    model="deepface.detection.retinaface.pytorch:RetinaFaceMobileNetDetector",
    summary="RetinaFace on MobileNet 0.25, of the PyTorch implementation: small and quick.",
    files=((MOBILENET_FILE,),),
    landmarks=5,
)
RESNET50_FILE = WeightFile(
    "Resnet50_Final.pth",
    ("https://github.com/xinntao/facexlib/releases/download/v0.1.0/detection_Resnet50_Final.pth",),
    "MIT",
    size=109_497_761,
    sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
)
RESNET50 = DetectorCard(
    name="retinaface-resnet50",
    model="deepface.detection.retinaface.pytorch:RetinaFaceResNet50Detector",
    summary="RetinaFace on ResNet-50, of the PyTorch implementation.",
    files=((RESNET50_FILE,),),
    landmarks=5,
)
