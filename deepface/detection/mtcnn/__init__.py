"""MTCNN: ``mtcnn`` and ``fastmtcnn``."""
