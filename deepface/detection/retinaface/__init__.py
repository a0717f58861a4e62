"""RetinaFace: as the package ``retina-face`` runs it, and as the PyTorch implementation does."""
