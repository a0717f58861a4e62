"""Ours against the originals, live: ``make parity``."""
