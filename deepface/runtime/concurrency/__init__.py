"""Threads: iterators that run ahead, objects for one thread at a time."""
