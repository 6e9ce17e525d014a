"""Inputs: batches of samples from what the user points at, each row with its identity."""
