"""Weight files: the table, downloads, verification, readers of ``.pth`` and ``.h5``."""
