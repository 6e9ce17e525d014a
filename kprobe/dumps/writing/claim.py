"""The place of a dump: claimed for this process alone, laid out or kept, and published.

Rows go to NAME.partial, which is NAME when it is complete. NAME.partial.new is the gate: a
process that puts a new file in the place of NAME.partial makes it there, and holds its lock before
looking at what is at NAME.partial. So nothing appears there unseen after that look.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kprobe.dumps.files.lock import LockedFile, lock
from kprobe.dumps.partial import (
    DUMP,
    check_output,
    explained,
    partial_path,
    refuse_existing,
    refuse_kept,
    refuse_special,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kprobe.dumps.output import OutputSpec
    from kprobe.dumps.partial import FileKind


class Claim:
    """The file that a dump's rows go to, which this process alone has until it is closed.

    Attributes:
        output: What is asked of the dump's file.
        kind: The kind of file.
        partial: The place of the dump until it is complete.
    """

    def __init__(self, output: OutputSpec, locked: LockedFile, kind: FileKind) -> None:
        self.output = output
        self.kind = kind
        self.partial = partial_path(output.path)
        self._locked = locked
        self._locks = ExitStack()
        self._locks.callback(locked.close)

    @property
    def file(self) -> int:
        """Descriptor of the file, open for reading and writing."""
        return self._locked.file

    @property
    def is_new(self) -> bool:
        """Whether the file is yet to be laid out, and isn't at the partial file's place."""
        return self._locked.path != self.partial

    def fill(self, make: Callable[[Path], object]) -> None:
        """Lay out a new file, which then becomes the partial file: a kill before leaves none.

        Args:
            make: Makes the file at a path; on an exception it need leave none.

        Raises:
            DumpError: The system refuses.
        """
        with explained(self.partial):
            make(self._locked.path)
            self._locked.rename(self.partial)

    def replace(self, make: Callable[[Path], object]) -> None:
        """Put another file in the place of the partial file; until then that stays as it is.

        Args:
            make: Makes the other file at a path.

        Raises:
            DumpError: The system refuses, or the partial file was taken away.
        """
        with explained(self.partial):
            # Another process has the gate for the moment that it takes to see this one's lock.
            new = lock(_gate(self.partial), create=True, wait=True)
            assert new is not None  # noqa: S101 - it was made
            self._locks.callback(new.close)
            try:
                make(new.path)
                self._locked.check_in_place()
                new.rename(self.partial)
            except BaseException:
                new.remove()  # it may be as large as the dump
                raise
            self._locked = new

    def publish(self) -> None:
        """Give the partial file, which is complete, its name, in one step that no crash can cut.

        Raises:
            DumpError: There is a file of that name, which mustn't be overwritten, the partial file
                was taken away, or the system refuses.
        """
        path = self.output.path
        refuse_existing(path, overwrite=self.output.overwrite, kind=self.kind)
        with explained(path):
            self._locked.rename(path)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def remove(self) -> None:
        """Remove the file."""
        self._locked.remove()

    def close(self) -> None:
        """Give the claim up."""
        self._locks.close()


def claim(output: OutputSpec, kind: FileKind = DUMP) -> Claim:
    """Claim the place of a dump: the partial file of an earlier run, or a new one to lay out.

    Args:
        output: What is asked of its file.
        kind: The kind of file, where it is another one.

    Raises:
        DumpError: The dump exists already, its place can't be written to, another process
            writes there, or the partial file is something else than a dump, or one whose rows
            mustn't be lost.
    """
    check_output(output.path, overwrite=output.overwrite, resume=output.resume, kind=kind)
    partial = partial_path(output.path)
    refuse_special(_gate(partial))
    with explained(partial):
        new = lock(_gate(partial), create=True)
        assert new is not None  # noqa: S101 - it was made
        try:
            earlier = _take_earlier(output, partial, kind)
            if earlier is None:
                return Claim(output, new, kind)
        except BaseException:
            new.remove()
            new.close()
            raise
        new.remove()
        new.close()
        return Claim(output, earlier, kind)


def _take_earlier(output: OutputSpec, partial: Path, kind: FileKind) -> LockedFile | None:
    """Lock the partial file of an earlier run that is to be resumed; remove any other."""
    earlier = lock(partial)
    if earlier is None:
        # Another process may have finished it since.
        refuse_existing(output.path, overwrite=output.overwrite, kind=kind)
        return None
    try:
        refuse_kept(partial, overwrite=output.overwrite or output.resume, kind=kind)
        if output.resume and os.fstat(earlier.file).st_size:
            return earlier
        earlier.remove()
    except BaseException:
        earlier.close()
        raise
    earlier.close()
    return None


def claim_earlier(output: OutputSpec) -> Claim | None:
    """Claim the partial file of an earlier run; None if there is none.

    Raises:
        DumpError: Another process writes there, or the system refuses.
    """
    partial = partial_path(output.path)
    with explained(partial):
        earlier = lock(partial)
    return None if earlier is None else Claim(output, earlier, DUMP)


def _gate(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.new")
