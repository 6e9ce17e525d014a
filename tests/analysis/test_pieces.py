"""Threads share pieces, and what becomes of these is given in order."""

from __future__ import annotations

import contextlib
import threading

import pytest

from kprobe.analysis.pieces import DroppedError, work_in_order


def test_results_come_in_the_order_of_the_pieces():
    last = threading.Event()
    begun: list[str] = []

    def begin(_check):
        begun.append(threading.current_thread().name)

        def work(piece):
            # The first is finished after the last one of those that may be begun before it.
            if piece == 0:
                last.wait()
            if piece == 5:
                last.set()
            return piece * piece

        return work

    with contextlib.closing(work_in_order(range(6), begin, threads=2)) as parts:
        assert list(parts) == [(piece, piece * piece) for piece in range(6)]
    assert len(begun) == len(set(begun)) <= 2


def test_no_more_pieces_are_held_than_the_threads_will_soon_need():
    taken: list[int] = []

    def pieces():
        for piece in range(1000):
            taken.append(piece)
            yield piece

    with contextlib.closing(
        work_in_order(pieces(), lambda _check: lambda piece: piece, 2)
    ) as parts:
        next(parts)
        assert len(taken) == 8


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_was_not_begun_is_dropped_when_it_is_stopped(error):
    going, stop, done = threading.Event(), threading.Event(), []

    def work(piece):
        if piece == 1:
            going.set()
            stop.wait()
        done.append(piece)
        return piece

    def take(parts):
        for piece, _ in parts:
            going.wait()
            # What is waited for, the piece that was begun, ends after the others were dropped.
            threading.Timer(0.05, stop.set).start()
            raise error(piece)

    with (
        pytest.raises(error),
        contextlib.closing(work_in_order(range(1000), lambda _check: work, 1)) as parts,
    ):
        take(parts)
    assert done == [0, 1]
    assert not any(t.name.startswith("kprobe-pieces") for t in threading.enumerate())


def test_a_piece_that_is_begun_ends_at_its_next_check():
    going, ended = threading.Event(), []

    def begin(check):
        def work(piece):
            going.set()
            while piece:  # all but the first go on for ever
                try:
                    check()
                except DroppedError:
                    ended.append(piece)
                    raise
            return piece

        return work

    with contextlib.closing(work_in_order(range(9), begin, 2)) as parts:
        assert next(parts) == (0, 0)
        going.wait()
    assert set(ended) <= {1, 2}


def test_what_a_piece_raises_is_raised():
    def work(piece):
        if piece == 3:
            raise OSError(5, "cannot be read")
        return piece

    given = []
    with (
        pytest.raises(OSError, match="cannot be read"),
        contextlib.closing(work_in_order(range(9), lambda _check: work, 2)) as parts,
    ):
        given.extend(piece for piece, _ in parts)
    assert given == [0, 1, 2]
