"""The weights in a `.keras` archive, which may be packed, or not be there."""

from __future__ import annotations

import os
import tempfile
import zipfile

import pytest

from kprobe.errors import ModelError, ShortageError
from kprobe.models.checked import open_model
from kprobe.models.weights import archive
from kprobe.models.weights.archive import open_weights_member

CONTENT = bytes(range(256)) * 40


def write(path, name="model.weights.h5", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("config.json", "{}")
        file.writestr(name, CONTENT)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_weights_are_read_as_a_file_of_their_own(tmp_path, compression):
    path = write(tmp_path / "a.keras", compression=compression)
    with open_weights_member(open_model(path)) as file:
        assert file.seek(0, os.SEEK_END) == len(CONTENT)
        assert file.seek(-10, os.SEEK_END) == len(CONTENT) - 10
        assert file.read(20) == CONTENT[-10:]
        file.seek(300)
        assert file.seek(-44, os.SEEK_CUR) == 256
        assert file.read(256) == CONTENT[:256]


def test_an_archive_without_weights_is_said(tmp_path):
    path = write(tmp_path / "a.keras", name="weights.h5")
    with pytest.raises(ModelError) as caught, open_weights_member(open_model(path)):
        pass
    assert caught.value.faults == (f"{path} holds no model.weights.h5",)


def test_what_unpacks_to_more_than_any_model_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", len(CONTENT) - 1)
    with open_weights_member(
        open_model(write(tmp_path / "a.keras"))
    ) as file:  # what isn't packed is what it is
        assert file.read(4) == CONTENT[:4]
    path = write(tmp_path / "b.keras", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError) as caught, open_weights_member(open_model(path)):
        pass
    assert caught.value.faults == (f"{path}: its weights unpack to {len(CONTENT):,} bytes",)


def test_an_archive_that_readers_differ_in_has_no_weights(tmp_path):
    """Of two directories at its end, Python reads the last, and others the first."""
    path = write(tmp_path / "a.keras")
    with path.open("ab") as file:
        file.write(path.read_bytes()[-200:])
    assert zipfile.ZipFile(path).namelist()
    with pytest.raises(ModelError, match=r"holds no model\.weights\.h5"):
        open_weights_member(open_model(path)).__enter__()


def test_where_there_is_no_room_to_unpack_that_is_said(tmp_path, monkeypatch):
    stored, packed = (
        open_model(write(tmp_path / f"{method}.keras", compression=method))
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with open_weights_member(stored) as file:
        assert file.read(4) == CONTENT[:4]
    with pytest.raises(ShortageError) as caught:
        open_weights_member(packed).__enter__()
    assert str(caught.value) == (
        f"{packed.path}: its weights can't be unpacked to a temporary file: No such file or "
        "directory; "
        f"set TMPDIR to a folder with room for {len(CONTENT):,} bytes"
    )
