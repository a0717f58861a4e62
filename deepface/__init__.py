"""Face analysis in true batches: detection, recognition, attributes.

``from deepface import DeepFace`` gives the functions.
"""

from deepface import _opencv, compat

__version__ = "0.1.0"

_opencv.install()
compat.install()
