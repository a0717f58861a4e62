"""Face analysis in true batches: detection, recognition, attributes."""

__version__ = "0.1.0"
