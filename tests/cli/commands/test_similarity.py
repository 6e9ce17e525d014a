"""`kprobe similarity`: how alike the layers of two dumps are."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

DIGITS = "sample_models/digits_cnn.keras"


@pytest.fixture
def dumps(kprobe_here):
    samples = ("--input", "sample_models/digits.npz", "--scale", "1/2", "--limit", "40")
    kprobe_here("dump", DIGITS, "--layers", "features,digit", *samples, "-o", "a.h5")
    kprobe_here("dump", DIGITS, "--all", *samples, "-o", "b.h5")


def test_it_is_a_table_json_and_a_file(kprobe_here, dumps):
    done = kprobe_here("similarity", "a.h5", "b.h5", "-l", "features,digit", "-o", "cka.h5")
    assert (done.exit_code, done.stderr) == (0, "")
    title, header, *rows = done.stdout.splitlines()
    assert title == "CKA over 40 samples: a.h5 by b.h5"
    assert header.split() == ["features", "digit"]
    assert [row.split()[0] for row in rows] == ["features", "digit"]
    assert [rows[0].split()[1], rows[1].split()[2]] == ["1.000", "1.000"]
    found = json.loads(kprobe_here("similarity", "a.h5", "b.h5", "--json").stdout)
    assert found["layers_a"] == ["features", "digit"]
    with h5py.File("cka.h5") as file:
        place = [found["layers_b"].index(name) for name in ("features", "digit")]
        values = np.array(found["similarity"], float)[:, place]
        assert np.array_equal(file["similarity"][()], values)


def test_of_many_layers_the_nearest_is_shown(kprobe_here, dumps, monkeypatch):
    from kprobe.analysis import similarity

    monkeypatch.setattr(similarity, "_MOST", 1)
    lines = kprobe_here("similarity", "a.h5", "b.h5", "--method", "rsa").stdout.splitlines()
    assert lines[1].split() == ["layer", "nearest", "RSA"]
    assert lines[2].split() == ["features", "features", "1.000"]


def test_what_cannot_be_is_one_line(kprobe_here, dumps):
    done = kprobe_here("similarity", "a.h5", "b.h5", "-l", "featres")
    assert done.exit_code == 2
    assert done.stderr.startswith("kprobe: neither dump has the address 'featres'")
    assert len(done.stderr.splitlines()) == 1
