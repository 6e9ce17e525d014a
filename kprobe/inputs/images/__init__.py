"""Image files: found, recognized, decoded and resized."""
