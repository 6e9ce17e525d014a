"""Arrays in .npz files: those that can't be read are said."""

from __future__ import annotations

import numpy as np
import pytest
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput

ROWS = np.arange(6, dtype="f4").reshape(3, 2)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_encrypted_array_is_said(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, x=ROWS)
    expected = [ModelInput("x", (None, 2), "float32")]
    with open_all([str(path)], expected) as samples:
        np.testing.assert_array_equal(samples.peek(3)["x"], ROWS)
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_all([str(path)], expected)
    assert caught.value.faults == ("a.npz:x: expected a plain archive, received an encrypted one",)
