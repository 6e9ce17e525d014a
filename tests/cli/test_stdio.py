"""Where kprobe's own lines go, and what they can't break."""

import os

import pytest

from kprobe.cli.stdio import open_stderr


def test_a_terminal_that_was_closed_is_written_to_in_vain():
    master, terminal = os.openpty()
    own = open_stderr(terminal)
    print("seen", file=own, flush=True)
    assert os.read(master, 100) == b"seen\r\n"
    os.close(master)
    with pytest.raises(OSError, match="Input/output error"):
        os.write(terminal, b"x")
    print("not seen", file=own, flush=True)
    own.write("nor this, without an end of its line")
    own.flush()
    os.close(terminal)


def test_a_disk_that_is_full_is_told():
    full, nowhere = os.open("/dev/full", os.O_WRONLY), os.open(os.devnull, os.O_WRONLY)
    own = open_stderr(full)
    with pytest.raises(OSError, match="No space left"):
        print("lost", file=own)
    os.dup2(nowhere, full)  # for what it holds back
    own.flush()
    os.close(full)
    os.close(nowhere)
