"""A door of its own: faces of a webcam or a video, analysed and recognised while it runs."""

from deepface.live.analysis import StreamAnalysis
from deepface.live.window import stream

__all__ = ["StreamAnalysis", "stream"]
