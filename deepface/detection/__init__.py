"""Images in, faces out: one file per detector, the contract they share, and alignment."""
