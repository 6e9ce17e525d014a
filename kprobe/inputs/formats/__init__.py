"""Formats of files that hold samples, one a module."""
