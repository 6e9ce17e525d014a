"""Tell what the system is short of, by what it raised and by the limits of this process."""

from __future__ import annotations

import errno
import resource
from typing import TYPE_CHECKING

from kprobe.errors import Hint, ShortageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What is short, and the option of `ulimit` that bounds it.
_MEMORY, _FILES, _PROCESSES, _FILE_SIZE, _COMPUTING = "v", "n", "u", "f", "t"
_BY_NUMBER = {
    errno.EMFILE: (_FILES,),
    errno.ENOMEM: (_MEMORY,),
    errno.EFBIG: (_FILE_SIZE,),
    errno.EAGAIN: (_PROCESSES,),
}
# What is raised without a number: of threads, and of what can't be loaded.
_BY_TEXT = {
    "can't start new thread": (_PROCESSES, _MEMORY),
    "failed to map segment from shared object": (_MEMORY,),
    "annot allocate memory": (_MEMORY,),
    "Too many open files": (_FILES,),
}
# What Python raises where it finds no folder for temporary files.
_NO_FOLDER = "No usable temporary directory"
_FAULTS = {
    _MEMORY: "there is too little memory",
    _FILES: "no more files can be opened",
    _PROCESSES: "no more processes and threads can be started",
    _FILE_SIZE: "no larger file can be written",
    _COMPUTING: "there is too little time for computing",
}
# The limits: what bounds it, below how much it is named, and how it is told.
_LIMITS = {
    _MEMORY: (resource.RLIMIT_AS, 8 << 30, "{:,} bytes of memory"),
    _FILES: (resource.RLIMIT_NOFILE, 64, "{:,} open files"),
    _PROCESSES: (resource.RLIMIT_NPROC, 64, "{:,} processes and threads of this user"),
    _FILE_SIZE: (resource.RLIMIT_FSIZE, 1 << 30, "{:,} bytes in a file"),
    _COMPUTING: (resource.RLIMIT_CPU, 60, "{:,} s of computing"),
}


def find_shortage(error: BaseException) -> ShortageError | None:
    """Tell what the system is short of, as far as that is why something was raised.

    Args:
        error: What was raised.

    Returns:
        What is to be raised instead, which may be itself; None for anything else.
    """
    if isinstance(error, ShortageError):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENFILE:
        return ShortageError("no more files can be opened: the system has too many open")
    if isinstance(error, FileNotFoundError) and _NO_FOLDER in str(error):
        found = _describe((_FILE_SIZE,), "no folder takes temporary files")
        if found.remedy is None:
            found.remedy = Hint("set TMPDIR to one that can be written to")
        return found
    kinds: Sequence[str] = ()
    if isinstance(error, MemoryError):
        kinds = (_MEMORY,)
    # A stream that doesn't wait for its reader says the same as what can't start a process.
    elif isinstance(error, OSError) and not hasattr(error, "characters_written"):
        kinds = _BY_NUMBER.get(error.errno or 0, ())
    elif isinstance(error, ImportError | RuntimeError):
        kinds = next((found for text, found in _BY_TEXT.items() if text in str(error)), ())
    if not kinds:
        return None
    # numpy says how much it was to be.
    said = f": {error}" if isinstance(error, MemoryError) and str(error) else ""
    return _describe(kinds, _FAULTS[kinds[0]] + said)


def explain_end(what: str) -> ShortageError:
    """Say which limits a process of kprobe's may have ended by, where none of them is told.

    Args:
        what: Which process ended, and when.
    """
    return _describe(_LIMITS, what)


def is_bound(*, memory_bytes: int, cpu_seconds: float) -> bool:
    """Tell whether this process may take less memory, or compute for less time, than that."""
    wanted = {_MEMORY: memory_bytes, _COMPUTING: cpu_seconds}
    return any(_find_limit(each, least) is not None for each, least in wanted.items())


def _describe(kinds: Iterable[str], fault: str) -> ShortageError:
    found = {each: _find_limit(each, _LIMITS[each][1]) for each in kinds}
    low = {each: limit for each, limit in found.items() if limit is not None}
    if not low:
        return ShortageError(fault)
    told = " and ".join(_LIMITS[each][2].format(limit) for each, limit in low.items())
    options = " and ".join(f"`ulimit -{each}`" for each in low)
    return ShortageError(f"{fault}; the limit is {told}", hint=f"raise {options}")


def _find_limit(what: str, least: float) -> int | None:
    """Give a limit of this process; None where it is at least so high, or there is none."""
    limit = resource.getrlimit(_LIMITS[what][0])[0]
    return None if limit == resource.RLIM_INFINITY or limit >= least else limit
