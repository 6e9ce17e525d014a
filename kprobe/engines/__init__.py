"""Engines: what computes a sub-graph batch by batch, and how."""
