"""Samples that Python users have: arrays, generators, datasets, and code that gives them."""
