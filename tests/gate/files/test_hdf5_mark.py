from __future__ import annotations

import h5py
import pytest

from kprobe.gate.files.hdf5_mark import UnmarkedSection

_FLAGS = 11


@pytest.mark.parametrize("swmr", [False, True])
def test_a_marked_file_is_read_as_it_would_be_unmarked(tmp_path, swmr):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = [1, 2]
    clean = path.read_bytes()
    with h5py.File(path, "r+", libver="latest") as file:
        if swmr:
            file.swmr_mode = True
        file.flush()
        marked = path.read_bytes()
        assert marked[_FLAGS] == (5 if swmr else 1)
        with path.open("rb") as opened:
            section = UnmarkedSection(opened.fileno(), 0, len(marked))
            # HDF5 itself wrote the other one, with its own checksum.
            assert section.read_at(0, 48) == clean[:48]
            assert section.read_at(7, 1 << 20)[:41] == clean[7:48]
            section.seek(0)
            assert section.read(48) == clean[:48]
            with h5py.File(section, "r") as read:
                assert [*read["x"]] == [1, 2]


def test_what_is_no_sound_beginning_stays_as_it_is(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest"):
        pass
    for place, value in ((8, 0), (_FLAGS, 1), (47, 7)):
        content = bytearray(path.read_bytes())
        content[place] ^= value or content[place]
        other = tmp_path / "b.h5"
        other.write_bytes(content)
        with other.open("rb") as opened:
            section = UnmarkedSection(opened.fileno(), 0, len(content))
            assert section.read_at(0, 1 << 20) == content
