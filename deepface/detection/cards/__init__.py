"""A file for what is known of each detector, or family of them."""
