"""Damaged copies of files, the same in every run."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

#: Numbers that lengths, counts and offsets are wrong with.
_EXTREMES = [
    b"\x00" * 8,
    b"\xff" * 8,
    b"\xff\xff\xff\x7f",
    b"\x80" * 10,
    struct.pack("<q", 1 << 40),
]


def mutations(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """``count`` damaged copies: bytes flipped, overwritten, cut out, doubled, or the end missing.

    The first kilobytes, where headers are, are hit more often than the rest.
    """
    generator = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(content)
        for _ in range(generator.choice([1, 1, 2, 5, 20])):
            end = generator.choice([64, 1024, len(damaged), len(damaged)])
            at = generator.randrange(max(1, min(end, len(damaged))))
            match generator.randrange(6):
                case 0 | 1:
                    damaged[at : at + 1] = bytes([generator.randrange(256)])
                case 2:
                    piece = generator.choice(_EXTREMES)
                    damaged[at : at + len(piece)] = piece
                case 3:
                    del damaged[at : at + generator.choice([1, 8, 200])]
                case 4:
                    damaged[at:at] = damaged[at : at + generator.choice([1, 8, 200])]
                case 5:
                    damaged[at : at + 64] = generator.randbytes(64)
        if generator.random() < 0.1:
            del damaged[generator.randrange(len(damaged) + 1) :]
        yield bytes(damaged)
