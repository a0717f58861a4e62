"""A file for what is known of each attribute model."""
