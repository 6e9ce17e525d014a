import ctypes
import multiprocessing
import os
import struct

import pytest

from kprobe.dumps.ranges.publish import publish_once


def test_what_is_published_stays(tmp_path):
    assert publish_once(tmp_path / "a", b"first")
    assert not publish_once(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [*tmp_path.iterdir()] == [tmp_path / "a"]


def bar_links():
    """Let the system refuse links in this process from now on, as some filesystems do."""
    # seccomp(2): the number of the call is loaded, and link and linkat answer EOPNOTSUPP.
    answer = 0x00050000 | 95
    steps = [(0x20, 0, 0, 0), (0x15, 1, 0, 86), (0x15, 0, 1, 265), (6, 0, 0, answer)]
    code = b"".join(struct.pack("HBBI", *step) for step in [*steps, (6, 0, 0, 0x7FFF0000)])
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    call = ctypes.CDLL(None, use_errno=True).prctl
    assert not call(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    assert not call(22, 2, ctypes.c_char_p(program), 0, 0)  # PR_SET_SECCOMP, by a filter


def publish_without_links(path, told):
    bar_links()
    with pytest.raises(OSError, match="not supported"):
        os.link(path.parent / "other", path)
    told.send([publish_once(path, b"first"), publish_once(path, b"second")])


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="calls have other numbers")
def test_without_links_it_is_published_once_all_the_same(tmp_path):
    (tmp_path / "other").touch()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=publish_without_links, args=(tmp_path / "a", theirs)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert ours.recv() == [True, False]
    assert (tmp_path / "a").read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "other"]


def publish_number(path, number, started, told):
    started.wait()
    told.put((number, publish_once(path, bytes([number]))))


def test_of_several_processes_one_publishes(tmp_path):
    started, told = multiprocessing.Event(), multiprocessing.Queue()
    numbers = range(4)
    processes = [
        multiprocessing.Process(target=publish_number, args=(tmp_path / "a", n, started, told))
        for n in numbers
    ]
    for process in processes:
        process.start()
    started.set()
    found = dict(told.get() for _ in numbers)
    for process in processes:
        process.join()
    [winner] = [number for number, published in found.items() if published]
    assert (tmp_path / "a").read_bytes() == bytes([winner])
