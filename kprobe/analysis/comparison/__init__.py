"""Comparison: which tensors of two sides are the same, how far they differ, and where."""
