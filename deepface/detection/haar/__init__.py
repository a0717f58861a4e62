"""OpenCV's Haar cascades: the detector ``opencv``, and the search for eyes."""
