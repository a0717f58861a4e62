"""YOLO for faces: checkpoints, networks, letterboxes, the detector."""
