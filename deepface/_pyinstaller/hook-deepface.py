"""What a frozen program needs of this package that no ``import`` statement names.

Models are found by the text in the registries, so every module of the package is taken, and what
these import if it is installed. A program that needs less says so itself, e.g.
``pyinstaller --exclude-module torch`` for the detectors ``opencv`` and ``yunet``.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

hiddenimports = collect_submodules("deepface", lambda name: "_pyinstaller" not in name)
# Weights that come with other packages and are read as files, without an import of the package;
# OpenCV's cascades.
datas = [
    *copy_metadata("deepface"),
    *collect_data_files("deepface"),
    *collect_data_files("mtcnn", includes=["assets/weights/*"]),
    *collect_data_files("face_recognition_models", includes=["models/*.dat"]),
    *collect_data_files("cv2", includes=["data/haarcascade_*.xml"]),
]
# For clusters only, and large; a program that uses Ray imports it itself.
excludedimports = ["ray"]
