import json
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe.sandbox import find_lack

SCRIPT = """
import ctypes, fcntl, json, os, socket, subprocess, sys, threading
from pathlib import Path
from kprobe.sandbox import bar_processes, restrict

inside, outside = map(Path, sys.argv[1:])
terminal, other = os.openpty()
if "free" not in inside.name:
    restrict([inside])
done = {}
def attempt(name, action):
    try:
        action()
    except OSError:
        done[name] = False
    else:
        done[name] = True

attempt("write inside", lambda: (inside / "a").write_text("a"))
attempt("rename inside", lambda: (inside / "a").rename(inside / "b"))
attempt("folder inside", lambda: (inside / "folder").mkdir())
attempt("read outside", lambda: (outside / "kept").read_text())
attempt("pair of sockets", lambda: socket.socketpair())
attempt("discard", lambda: Path(os.devnull).write_text("x"))
attempt("program", lambda: subprocess.run([sys.executable, "-c", ""], check=True))

attempt("write outside", lambda: (outside / "new").write_text("x"))
attempt("change outside", lambda: (outside / "kept").write_text("x"))
attempt("cut outside", lambda: os.truncate(outside / "kept", 0))
attempt("time outside", lambda: os.utime(outside / "kept", (1, 1)))
attempt("mode outside", lambda: (outside / "kept").chmod(0o777))
attempt("link to outside", lambda: os.link(outside / "kept", inside / "link"))
attempt("follow", lambda: [
    (inside / "to").symlink_to(outside / "kept"), (inside / "to").write_text("x")])
attempt("move outside", lambda: (inside / "b").rename(outside / "b"))
attempt("remove outside", lambda: (outside / "gone").unlink())
attempt("TCP", lambda: socket.socket())
attempt("UDP", lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
attempt("named socket", lambda: socket.socket(socket.AF_UNIX))
child = "import socket; socket.socket()"
attempt("program's TCP", lambda: subprocess.run(
    [sys.executable, "-c", child], stderr=subprocess.DEVNULL).returncode and 1 / 0 or None)
def set_flags():
    with open(outside / "kept") as file:
        flags = fcntl.ioctl(file, 0x80086601, bytes(8))
        fcntl.ioctl(file, 0x40086602, flags)
attempt("flags outside", set_flags)
def share():
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.shmget(0, 4096, 0o1600)  # IPC_PRIVATE, IPC_CREAT
    if number < 0:
        raise OSError(ctypes.get_errno(), "shmget")
    libc.shmctl(number, 0, None)
attempt("shared memory", share)
def type_in():
    # Where the system has it off, it fails with EIO: what counts is that it's never let through.
    try:
        fcntl.ioctl(other, 0x5412, b"x")
    except OSError as error:
        if error.errno == 13:
            raise
attempt("type into the terminal", type_in)
waiting, begin = [], threading.Event()
def fork():
    begin.wait()
    attempt("process of a thread before", start_process)
def start_process():
    if not (number := os.fork()):
        os._exit(0)
    os.waitpid(number, 0)
before = threading.Thread(target=fork)
before.start()
if "free" not in inside.name:
    bar_processes()
begin.set()
before.join()
def use_thread():
    thread = threading.Thread(target=lambda: waiting.append(1))
    thread.start()
    thread.join()
attempt("thread", use_thread)
attempt("process", start_process)
attempt("spawned program", lambda: subprocess.run([sys.executable, "-c", ""], check=True))
attempt("signal", lambda: os.kill(os.getppid(), 0))
print(json.dumps(done))
""".replace("and 1 / 0 or None", "== 0 or os.stat('/nowhere')")
ALLOWED = {
    "write inside",
    "rename inside",
    "folder inside",
    "read outside",
    "pair of sockets",
    "discard",
    "program",
    "thread",
}


def run(inside: Path, outside: Path) -> dict[str, bool]:
    for folder in (inside, outside):
        folder.mkdir()
    for name in ("kept", "gone"):
        (outside / name).write_text("as it was")
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, inside, outside], stdout=subprocess.PIPE, check=True
    )
    return json.loads(found.stdout)


def test_without_a_sandbox_all_of_it_can_be_done(tmp_path):
    done = run(tmp_path / "free", tmp_path / "outside")
    assert all(done.values()), done
    assert len(done) == 28


@pytest.mark.skipif(find_lack() is not None, reason=str(find_lack()))
def test_in_a_sandbox_nothing_is_reached_but_the_folder(tmp_path):
    outside = tmp_path / "outside"
    done = run(tmp_path / "inside", outside)
    # Where Landlock is older than version 6, signals aren't barred.
    done.pop("signal")
    assert {name for name, did in done.items() if did} == ALLOWED
    assert {path.name for path in outside.iterdir()} == {"gone", "kept"}
    assert (outside / "kept").read_text() == "as it was"
