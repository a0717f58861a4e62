"""Face analysis in true batches: detection, recognition, attributes.

``from deepface import DeepFace`` gives the functions.
"""

from deepface import compat

__version__ = "0.1.0"

compat.install()
