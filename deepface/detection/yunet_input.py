"""The size at which YuNet is shown a canvas, by OpenCV and by PyTorch."""

from __future__ import annotations

from deepface.detection.canvas import Canvas

#: Larger pictures are shrunk until their longer side has so many pixels.
_MAX_SIDE = 640
#: Of a side of up to so many pixels the last map has one row, on which OpenCV (4.14) gives numbers
#: that differ from call to call. What is added is black, as OpenCV adds it up to whole strides.
_TOO_LOW = 32


def shrunk(canvas: Canvas) -> tuple[float, tuple[int, int]]:
    """The scale at which a canvas is shown, and the height and width that it has then."""
    scale = min(1.0, _MAX_SIDE / max(canvas.shape))
    height, width = (max(1, int(side * scale)) for side in canvas.shape)
    return scale, (height, width)


def shown(canvas: Canvas) -> tuple[int, int]:
    """Height and width of what the network is shown at least, black included."""
    _, (height, width) = shrunk(canvas)
    if min(height, width) <= _TOO_LOW:
        return max(height, 2 * _TOO_LOW), max(width, 2 * _TOO_LOW)
    return height, width
