"""Settle with the C library what becomes of memory that was freed."""

from __future__ import annotations

# glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
# As large as a thread's heap can be (HEAP_MAX_SIZE): no heap is ever given back.
_TOP_PAD = 64 << 20


def keep_memory() -> None:
    """Let freed memory wait for the next batch, instead of going back to the system.

    As it is, glibc may map large tensors anew and unmap them when they are freed, so that every
    batch waits for its pages to be cleared again: in two of three runs of a MobileNetV2, with two
    batches at a time, that was a third of the time. For a process of our own only; with another C
    library nothing happens.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, _TOP_PAD)
        mallopt(_M_MMAP_MAX, 0)
