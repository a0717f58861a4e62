"""Lets PyInstaller freeze programs that use this package; it finds this by its entry point."""

from __future__ import annotations

from pathlib import Path


def hook_folders() -> list[str]:
    """Where the hook lies."""
    return [str(Path(__file__).parent)]
