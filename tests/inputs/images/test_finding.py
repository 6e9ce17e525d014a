"""Which files are taken for images, and what is said where none is one."""

from __future__ import annotations

import pytest

from kprobe.errors import InputError
from kprobe.inputs.images.finding import find_in_folder, read_list


def test_images_that_are_not_here_are_to_be_fetched_first(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text(pointer)
    with pytest.raises(InputError, match=r"a\.png is a pointer of Git LFS") as caught:
        find_in_folder(tmp_path)
    assert "git lfs pull" in caught.value.hint
    listed = tmp_path / "list.txt"
    listed.write_text("https://example.org/a.png\nhttps://example.org/b.png\n")
    with pytest.raises(InputError, match="expected a file, received an address") as caught:
        read_list(listed)
    assert "download it first" in caught.value.hint
    # One among files is a row that can't be read, as any other.
    listed.write_text("https://example.org/a.png\nb.png\n")
    assert read_list(listed).rows == 2
