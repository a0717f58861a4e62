"""Device, precision, batching by shape, networks in chunks, models built once, weights on disk."""
