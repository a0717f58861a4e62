"""The faster engine of networks on a CPU: ``python -m benchmarks represent --both-engines``."""

ENGINES = {
    "DeepID": "onnxruntime",
    "Facenet": "onnxruntime",
    "Facenet512": "onnxruntime",
    "OpenFace": "onnxruntime",
}
