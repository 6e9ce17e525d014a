"""How much memory a model with large weights takes: they are to be in memory once.

    python tests/benchmarks/bench_weights.py [UNITS [LAYERS]]

Peaks of processes of their own, above those of the imports alone: of a dump of a chain of dense
layers, 12 of 8,192 x 8,192 (3.2 GB) unless told, beside that of the library's own loader.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

MB = 1 << 20
MAKE = """
import sys, {library}
model = {library}.Sequential([{library}.layers.Input(({units},))] + [
    {library}.layers.Dense(
        {units}, name=f"dense_{{n}}", kernel_initializer="zeros", bias_initializer="ones"
    )
    for n in range({layers})
])
model.save(sys.argv[1])
"""
GRAPH_MODE = """
import tensorflow as tf
tf.compat.v1.disable_eager_execution()

def make(units, layers):
    import tf_keras
    row = x = tf_keras.layers.Input((units,))
    for n in range(layers):
        x = tf_keras.layers.Dense(units, name=f"dense_{n}")(x)
    return tf_keras.Model(row, x)
"""
IMPORT = """
import {library}
{library}.Sequential([{library}.layers.Input((4,)), {library}.layers.Dense(4)])
"""
LOAD = """
import sys, {library}
{library}.models.load_model(sys.argv[1], compile=False)
"""
DUMP = """
import sys, kprobe
kprobe.dump(sys.argv[1], sys.argv[2], random=4, output=sys.argv[3], overwrite=True)
"""
DUMP_CODE = """
import sys, kprobe
kprobe.dump(
    sys.argv[1], sys.argv[2], random=4, output=sys.argv[3], overwrite=True, keras=2,
    weights=sys.argv[4], arguments={{"units": {units}, "layers": {layers}}},
)
"""
# `ru_maxrss` of a child may be that of its parent before `exec`; VmHWM is its own.
PEAK = """
peak = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(int(peak) // 1024)
"""


def run(script: str, *arguments: object) -> int:
    """Run a script and give the peak of its memory, in MB."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script) + PEAK]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return int(done.stdout.split()[-1])


def main() -> None:
    units, layers = [*map(int, sys.argv[1:]), *(8192, 12)[len(sys.argv) - 1 :]]
    last = f"dense_{layers - 1}"
    size = units * units * 4 // MB
    print(f"{layers} weights of {size} MB, {layers * size} MB; peaks above the imports:")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        output = folder / "dump.h5"
        for file, library in (
            ("model.keras", "keras"),
            ("model.h5", "keras"),
            ("old.h5", "tf_keras"),
        ):
            path = folder / file
            run(MAKE.format(library=library, units=units, layers=layers), path)
            imports = IMPORT.format(library=library)
            bare = run(imports + "import kprobe.pipeline.planning.plan_job")
            dump = run(DUMP, path, last, output) - bare
            own = run(LOAD.format(library=library), path) - run(imports)
            print(f"{file} of {library}: a dump {dump} MB, its own loader {own} MB")
        code = folder / "build.py"
        code.write_text(GRAPH_MODE)
        script = DUMP_CODE.format(units=units, layers=layers)
        dump = run(script, f"{code}:make", last, output, folder / "old.h5") - bare
        print(f"code without eager execution, with the weights of old.h5: a dump {dump} MB")


if __name__ == "__main__":
    main()
