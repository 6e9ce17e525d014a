import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kprobe.stopping import deferring_stops, stop_if_asked

TERM, INT = signal.SIGTERM, signal.SIGINT


class AskedError(Exception):
    pass


@pytest.fixture(autouse=True)
def handled():
    """Signals that raise an `AskedError` with their number, wherever it is."""

    def ask(number, _frame):
        raise AskedError(number)

    before = {number: signal.signal(number, ask) for number in (TERM, INT)}
    yield ask
    for number, handler in before.items():
        assert signal.getsignal(number) is ask
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [TERM, INT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_waits_for_a_safe_place(number):
    with deferring_stops():
        signal.raise_signal(number)
        with pytest.raises(AskedError, match=str(int(number))):
            stop_if_asked()
        stop_if_asked()  # it is raised once


def test_a_signal_waits_for_the_end_of_the_outermost_block():
    outer = deferring_stops()
    outer.__enter__()
    with deferring_stops():
        signal.raise_signal(TERM)
    with pytest.raises(AskedError):
        outer.__exit__(None, None, None)


def test_blocks_may_end_in_another_order_than_they_began():
    first, second = deferring_stops(), deferring_stops()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    signal.raise_signal(TERM)
    with pytest.raises(AskedError):
        second.__exit__(None, None, None)


def test_the_same_signal_twice_at_once_is_one_wish():
    # As `timeout` sends it: to the process, and to its group.
    stopped = 0
    with deferring_stops():
        signal.raise_signal(TERM)
        signal.raise_signal(TERM)
        with pytest.raises(AskedError):
            stop_if_asked()
        signal.raise_signal(TERM)
        stopped += 1
    assert stopped == 1


def test_who_asks_again_later_is_heard_at_once():
    done = []
    with deferring_stops():
        signal.raise_signal(INT)
        time.sleep(1.1)
        with pytest.raises(AskedError):
            signal.raise_signal(INT)
        done.append("cleared up")
        with pytest.raises(AskedError):  # the first one
            stop_if_asked()
    assert done == ["cleared up"]


def test_signals_that_python_does_not_handle_are_left_alone(handled):
    signal.signal(INT, signal.SIG_IGN)
    with deferring_stops():
        assert signal.getsignal(INT) is signal.SIG_IGN
        assert signal.getsignal(TERM) is not handled
    assert signal.getsignal(INT) is signal.SIG_IGN
    signal.signal(INT, handled)


def test_a_handler_that_was_set_meanwhile_stays(handled):
    with deferring_stops():
        signal.signal(INT, signal.SIG_DFL)
    assert signal.getsignal(INT) is signal.SIG_DFL
    signal.signal(INT, handled)


def test_another_thread_has_nothing_to_do_with_signals(handled):
    def work():
        with deferring_stops():
            stop_if_asked()
            return signal.getsignal(TERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() is handled


def test_what_is_raised_in_a_block_is_raised_by_it():
    with pytest.raises(ZeroDivisionError), deferring_stops():
        1 / 0  # noqa: B018


def test_a_lock_is_never_left_taken():
    # Without deferring, a signal in `Condition.__enter__` leaves it so: what this is for.
    condition = threading.Condition(threading.Lock())
    with deferring_stops():
        for _ in range(100):
            os.kill(os.getpid(), TERM)
            with condition:
                pass
        with pytest.raises(AskedError):
            stop_if_asked()
    assert condition.acquire(blocking=False)
