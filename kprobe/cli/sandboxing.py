"""--sandbox: a command runs itself again where it reaches no network and little of the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.cli.rendering.printing import say
from kprobe.errors import KprobeError
from kprobe.sandbox import bar_processes, restrict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Says that this process is in the sandbox, and which folder for what is in passing is its own.
_OWN_FOLDER = "KPROBE_SANDBOX"
# Where it may write to, as a text.
_PLACES = "KPROBE_SANDBOX_PLACES"
# What the system says of what is barred, by itself and through the libraries.
_SIGNS = ("Permission denied", "Operation not permitted", "name resolution")
# The options that name what is written, and those of them that name a folder.
_OUTPUTS = ("output", "overlays", "profile", "tensorboard")
_FOLDERS = ("overlays", "profile", "tensorboard")
# The commands that write a file even if nobody names it.
_WRITERS = ("bench", "cam", "dump", "plot")


def enter_sandbox(name: str, options: Mapping[str, Any]) -> None:
    """Run this command again in a sandbox, in the place of this process.

    A process can bar itself alone, and no threads that it has already, such as those of numpy: so
    it begins anew once it is barred. Inside, the process that inspects files is started, and no
    other from then on: a model's code leaves none behind.

    Args:
        name: The command's.
        options: The values of its options, by name.

    Raises:
        KprobeError: The system has no sandbox; or an output has no folder of its own, or none that
            can be written to.
        ShortageError: The process that inspects files can't be started.
    """
    if _is_inside():
        from kprobe.gate.apart import start  # not before the sandbox: it takes a while

        start()
        bar_processes()
        return
    folders = [*dict.fromkeys(_find_folders(name, options))]
    made = _make_folders(folders)
    try:
        own = tempfile.mkdtemp(prefix="kprobe-sandbox-")
    except OSError as error:
        raise KprobeError(
            f"--sandbox: no folder for temporary files can be made: {error.strerror}",
            hint="set TMPDIR to one",
        ) from None
    _remove_at_end(own, made)
    restrict([*folders, Path(own)])
    where = ", ".join(map(str, folders))
    if not options.get("quiet"):
        writing = f"writes only in {where}" if where else "nothing is written"
        say(f"in a sandbox: no network; {writing}")
    os.environ.update({_OWN_FOLDER: own, _PLACES: where, "TMPDIR": own})
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - by no shell


def explain_bar(error: BaseException) -> str | None:
    """Say what the sandbox bars, if that may be why something was raised; else None."""
    if not os.environ.get(_OWN_FOLDER):
        return None
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    if not any(sign in text for sign in _SIGNS for text in texts) or not _is_inside():
        return None
    where = os.environ.get(_PLACES)
    writing = f"writing outside {where}" if where else "writing"
    return f"the sandbox bars {writing}, the network, and starting programs"


def _make_folders(folders: Iterable[Path]) -> list[Path]:
    """Make the folders that are written to, and give those that weren't there, inner ones first."""
    made: list[Path] = []
    for folder in folders:
        try:
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KprobeError(f"{folder}: can't be made: {error.strerror}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise KprobeError(f"{folder}: can't be written to", hint="give a folder of your own")
        made += missing
    return made


def _remove_at_end(folder: str, made: Iterable[Path]) -> None:
    """Leave a process that removes a folder when this one has ended, however that was.

    From inside the sandbox it can't be removed: what it lies in can't be written to. The folders
    that were made for the output go, too, if they are empty.
    """
    read, write = os.pipe()
    if os.fork():
        os.close(read)
        os.set_inheritable(write, True)
        return
    os.setsid()  # a Ctrl-C isn't meant for it
    os.close(write)
    # Who reads from a pipe would wait for it, too.
    for stream in (0, 1, 2):
        os.close(stream)
    os.read(read, 1)
    shutil.rmtree(folder, ignore_errors=True)
    for path in made:
        with contextlib.suppress(OSError):  # it holds something
            path.rmdir()
    os._exit(0)


def _is_inside() -> bool:
    if not Path(os.environ.get(_OWN_FOLDER, "")).is_absolute():
        return False
    try:
        socket.socket().close()
    except PermissionError:
        return True
    return False


def _find_folders(name: str, options: Mapping[str, Any]) -> Iterator[Path]:
    """Find the folders that are written to, some of which may not be there yet."""
    if options.get("dry_run"):
        return
    if options.get("output", "-") is None and name in _WRITERS:
        raise KprobeError(
            "--sandbox: expected a folder of its own for the output, received none",
            hint="name the output, such as `-o results/acts.h5`",
        )
    for option in _OUTPUTS:
        value = options.get(option)
        if value is None or value == "-":
            continue
        path = Path(value)
        try:
            is_folder = option in _FOLDERS or str(value).endswith("/") or path.is_dir()
        except OSError as error:
            raise KprobeError(f"{path}: can't be looked at: {error.strerror}") from None
        folder = path if is_folder else path.parent
        _check_folder(folder, None if is_folder else path.name, option)
        yield folder.resolve()


def _check_folder(folder: Path, output: str | None, option: str) -> None:
    """Check that a folder holds nothing that could be spoilt: the sandbox leaves all of it open.

    An output that is a file may be there already, or a part of it, as `--resume` continues it.
    """
    try:
        others = [] if not folder.exists() else [*folder.iterdir()]
    except OSError as error:
        raise KprobeError(f"{folder}: can't be read: {error.strerror}") from None
    if output is not None:
        others = [path for path in others if not path.name.startswith(output)]
    if others:
        number = f"{len(others)} other file{'s' * (len(others) > 1)}"
        new = "NEW_FOLDER/" if output is None else f"NEW_FOLDER/{output}"
        raise KprobeError(
            f"--sandbox: expected a folder of its own for --{option}, received {folder}, which has "
            f"{number}",
            hint=f"give `--{option} {new}`",
        )
