"""A file for what is known of each recognition model."""
