"""Write pictures: one file, or a folder with one for each tensor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.dumps.files.place import refuse_link, refuse_read
from kprobe.dumps.output import read_output
from kprobe.dumps.partial import explained, write_whole
from kprobe.errors import DumpError, Hint, Setting
from kprobe.pictures.files import PICTURE_FORMATS, name_file

if TYPE_CHECKING:
    from kprobe.pictures.files import PictureFormat
    from kprobe.pipeline.plotting.pictured import Pictured


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where pictures go.

    Attributes:
        path: A file, or a folder.
        form: What is written.
        folder: Whether it is a folder, with a file for each picture.
        overwrite: Whether files that are there may be replaced.
    """

    path: Path
    form: PictureFormat
    folder: bool
    overwrite: bool


def find_destination(
    output: str | None, form: PictureFormat | None, *, overwrite: bool = False
) -> Destination | None:
    """Tell whether pictures go to a file or to a folder, and in which format.

    Args:
        output: A name with the suffix of a format for one file, any other for a folder; None for a
            file that is called after what is drawn.
        form: The format of the files in a folder; png by default.
        overwrite: As `Destination` has it.

    Returns:
        None where no name was given.

    Raises:
        DumpError: The name or the format can't be meant.
    """
    if output is None:
        return None
    if output == "-":
        raise DumpError("the output: expected the name of a file or a folder, received '-'")
    is_folder = output.endswith(os.sep) or Path(output).is_dir()
    path = Path(output) if is_folder and output.strip(os.sep) else read_output(output)
    suffix = path.suffix.lower()[1:]
    if is_folder or not suffix:
        return Destination(path=path, form=form or "png", folder=True, overwrite=overwrite)
    known = next((each for each in PICTURE_FORMATS if each == suffix), None)
    if known is None:
        expected = ", ".join(f".{each}" for each in PICTURE_FORMATS)
        raise DumpError(
            f"{output}: expected a file that ends with one of {expected}, received .{suffix}",
            hint="a name that ends with a slash is a folder, with a file for each tensor",
        )
    if form not in (None, known):
        raise DumpError(f"{output}: expected a format that fits the name, received {form}")
    return Destination(path=path, form=known, folder=False, overwrite=overwrite)


def name_picture(pictured: Pictured, form: PictureFormat | None, *, overwrite: bool) -> Destination:
    """Name a file after what is drawn: `acts.conv1.png` of one tensor, `acts.png` of several."""
    addresses = [address for address, _ in pictured.names]
    parts = [Path(pictured.source).stem]
    if len(addresses) == 1:
        parts.append(name_file(addresses[0]))
    path = Path(f"{'.'.join(parts)}.{form or 'png'}")
    return Destination(path=path, form=form or "png", folder=False, overwrite=overwrite)


def write_pictures(pictured: Pictured, place: Destination) -> list[Path]:
    """Draw and write.

    Args:
        pictured: What is drawn.
        place: Where it goes.

    Returns:
        The files.

    Raises:
        KprobeError: A tensor can't be drawn as asked for, or there is no matplotlib.
        DumpError: A file is there already, is read, or can't be written.
    """
    from kprobe.pictures.draw import encode

    paths = [place.path]
    if place.folder:
        taken: set[str] = set()
        paths = []
        for address, sample in pictured.names:
            name = name_file(f"{address}.{sample.replace(' ', '')}" if sample else address, taken)
            taken.add(name.lower())
            paths.append(place.path / f"{name}.{place.form}")
    check_paths(paths, place)
    refuse_read(paths, pictured.read)
    if place.folder:
        try:
            with explained(place.path):
                place.path.mkdir(parents=True, exist_ok=True)
        except DumpError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            raise DumpError(
                f"{place.path}: expected a folder, received a file",
                hint="a name that ends with .png, .svg or .pdf is a file",
            ) from None
    figures = pictured.draw_each() if place.folder else iter([pictured.draw()])
    for path, figure in zip(paths, figures, strict=True):
        write_whole(path, encode(figure, place.form))
    return paths


def check_paths(paths: list[Path], place: Destination) -> None:
    """Check that files may be written.

    Raises:
        DumpError: With all that are there already, and aren't to be replaced; or one is a link.
    """
    for path in paths:
        refuse_link(path)
    there = [path for path in paths if os.path.lexists(path)]
    if wrong := [path for path in there if not path.is_file()]:
        raise DumpError(*(f"{path}: exists, and is no file that can be replaced" for path in wrong))
    if there and not place.overwrite:
        raise DumpError(
            *(f"{path}: exists already" for path in there),
            hint=Hint("replace it with ", Setting("overwrite", True)),
        )
    parent = place.path.parent
    if not place.folder and not parent.is_dir():
        raise DumpError(f"{place.path}: there is no directory {parent}", hint="make it first")
