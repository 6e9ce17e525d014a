"""Which files are images: those of a folder, of a pattern, or of a list."""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.elsewhere import check_content, check_here
from kprobe.errors import Hint, InputError, Setting
from kprobe.gate.opened import open_file
from kprobe.gate.rules import Fault
from kprobe.inputs.images.files import EXPECTED, NAMED, ImageFiles
from kprobe.inputs.images.header import PILLOW_KINDS, TENSORFLOW_KINDS, find_kind
from kprobe.inputs.images.pillow import INSTALL, has_pillow
from kprobe.inputs.images.walking import Links, find_files, find_fixed, walk
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Mapping

_START_BYTES = 64
_LIST_BYTES = 256 << 20
# fmt: off
IMAGE_EXTENSIONS = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff",
    ".jp2", ".j2k", ".avif", ".heic", ".heif", ".jxl",
}
# fmt: on


def find_in_folder(
    folder: Path, *, keep_all: bool = False, follow_links: bool = False
) -> ImageFiles:
    """Find the images of a folder and of all folders in it, sorted by path.

    Files and folders whose names begin with a full stop aren't looked at. Others are images if
    they begin so and have the name of an image (.jpg, ...) or a name without a full stop.

    Args:
        folder: The folder.
        keep_all: Whether to keep those that are called images and can't be decoded.
        follow_links: Whether links that lead out of the folder are followed.

    Raises:
        InputError: There are none, images of kinds that aren't decoded, or links that lead out.
    """
    kinds: dict[str, str | None] = {}
    links = Links(folder, follow=follow_links)
    for name in walk(folder, links):
        extension = Path(name).suffix.lower()
        if extension and extension not in IMAGE_EXTENSIONS:
            continue
        path = folder / name
        if links.lead_out(str(path)):
            continue
        if path.exists() and not path.is_file():  # a pipe, say, which nobody may ever write into
            continue
        kind = find_kind_of(path)
        if kind or extension:
            kinds[name] = kind
    links.check()
    names = sorted(kinds, key=lambda name: name.split("/"))
    ordered = {name: kinds[name] for name in names}
    return _choose(folder, ordered, str(folder), "folder", keep_all=keep_all)


def find_kind_of(path: Path) -> str | None:
    """Name the kind of an image by its content; None for a file that is none or can't be read."""
    try:
        opened = open_file(path)
    except OSError:
        return None
    return None if isinstance(opened, Fault) else find_kind(opened.read(_START_BYTES))


def _choose(
    folder: Path, kinds: Mapping[str, str | None], source: str, what: str, *, keep_all: bool
) -> ImageFiles:
    """Choose from files those that are images.

    Args:
        folder: As for `ImageFiles`.
        kinds: The kind of each file by its name, in order; None where it is no image.
        source: As for `ImageFiles`.
        what: As for `ImageFiles`, the kind.
        keep_all: Whether to choose all.

    Raises:
        InputError: None is an image, such as where Git LFS left pointers in their place, or not
            all that are can be decoded.
    """
    images = {name: kind for name, kind in kinds.items() if kind}
    if not images:
        for name in list(kinds)[:1]:
            with suppress(OSError), (folder / name).open("rb") as file:
                check_content(folder / name, file.read(_START_BYTES), InputError)
        called = f", though some are called so: {list_names(kinds, NAMED)}" if kinds else ""
        raise InputError(
            f"{source}: expected images, received none{called}",
            hint=f"give a folder or a pattern with {EXPECTED} images",
        )
    if keep_all:
        return ImageFiles(folder, [*kinds], source, what)
    known = {*TENSORFLOW_KINDS, *PILLOW_KINDS}
    if foreign := [f"{name} ({kind})" for name, kind in images.items() if kind not in known]:
        raise InputError(
            f"{source}: expected {EXPECTED} images, received also {list_names(foreign)}",
            hint=Hint("convert them, or keep their rows empty: ", Setting("on_error", "skip")),
        )
    by_pillow = [name for name, kind in images.items() if kind in PILLOW_KINDS]
    if by_pillow and not has_pillow():
        needing = list_names(dict.fromkeys(str(images[name]) for name in by_pillow))
        raise InputError(
            f"{source}: {needing} images need Pillow, which isn't installed: "
            f"{list_names(by_pillow)}",
            hint=INSTALL,
        )
    left_out = [name for name, kind in kinds.items() if not kind]
    return ImageFiles(folder, [*images], source, what, left_out)


def is_glob(path: Path) -> bool:
    """Tell whether a path is a pattern, rather than a file of such a name."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def find_glob(pattern: Path, *, follow_links: bool = False) -> list[Path]:
    """Find the files that fit a pattern with `*`, `?`, `[...]` and `**`, sorted.

    The extensions of images are found in capitals, too, as in a folder.

    Raises:
        InputError: There are none, or links that lead out of where the pattern begins and aren't
            to be followed.
    """
    files = find_files(_ignore_case(str(pattern)), follow_links=follow_links)
    if not files:
        raise InputError(
            f"{pattern}: expected files, received a pattern that none fits",
            hint="check it: `**` also looks into folders, `*` doesn't",
        )
    return files


def _ignore_case(pattern: str) -> str:
    """Let the extension of a pattern fit in small letters and in capitals, if it is an image's."""
    beginning, _, extension = pattern.rpartition(".")
    if not any(fnmatchcase(known, f".{extension.lower()}") for known in IMAGE_EXTENSIONS):
        return pattern
    either = re.sub(r"\[[^\]]*\]|[a-zA-Z]", _with_other_case, extension)
    return f"{beginning}.{either}"


def _with_other_case(match: re.Match[str]) -> str:
    text = match[0].strip("[]")
    return f"[{text}{text.swapcase()}]"


def choose_fitting(
    pattern: Path, kinds: Mapping[Path, str | None], *, keep_all: bool
) -> ImageFiles:
    """Take the images among the files that fit a pattern, named from where the pattern begins.

    Args:
        pattern: The pattern.
        kinds: The kind of image that each file is; None where it is none.
        keep_all: As for `find_in_folder`.

    Raises:
        InputError: As for `find_in_folder`.
    """
    folder = find_fixed(pattern)
    named = {path.relative_to(folder).as_posix(): kind for path, kind in kinds.items()}
    return _choose(folder, named, str(pattern), "glob", keep_all=keep_all)


def read_list(path: Path) -> ImageFiles:
    """Read a list of images: a path a line, relative to the list's own folder.

    Raises:
        InputError: It isn't text, no path is in it, or addresses of the web alone.
    """
    if (size := path.stat().st_size) > _LIST_BYTES:
        raise InputError(
            f"{path}: expected a list of image files, {_LIST_BYTES:,} bytes at most, received "
            f"{size:,}"
        )
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected a list of image files, received no text: {error}"
        ) from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: expected a list of image files, a path a line, received none")
    if all("://" in name for name in names):
        check_here(names[0], InputError)
    return ImageFiles(path.parent, names, str(path), "list")
