"""The gate for what lies in a file: archives, HDF5, configs."""
