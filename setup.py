"""Packaging: ``pip install .`` for use, ``pip install -e ".[all,test]"`` for work on it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
EXTRAS = {
    "yolo": ["ultralytics>=8.3.203,!=8.3.41,!=8.3.42,!=8.3.45,!=8.3.46"],
    "dlib": ["dlib-bin>=19.24", "face_recognition_models>=0.3"],
    "onnx": ["onnxruntime>=1.17"],
    "ann": ["faiss-cpu>=1.13"],
    "tables": ["pandas>=2", "pyarrow>=14"],
    "signing": ["lightdsa>=0.0.3"],
}
# mediapipe is no extra: it brings a second OpenCV wheel. See the README for how to install it.
EXTRAS["all"] = sorted({package for packages in EXTRAS.values() for package in packages})
DATABASES = {
    "postgres": ["psycopg[binary]>=3.1"],
    "pgvector": ["psycopg[binary]>=3.1"],
    "qdrant": ["qdrant-client>=1.12"],
    "milvus": ["pymilvus[milvus_lite]>=2.4.4"],
}
EXTRAS |= DATABASES  # not in "all": clients of servers that few have
EXTRAS["ray"] = ["ray[data]>=2.44"]  # not in "all": large, and for clusters only
EXTRAS["demo"] = [*EXTRAS["yolo"], "scikit-image>=0.20"]
EXTRAS["test"] = [
    *EXTRAS["demo"],
    *EXTRAS["ray"],
    *(package for packages in DATABASES.values() for package in packages),
    "hypothesis>=6",
    "mypy>=1.8",
    "onnx>=1.15",
    # PostgreSQL with pgvector in a wheel; there is none for later Pythons, and tests are skipped.
    "pgserver>=0.1.4; python_version < '3.13' and platform_machine == 'x86_64'",
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
    entry_points={"console_scripts": ["deepface = deepface.cli.app:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Operating System :: OS Independent",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
