"""What the system is short of is told as that, and never as a fault of the file."""

import errno
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kprobe.errors import ShortageError
from kprobe.shortage import explain_end, find_shortage, is_bound

MODEL = Path(__file__).parents[1] / "sample_models" / "digits_cnn.keras"


@pytest.fixture
def limited(request):
    """Lower a limit of this process to what it never comes near."""
    before = resource.getrlimit(request.param)
    resource.setrlimit(request.param, (10**15, before[1]))
    yield 10**15
    resource.setrlimit(request.param, before)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A model whose weights are unpacked to a temporary file to be inspected."""
    path = tmp_path_factory.mktemp("packed") / "model.keras"
    with (
        zipfile.ZipFile(MODEL) as archive,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    return path


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("-n 7", "no more files can be opened; the limit is 7 open files; raise `ulimit -n`"),
        ("-n 9", "no more files can be opened; the limit is 9 open files; raise `ulimit -n`"),
        ("-f 1", "no larger file can be written; the limit is "),
    ],
)
def test_a_file_that_can_not_be_checked_here_is_not_said_to_be_bad(packed, limit, message):
    command = [sys.executable, "-m", "kprobe", "check", packed]
    found = subprocess.run(
        ["/bin/sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *command],
        text=True,
        capture_output=True,
    )
    assert f"kprobe: {packed} can't be checked: {message}" in found.stderr
    assert found.stderr.count("\n") == 1
    assert found.stdout == ""
    assert found.returncode == 71


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "there is too little memory"),
        (
            MemoryError("Unable to allocate 3 TiB"),
            "there is too little memory: Unable to allocate 3 TiB",
        ),
        (OSError(errno.ENOMEM, ""), "there is too little memory"),
        (OSError(errno.ENFILE, ""), "no more files can be opened: the system has too many open"),
        (OSError(errno.EFBIG, ""), "no larger file can be written"),
        (BlockingIOError(errno.EAGAIN, ""), "no more processes and threads can be started"),
        (RuntimeError("can't start new thread"), "no more processes and threads can be started"),
        (
            ImportError("x.so: failed to map segment from shared object"),
            "there is too little memory",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            "no folder takes temporary files",
        ),
        (ImportError("x.so: cannot open it: Too many open files"), "no more files can be opened"),
    ],
)
def test_what_is_raised_for_want_of_something_names_it(error, message):
    found = find_shortage(error)
    assert found.faults[0].split("; the limit")[0] == message
    assert found.exit_code == 71
    assert find_shortage(found) is found


@pytest.mark.parametrize(
    "error",
    [
        OSError("Unable to open file"),
        OSError(errno.ENOENT, ""),
        BlockingIOError(errno.EAGAIN, "write could not complete without blocking", 5),
        ImportError("No module named 'x'"),
        RuntimeError("wrong"),
        ValueError("can't start new thread"),
    ],
)
def test_what_is_raised_for_other_reasons_is_left_alone(error):
    assert find_shortage(error) is None


@pytest.mark.parametrize("limited", [resource.RLIMIT_AS, resource.RLIMIT_CPU], indirect=True)
def test_a_limit_binds_what_needs_more(limited):
    assert not is_bound(memory_bytes=limited, cpu_seconds=limited)
    assert is_bound(memory_bytes=limited + 1, cpu_seconds=limited + 1)


def test_where_no_limit_is_low_none_is_named():
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 64:
        assert "open files" not in str(explain_end("it ends"))
    assert isinstance(explain_end("it ends"), ShortageError)
