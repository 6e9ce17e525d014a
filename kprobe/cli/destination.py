"""Where a dump is written, which may be stdout."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kprobe.cli.job_settings import name_output
from kprobe.cli.stdio import take_stdout
from kprobe.errors import DumpError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def goes_to_stdout(options: Mapping[str, Any]) -> bool:
    """Tell whether a command's options ask for a dump on stdout."""
    return options["output"] == "-" and not options.get("dry_run")


@contextlib.contextmanager
def opening_output(
    options: Mapping[str, Any], what: str = "activations", ending: str = ".h5"
) -> Iterator[str | Path]:
    """Give the file to write; for stdout one in passing, copied there when it is finished.

    Args:
        options: The values of the command's options and arguments, by name.
        what: What a file that nobody named is called after.
        ending: What the name of such a one ends in.

    Raises:
        DumpError: stdout can't be written; a pipe that was closed is no error.
    """
    if not goes_to_stdout(options):
        yield options["output"] or name_output(options["model"], f"{what}{ending}")
        return
    import shutil

    from kprobe.scratch import make_scratch

    stdout = take_stdout()
    with make_scratch("kprobe-stdout-") as directory:
        path = directory / "activations.h5"
        try:
            yield path
        except StoppedError:
            raise StoppedError("stopped, and nothing was written to stdout") from None
        try:
            with path.open("rb") as file, stdout:
                shutil.copyfileobj(file, stdout, 1 << 20)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise DumpError(f"stdout can't be written: {error.strerror}") from error
