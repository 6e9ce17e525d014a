"""Open what a location points at, by what is in it rather than by its extension."""

from __future__ import annotations

import os
import stat
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

import h5py

from kprobe.elsewhere import check_content, check_here
from kprobe.errors import Hint, InputError, Setting
from kprobe.inputs.concatenated import join
from kprobe.inputs.formats import parquet
from kprobe.inputs.formats.csv_columns import CsvFile
from kprobe.inputs.formats.hdf5 import Hdf5File
from kprobe.inputs.formats.lines import TextFile
from kprobe.inputs.formats.npy_header import MAGIC
from kprobe.inputs.formats.npy_rows import open_npy
from kprobe.inputs.formats.npy_stream import NpyStream
from kprobe.inputs.formats.npz import NpzFile
from kprobe.inputs.formats.snapshot import check_snapshot
from kprobe.inputs.formats.sparse_rows import is_sparse, open_sparse
from kprobe.inputs.formats.tfrecord import (
    GZIP_MAGIC,
    TfRecordFile,
    is_compressed_tfrecord,
    is_tfrecord,
)
from kprobe.inputs.images.files import ImageFiles
from kprobe.inputs.images.finding import (
    IMAGE_EXTENSIONS,
    choose_fitting,
    find_glob,
    find_in_folder,
    find_kind_of,
    is_glob,
    read_list,
)
from kprobe.inputs.images.header import find_kind
from kprobe.inputs.images.rows import Images
from kprobe.inputs.images.walking import Links, walk
from kprobe.inputs.locating import Location
from kprobe.inputs.python.datasets import is_saved, open_saved
from kprobe.inputs.python.generated import open_callable
from kprobe.naming import suggest_name

if TYPE_CHECKING:
    from io import BufferedIOBase
    from pathlib import Path

    from kprobe.inputs.sources.container import Container
    from kprobe.inputs.sources.source import Source, Unfitted

_TEXTS = {".txt", ".csv", ".tsv"}
_PATIENCE = 10.0  # seconds in which a pipe must be opened for writing, too
EXPECTED = "expected a file of arrays, records or images"
_FOREIGN = {
    b"\x80": "a pickle, which is never loaded",
    b"\x1f\x8b": "a gzip file",
    b"MATLAB 5.0": "a MATLAB 5 file (version 7.3 is HDF5)",
}


def open_location(
    location: Location,
    *,
    keep_all: bool = False,
    follow_links: bool = False,
    external: bool = False,
) -> Source | Unfitted | Container:
    """Open an array, or a file of several.

    Args:
        location: Where it is. Its key is looked at where it tells a text from a list of images.
        keep_all: Whether files that are called images and hold none keep their rows.
        follow_links: Whether links in a folder that lead out of it are followed.
        external: Whether values may lie in other files that an HDF5 file names.

    Raises:
        InputError: If there is nothing to read, or nothing that can be samples.
    """
    if location.path is None:
        return _open_stdin()
    path = location.path
    check_here(location.written, InputError)
    if location.function is not None:
        return open_callable(str(path), location.function)
    try:
        if is_glob(path):
            return _open_pattern(
                location, keep_all=keep_all, follow_links=follow_links, external=external
            )
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            if is_saved(path):
                _check_saved(path, location.label, follow_links=follow_links)
                facts = {"source": location.source, "mtime": status.st_mtime}
                return open_saved(path, location.label, facts)
            return Images(find_in_folder(path, keep_all=keep_all, follow_links=follow_links))
        identity = {
            "source": location.source,
            "bytes": status.st_size,
            "mtime": status.st_mtime,
        }
        if not stat.S_ISREG(status.st_mode):  # a pipe, such as bash's <(command) gives
            stream = _open_pipe(path)
            return NpyStream(lambda: stream, location.label, {"source": location.source})
        if location.key is not None and path.suffix.lower() == ".txt":
            return TextFile(path, location.label, identity)
        return _open_file(path, location.label, identity, external=external)
    except FileNotFoundError:
        raise InputError(
            f"{path}: {EXPECTED}, received a path where there is no file",
            hint=_suggest_file(path),
        ) from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None


