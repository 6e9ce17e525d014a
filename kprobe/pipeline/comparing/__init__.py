"""Comparing: two sides are run batch by batch, and their tensors compared."""
