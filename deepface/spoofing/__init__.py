"""Is a face a real one before the camera, or a print or a screen."""
