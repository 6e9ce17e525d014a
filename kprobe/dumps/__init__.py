"""Dumps: the HDF5 file that is valid at every instant, and its reader."""
