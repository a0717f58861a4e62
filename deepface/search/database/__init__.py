"""Where registered faces are kept: one contract (``base``), one small file per database."""
