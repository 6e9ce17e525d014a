"""The gate: whether a model file may be opened. Imports no TensorFlow."""
