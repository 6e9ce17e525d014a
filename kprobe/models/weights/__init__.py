"""Weights: those of a file, and how they get into a model."""