def _open_pattern(
    location: Location, *, keep_all: bool, follow_links: bool, external: bool
) -> Unfitted | Container:
    """Open the files that fit a pattern, one after another."""
    pattern = cast("Path", location.path)
    paths = find_glob(pattern, follow_links=follow_links)
    kinds = {path: find_kind_of(path) for path in paths}
    called = [path for path in paths if path.suffix.lower() in IMAGE_EXTENSIONS]
    if called or any(kinds.values()):
        for path in paths:
            if not kinds[path] and path not in called and _holds_samples(path):
                raise InputError(f"{pattern}: expected images alone, received {path} too")
        return Images(choose_fitting(pattern, kinds, keep_all=keep_all))
    opened: list[Source | Unfitted | Container] = []
    try:
        locations = (Location(str(path), None, path, location.key) for path in paths)
        opened.extend(open_location(each, external=external) for each in locations)
        return join(opened, str(pattern))
    except BaseException:
        for part in opened:
            part.close()
        raise


def _check_saved(folder: Path, label: str, *, follow_links: bool) -> None:
    """Check a saved dataset before TensorFlow reads it.

    Raises:
        InputError: It is damaged, or doesn't lie in its folder.
    """
    links = Links(folder, follow=follow_links)
    names = [name for name in walk(folder, links) if not links.lead_out(str(folder / name))]
    links.check()
    check_snapshot(folder, names, label)


def _holds_samples(path: Path) -> bool:
    """Tell samples of another kind from what lies beside images, such as a list of them."""
    if path.suffix.lower() in _TEXTS:
        return False
    try:
        open_location(Location(str(path), None, path, None)).close()
    except InputError:
        return False
    return True


def _open_file(
    path: Path, label: str, identity: dict[str, Any], *, external: bool
) -> Source | Unfitted | Container:
    with path.open("rb") as file:
        start = file.read(64)
    check_content(path, start, InputError)
    if start.startswith(MAGIC):
        return open_npy(path, label, identity)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        archive = NpzFile(path, label, identity)
        return open_sparse(path, label, identity) if is_sparse(archive.keys()) else archive
    if h5py.is_hdf5(path):
        return Hdf5File(path, label, identity, external=external)
    if path.suffix.lower() == ".txt":
        return Images(read_list(path))
    if path.suffix.lower() in (".csv", ".tsv"):
        return CsvFile(path, label, identity)
    if find_kind(start):
        return Images(ImageFiles(path.parent, [path.name], str(path), "image"))
    if start.startswith(parquet.MAGIC):
        return parquet.ParquetFile(path, label, identity)
    if is_tfrecord(start) or (start.startswith(GZIP_MAGIC) and is_compressed_tfrecord(path)):
        return TfRecordFile(path, label, identity)
    if not start:
        raise InputError(f"{path}: {EXPECTED}, received an empty one (0 bytes)")
    kinds = (kind for magic, kind in _FOREIGN.items() if start.startswith(magic))
    raise InputError(
        f"{path}: {EXPECTED}, received {next(kinds, f'one that begins {start[:16]!r}')}"
    )


def _open_stdin() -> Source:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "stdin: expected a .npy array, received a terminal",
            hint=Hint("pipe it in: make_samples | kprobe dump ... ", Setting("inputs", "-")),
        )
    stream = cast("BufferedIOBase", sys.stdin.buffer)
    return NpyStream(lambda: stream, "stdin", {"source": "-"}, closes=False)


def _open_pipe(path: Path) -> BufferedIOBase:
    """Open what isn't a regular file; a pipe waits for who writes to it, and not for ever.

    Raises:
        InputError: Nobody does.
        OSError: The system refuses.
    """
    opened: list[BufferedIOBase | OSError] = []

    def wait() -> None:
        try:
            opened.append(cast("BufferedIOBase", path.open("rb")))
        except OSError as error:
            opened.append(error)

    waiting = threading.Thread(target=wait, name="kprobe-pipe", daemon=True)
    waiting.start()
    waiting.join(_PATIENCE)
    if not opened:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # lets the thread go on
        waiting.join()
        (stream,) = opened
        if not isinstance(stream, OSError):
            stream.close()
        raise InputError(f"{path}: expected a .npy array, received a pipe that nobody writes to")
    (stream,) = opened
    if isinstance(stream, OSError):
        raise stream
    return stream


def _suggest_file(path: Path) -> str | None:
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 (names, not paths)
    except OSError:
        return None
    return suggest_name(path.name, names, str(path.parent / "{}"))
