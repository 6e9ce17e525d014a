"""Addresses: their grammar, the calls they name, and the nearest where none is meant. Pure text."""
