"""Which files of a folder are models: those that a script which downloads one is about."""

from __future__ import annotations

import os
from pathlib import Path

from kprobe.dumps.files.place import refuse_read
from kprobe.inputs.images.walking import Links, walk
from kprobe.models.folder import find_models, is_folder_of_models

HDF5 = b"\x89HDF\r\n\x1a\n"


def test_models_are_told_by_their_endings_or_how_they_begin(tmp_path):
    models = {
        "a.keras": b"",
        "b.H5": b"cut",
        "c.weights.h5": b"",
        "d.tflite": b"",
        "e/f.onnx": b"",
        "e/g": HDF5,
        "h.bin": b"\x1c\0\0\0TFL3",
        "i.json": b'{"module": "keras", "class_name": "Sequential", "config": {}}',
        "j/w.index": b"",
        "k.weights.json": b"{}",
        "l.pb": b"",
        "m/saved_model.pb": b"",
    }
    others = {
        "README.md": b"HDF5",
        "e/labels.json": b'{"class_name": "cat"}',
        "j/w.data-0": b"",
        "j/v.data-00000-of-00001": b"",
        "checkpoint": b"",
        "x.zip": b"PK\3\4",
    }
    parts = {
        "j/w.data-00000-of-00001": b"",
        "j/checkpoint": b"",
        "m/variables/variables.index": b"",
        "m/assets/words.h5": b"",
        ".git/a.keras": b"",
        "j/.cache/b.keras": b"",
    }
    for name, content in {**models, **others, **parts}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link.keras").symlink_to("a.keras")
    (tmp_path / "up").symlink_to("..")
    os.mkfifo(tmp_path / "pipe")
    found = find_models(str(tmp_path))
    told = [str(Path(each).relative_to(tmp_path)) for each in found.models]
    assert told == sorted("m" if name.startswith("m/") else name for name in models)
    assert (found.others, found.links) == (len(others) + 1, 2)


def test_a_saved_model_is_no_folder_of_models(tmp_path):
    assert is_folder_of_models(str(tmp_path))
    (tmp_path / "saved_model.pb").touch()
    assert not is_folder_of_models(str(tmp_path))
    assert not is_folder_of_models(str(tmp_path / "saved_model.pb"))
    assert not is_folder_of_models(str(tmp_path / "missing"))
    assert not is_folder_of_models("a\0b")
    assert not is_folder_of_models("")


def test_folders_may_lie_deep(tmp_path):
    # Deeper than calls go, by a path that isn't too long for the system.
    deep = tmp_path
    for _ in range(1_200):
        deep /= "d"
        os.mkdir(deep)  # noqa: PTH102 - pathlib's goes down by calls
    try:
        found = find_models(str(tmp_path))
        assert (found.models, found.others) == ([], 0)
        assert list(walk(tmp_path, Links(tmp_path, follow=False))) == []
        refuse_read([tmp_path.parent / "other"], [tmp_path])
    finally:
        while deep != tmp_path:  # who takes away the tests' folders goes down by calls
            deep.rmdir()
            deep = deep.parent
