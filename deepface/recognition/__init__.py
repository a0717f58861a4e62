"""Faces to vectors: one file per model, with its network, preprocessing and weights."""
