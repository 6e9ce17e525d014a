"""Print what any h5py reads of all datasets of a dump, a line for each, and all attributes."""

import sys

import h5py
import numpy as np

path, names = sys.argv[1], sys.argv[2:]
with h5py.File(path, "r") as file:
    dict(file.attrs)
    for name in names:
        dict(file[name].attrs)
        values = np.asarray(file[name][()]).reshape(-1)
        if values.dtype.kind == "S":
            texts = [value.decode() for value in values]
        else:
            texts = [repr(float(value)) for value in values]
        sys.stdout.buffer.write("\t".join([name, *texts]).encode() + b"\n")
