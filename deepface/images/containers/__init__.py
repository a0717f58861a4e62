"""Picture files, walked before a decoder sees them: what size they have, what memory they take.

Decoders believe what a file says of itself: OpenCV allocates the length that a chunk declares,
before it looks whether so many bytes follow. A function per format gives a :class:`Layout` for
whole, cut and crafted files alike, or raises :class:`DamagedFile`; where a file says two things,
the larger counts. What a pixel costs was measured with OpenCV 4.14 and is rounded up.
"""
