"""`python -m kprobe`, and what the console script runs."""

import contextlib
import os
import signal
from types import FrameType

_STOPPED = 75


def main() -> None:
    """Run the command line, which takes a while to be imported."""
    # A shell's background job has it ignored, and that is to stay.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, _stop)
    from kprobe.cli.main import main as run

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End at once, as nothing is open yet: an exception would have to pass through the imports."""
    with contextlib.suppress(OSError):
        os.write(2, b"kprobe: stopped\n")
    os._exit(_STOPPED)


if __name__ == "__main__":
    main()
