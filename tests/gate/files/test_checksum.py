import os
import random
import zlib

import pytest

from kprobe.gate.files.checksum import combine_crc32, compute_crc32


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "content"
    path.write_bytes(random.Random(0).randbytes(1 << 20) * 17)
    with path.open("rb") as opened:
        yield opened.fileno(), path.read_bytes()


@pytest.mark.parametrize("length", [0, 1, 10_000, 16 << 20, (16 << 20) + 13])
def test_it_is_the_checksum_of_the_part_alone(file, length):
    descriptor, content = file
    assert compute_crc32(descriptor, 7, length) == zlib.crc32(content[7 : 7 + length])
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0


def test_of_a_file_that_ends_before_what_is_there_counts(file):
    descriptor, content = file
    assert compute_crc32(descriptor, len(content) - 100, 1000) == zlib.crc32(content[-100:])


@pytest.mark.parametrize("place", [0, 1, 255, 4096, 99_999, 100_000])
def test_two_parts_have_the_checksum_of_both(place):
    content = random.Random(1).randbytes(100_000)
    first, second = content[:place], content[place:]
    combined = combine_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert combined == zlib.crc32(content)
