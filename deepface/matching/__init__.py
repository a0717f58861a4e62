"""Distances, thresholds, confidence and decisions about identity."""
