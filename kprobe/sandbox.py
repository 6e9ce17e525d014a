"""Bar this process from the network, and from all of the disk but for some folders, for good.

By what Linux offers every process, root or not: Landlock for files (landlock(7)), a filter of
system calls for the network and for what Landlock leaves alone (seccomp(2)), and no privileges
(capabilities(7)). Reading is not barred.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.errors import KprobeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    # Of a filter: a code, how many steps are skipped if so and if not, and a number.
    _Step: TypeAlias = tuple[int, int, int, int]

# From linux/landlock.h. Its calls have these numbers on every processor.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_WRITE_FILE = 1 << 1
_TRUNCATE = 1 << 14  # since version 3
_CONTROL_DEVICES = 1 << 15  # since version 5
# REMOVE_DIR to MAKE_SYM, and REFER: to make, to rename and to remove.
_CHANGE = sum(1 << bit for bit in range(4, 14))
_ALL_WRITING = _WRITE_FILE | _CHANGE | _TRUNCATE
_TCP = 0b11  # to bind and to connect, since version 4
_SCOPES = 0b11  # abstract sockets and signals, since version 6
_OLDEST = 3

# From linux/prctl.h, linux/seccomp.h, linux/filter.h, linux/capability.h.
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
# Places in struct seccomp_data; of arguments the lower half: clone's first, and ioctl's second.
_OF_NUMBER, _OF_PROCESSOR, _OF_FLAGS, _OF_REQUEST = 0, 4, 16, 24
_CAPABILITIES_VERSION = 0x20080522
_DAC_OVERRIDE = 1 << 1  # else root can't write into folders of others, as in containers

# By processor: its AUDIT_ARCH, its number of ioctl, and those of the calls that are barred. First
# `socket`, and what would make one past the filter (io_uring_setup). Then owners, permissions,
# attributes and times of files, which Landlock doesn't know: chmod, fchmod, fchmodat, chown,
# fchown, lchown, fchownat, setxattr and removexattr with their kin, utime, utimes, futimesat,
# utimensat.
# Then what would outlive the process: shmget, semget, msgget, add_key, request_key, keyctl.
_NEW = (425, 452, 463, 466)  # io_uring_setup, fchmodat2, setxattrat, removexattrat
_PROCESSORS = {
    "x86_64": (
        0xC000003E,
        16,
        (
            *(41, *_NEW, 90, 91, 268, 92, 93, 94, 260, 188, 189, 190, 197, 198, 199),
            *(132, 235, 261, 280, 29, 64, 68, 248, 249, 250),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        29,
        (198, *_NEW, 52, 53, 54, 55, 5, 6, 7, 14, 15, 16, 88, 194, 190, 186, 217, 218, 219),
    ),
}
# What ioctl is barred from, whatever is open already: to type into the terminal, whose shell would
# run it when this process has ended (TIOCSTI, and TIOCLINUX's paste), and to set the flags of a
# file that may only be read (FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR).
_IOCTLS = (0x5412, 0x541C, 0x40086602, 0x401C5820)
# What starts processes, by processor: the number of seccomp itself, of clone, which starts threads,
# too, and of others: fork, vfork, and what makes another process do it (ptrace, process_vm_writev).
# Whoever has no clone3 takes clone, whose flags can be seen.
_STARTS = {"x86_64": (317, 56, (57, 58, 101, 311)), "aarch64": (277, 220, (117, 271))}
_CLONE3 = 435
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000  # x86-64's calls have second numbers from here on
# What a process must be able to write to: nothing of it stays, and GPUs are driven by it.
_DEVICES = ("/dev/null", "/dev/nvidia*", "/dev/dri", "/dev/kfd")


def restrict(folders: Sequence[Path]) -> None:
    """Bar this thread, and all threads and processes that it starts, for good.

    What is open already stays so. To be called where there is no other thread, or before this
    process runs another program in its own place.

    Args:
        folders: The folders in which files may be written, made, renamed and removed.

    Raises:
        KprobeError: The system can't do it, or doesn't let it be done.
    """
    if (lack := find_lack()) is not None:
        raise KprobeError(f"this system has no sandbox: {lack}", hint="run it in a container")
    libc = ctypes.CDLL(None, use_errno=True)
    _drop_privileges(libc)
    _call(libc, "prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _bar_files(libc, folders)
    _bar_calls(libc)


def bar_processes() -> None:
    """Bar this process, in the sandbox already, from starting others, for good; threads it may.

    So nothing is left of it when it ends.

    Raises:
        KprobeError: The system doesn't let it be done.
    """
    processor, _, _ = _PROCESSORS[platform.machine()]
    seccomp, clone, others = _STARTS[platform.machine()]
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL | errno.EACCES)
    program = _begin_program(processor)
    for number in others:
        program += [(_JUMP_IF_EQUAL, 0, 1, number), refuse]
    program += [(_JUMP_IF_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    program += [(_JUMP_IF_EQUAL, 1, 0, clone), allow, (_LOAD, 0, 0, _OF_FLAGS)]
    program += [(_JUMP_IF_SET, 1, 0, _CLONE_THREAD), refuse, allow]
    libc = ctypes.CDLL(None, use_errno=True)
    with _assembled(program) as filter_:
        _call(libc, "syscall", seccomp, _SET_MODE_FILTER, _ALL_THREADS, filter_)


def find_lack() -> str | None:
    """Say what the system lacks for a sandbox; None where it has all."""
    if sys.platform != "linux":
        return f"it is there on Linux, and this is {sys.platform}"
    if platform.machine() not in _PROCESSORS or sys.maxsize < 2**32:
        known = " and ".join(_PROCESSORS)
        return f"it is there on {known}, and this is {platform.machine()}"
    version = _find_landlock(ctypes.CDLL(None, use_errno=True))
    if version < _OLDEST:
        return (
            "expected Landlock of version 3 or later (Linux 6.2, and in the kernel's `lsm=`), "
            f"received {f'version {version}' if version > 0 else 'none'}"
        )
    return None


def _find_landlock(libc: Any) -> int:
    version: int = libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    return version


def _drop_privileges(libc: Any) -> None:
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    # Effective, permitted, inheritable: each first for capabilities 0 to 31, then for the rest.
    held = ctypes.create_string_buffer(24)
    _call(libc, "capget", header, held)
    left = [number & _DAC_OVERRIDE for number in struct.unpack("=6I", held.raw)]
    _call(libc, "capset", header, struct.pack("=6I", *left[:2], 0, 0, 0, 0))


def _bar_files(libc: Any, folders: Iterable[Path]) -> None:
    version = _find_landlock(libc)
    barred = _ALL_WRITING | (_CONTROL_DEVICES if version >= 5 else 0)
    attributes = struct.pack(
        "=3Q", barred, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0
    )
    # An older kernel knows a shorter structure.
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = _call(libc, "syscall", _CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    devices = [device for pattern in _DEVICES for device in Path("/").glob(pattern[1:])]
    for path, rights in [
        *((folder, _ALL_WRITING) for folder in folders),
        *(
            (device, barred if device.is_dir() else barred & (_WRITE_FILE | _CONTROL_DEVICES))
            for device in devices
        ),
    ]:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        beneath = struct.pack("=Qi", rights, place)
        _call(libc, "syscall", _ADD_RULE, rules, _RULE_PATH_BENEATH, beneath, 0)
        os.close(place)
    _call(libc, "syscall", _RESTRICT_SELF, rules, 0)
    os.close(rules)


def _bar_calls(libc: Any) -> None:
    processor, ioctl, barred = _PROCESSORS[platform.machine()]
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL | errno.EACCES)
    program = _begin_program(processor)
    for number in barred:
        program += [(_JUMP_IF_EQUAL, 0, 1, number), refuse]
    program += [(_JUMP_IF_EQUAL, 1, 0, ioctl), allow, (_LOAD, 0, 0, _OF_REQUEST)]
    for request in _IOCTLS:
        program += [(_JUMP_IF_EQUAL, 0, 1, request), refuse]
    program.append(allow)
    with _assembled(program) as filter_:
        _call(libc, "prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_, 0, 0)


def _begin_program(processor: int) -> list[_Step]:
    """Begin a filter that looks at the numbers of calls, of this processor alone."""
    return [
        (_LOAD, 0, 0, _OF_PROCESSOR),
        (_JUMP_IF_EQUAL, 1, 0, processor),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _OF_NUMBER),
        (_JUMP_IF_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _FAIL | errno.EACCES),
    ]


@contextlib.contextmanager
def _assembled(program: Sequence[_Step]) -> Iterator[bytes]:
    """Give a filter as a struct sock_fprog: a short, and a pointer where pointers stand."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    yield struct.pack("@HP", len(program), ctypes.addressof(code))


def _call(libc: Any, name: str, *arguments: Any) -> int:
    result: int = getattr(libc, name)(*arguments)
    if result < 0:
        reason = os.strerror(ctypes.get_errno())
        raise KprobeError(
            f"the system refused a sandbox: {name}: {reason}", hint="run it in a container"
        )
    return result
