"""How networks run: device, precision, chunks, fused layers."""
