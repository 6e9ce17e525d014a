"""Let atheris look for what breaks a reader of the gate: `READER [libFuzzer's options]`.

READER is `archive`, `config`, `hdf5` or `inspect`. It needs atheris, h5py, protobuf, and kprobe in
the path. What is found is written to the working directory, as libFuzzer does.
"""

from __future__ import annotations

import io
import json
import os
import random
import sys
import zipfile

import atheris

with atheris.instrument_imports(include=["kprobe", "zipfile"]):
    from mutations import make_config, make_seeds, mutate, pack
    from others import compare, compare_hdf5, compare_members

    from kprobe.gate.files.archive import find_archive_faults
    from kprobe.gate.files.config_json import parse_config
    from kprobe.gate.files.hdf5_structure import find_hdf5_faults
    from kprobe.gate.inspect import inspect
    from kprobe.gate.opened import open_file
    from kprobe.hdf5 import Section

FILE = os.memfd_create("model")
SEEDS = make_seeds()


def open_bytes(content):
    os.ftruncate(FILE, 0)
    os.pwrite(FILE, content, 0)
    return open_file(f"/proc/self/fd/{FILE}")


def try_archive(content):
    opened = open_bytes(content)
    if not [*find_archive_faults(opened)]:
        compare_members(opened, content)


def try_config(content):
    config, faults = parse_config(content)
    assert (config is None) == bool(faults)
    if config is not None:
        assert json.loads(content) == config


def try_hdf5(content):
    opened = open_bytes(content)
    if not [*find_hdf5_faults(Section(opened.descriptor, 0, opened.size), [])]:
        compare_hdf5(content)


def try_inspect(content):
    """Inspect a file; of an archive, as it is, and its parts in one that is sound."""
    found = inspect(opened := open_bytes(content))
    if not found.faults:
        compare(opened, content, found.format)
    for name in ("config.json", "model.weights.h5"):
        with zipfile.ZipFile(io.BytesIO(SEEDS[1][1])) as archive:
            members = {each: archive.read(each) for each in archive.namelist()}
        assert inspect(open_bytes(pack({**members, name: content}, 0))) is not None


READERS = {
    "archive": try_archive,
    "config": try_config,
    "hdf5": try_hdf5,
    "inspect": try_inspect,
}
BEGINNINGS = {
    "archive": [content for ending, content in SEEDS if ending == "keras"],
    "config": [json.dumps(make_config()).encode()],
    "hdf5": [content for ending, content in SEEDS if ending == "h5"],
    "inspect": [content for _, content in SEEDS],
}


def change(data, most, seed):
    """Change an input: as libFuzzer does, or as the tests do."""
    choose = random.Random(seed)
    if choose.random() < 0.3:
        beginnings = BEGINNINGS[READER]
        return mutate(choose, data or choose.choice(beginnings), choose.choice(beginnings))[:most]
    return atheris.Mutate(data, most)


if __name__ == "__main__":
    READER = sys.argv.pop(1)
    corpus = f"corpus-{READER}"
    os.makedirs(corpus, exist_ok=True)  # noqa: PTH103
    for i, content in enumerate(BEGINNINGS[READER]):
        with open(f"{corpus}/{i}", "wb") as file:  # noqa: PTH123
            file.write(content)
    atheris.Setup([*sys.argv, corpus], READERS[READER], custom_mutator=change)
    atheris.Fuzz()
