"""What is known of the anti-spoofing models."""
