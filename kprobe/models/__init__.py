"""Models: what a model file holds, whether it is safe to open, and the model itself."""
