"""Class activation maps laid over the images they are of, as PNG files: one for each sample."""

from __future__ import annotations

import contextlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.reader import open_dump
from kprobe.errors import DumpError, Hint, InputError, Setting
from kprobe.inputs.images.pillow import check_pillow
from kprobe.inputs.images.walking import find_fixed
from kprobe.naming import list_names
from kprobe.pictures.colour import Scale
from kprobe.pictures.overlay import overlay
from kprobe.pictures.pixels import find_channels, make_pixels
from kprobe.pipeline.photos import fit_image, read_photo
from kprobe.pipeline.running.sink import DumpSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.pictures.colour import Colours
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.batches import Computed

_MADE_BY = "kprobe cam"
_COMPRESSION = 3  # of 9: half the time of Pillow's 6, and files 5 % larger
_MOST = 640  # pixels of a photo's side: an overlay of 1,024 takes twice the time, and 1.5 MB
_LONGEST = 200  # characters of a part of a name; file systems take 255 bytes
_ODD = re.compile(r"[\x00-\x1f\x7f]")


class Overlays:
    """A folder of overlays, one for each sample that was read.

    Args:
        plan: What computes the maps.
        folder: The folder; it is made where it isn't there.

    Raises:
        InputError: The samples are no images, or the folder lies among them, or there is no Pillow.
        DumpError: The folder can't be made.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        check_pillow("overlays")
        self._plan = plan
        self._folder = folder
        self._input = _find_images(plan)
        self._photos, self._form = _find_photos(plan, self._input)
        self._number = next(n for n, column in enumerate(plan.fetched) if column.name == "cam")
        _check_apart(plan, folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise DumpError(f"{folder}: expected a folder for overlays, received a file") from None
        except OSError as error:
            raise DumpError(f"{folder}: can't be made: {error.strerror}") from error
        self._signed = plan.job.selection.cam == "cam"

    def draw(self, batch: Computed) -> None:
        """Write the overlays of a batch.

        Raises:
            DumpError: One can't be written, or something else has its name.
        """
        names = self._plan.samples.names(batch.first, batch.first + batch.rows)[:]
        maps = batch.results[self._number]
        maps = maps if isinstance(maps, list) else np.asarray(maps)
        images = batch.feeds[self._input]
        there = [row for row in range(batch.rows) if batch.first + row not in batch.faults]

        def write(row: int) -> None:
            heat, name = np.asarray(maps[row], np.float64), names[row].decode()
            image = self._read_photo(name)
            image = make_pixels(images[row]) if image is None else image
            pixels = overlay(image, heat, self._choose_scale(heat))
            self._save(pixels, name, batch.first + row)

        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "kprobe-overlays") as pool:
            list(pool.map(write, there))

    def _read_photo(self, name: str) -> Colours | None:
        """Give the photo that a sample was made from, as it was before it was resized."""
        if self._photos is None:
            return None
        try:
            photo = read_photo(self._photos / name, _MOST)
        except InputError:  # TensorFlow reads a few that Pillow doesn't
            return None
        size = self._form.get("resize")
        return fit_image(photo, str(self._form["fit"]), size) if size else photo

    def _choose_scale(self, heat: np.ndarray[Any, Any]) -> Scale:
        """Give each sample all colours: what is 0 of Grad-CAM has the first."""
        finite = heat[np.isfinite(heat)]
        low = float(finite.min(initial=np.inf)) if self._signed and finite.size else 0.0
        high = float(finite.max()) if finite.size else 1.0
        return Scale(low, high if high > low else low + 1.0)

    def check_there(self, rows: int, valid: Sequence[bool] | None) -> None:
        """Check that the overlays of the first rows are there, as an earlier run wrote them.

        Args:
            rows: How many rows.
            valid: Whether each could be read, as that run found it; None if all had to be.

        Raises:
            DumpError: Some aren't.
        """
        names = [name.decode() for name in self._plan.samples.names(0, rows)[:]]
        missing = [
            name
            for row, name in enumerate(names)
            if (valid is None or valid[row])
            and not (self._folder / name_overlay(name, row)).exists()
        ]
        if missing:
            raise DumpError(
                f"{rows} samples are done already, and {self._folder} has no overlays of "
                f"{len(missing)} of them: {list_names(missing, 3)}",
                hint=Hint(
                    "start anew with ",
                    Setting("overwrite", True),
                    ", or leave ",
                    Setting("overlays"),
                    " out",
                ),
            )

    def _save(self, pixels: Any, name: str, row: int) -> None:
        """Write an overlay in one step.

        Raises:
            DumpError: It can't be written, or a file of that name is no overlay.
        """
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        told = PngInfo()
        told.add_text("Software", _MADE_BY)
        path = self._folder / name_overlay(name, row)
        beside = path.with_name(f".{path.stem}.{row}.partial")
        try:
            if not path.parent.resolve().is_relative_to(self._folder.resolve()):
                raise DumpError(
                    f"{path}: expected a place in {self._folder}, received a link out of it"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(path) and not _is_overlay(path):
                raise DumpError(
                    f"{path}: expected no file, or an overlay that an earlier run wrote, received "
                    "another file",
                    hint=Hint("choose another folder with ", Setting("overlays")),
                )
            beside.unlink(missing_ok=True)
            with beside.open("xb") as file:
                Image.fromarray(pixels).save(file, "PNG", pnginfo=told, compress_level=_COMPRESSION)
            beside.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise DumpError(f"{path}: can't be written: {error.strerror or error}") from error


class OverlaySink(DumpSink):
    """The dump of a plan, and overlays: those of a sample are there before its row is."""

    def __init__(self, plan: Plan, overlays: Overlays) -> None:
        super().__init__(plan)
        self._overlays = overlays

    def take(self, batch: Computed) -> None:
        """Draw a batch, and hand it to the writer.

        Raises:
            KprobeError: As for `DumpSink`, or an overlay can't be written.
        """
        self._overlays.draw(batch)
        super().take(batch)

    def check_kept(self, rows: int) -> None:
        """Check that the overlays of an earlier run are there.

        Raises:
            DumpError: They aren't.
        """
        done = self.writer.is_done()
        with open_dump(self.writer.path if done else self.writer.partial) as dump:
            valid = dump.read_valid(0, rows)
        self._overlays.check_there(rows, valid)


def name_overlay(name: str, row: int) -> Path:
    """Name the overlay of a sample, below the folder of overlays and nowhere else.

    Args:
        name: The name of the sample, such as "cats/tom.jpg".
        row: Its number, which tells names apart that had to be changed.

    Returns:
        A path such as "cats/tom.jpg.png".
    """
    parts = [_ODD.sub("_", part)[:_LONGEST] for part in name.split("/")]
    kept = [part for part in parts if part not in ("", ".", "..")] or ["sample"]
    while len(kept[-1].encode()) > _LONGEST:
        kept[-1] = kept[-1][:-1]
    changed = "/".join(kept) != name
    return Path(*kept[:-1], f"{kept[-1]}-{row}.png" if changed else f"{kept[-1]}.png")


def _find_images(plan: Plan) -> str:
    """Give the name of the input that images are read for.

    Raises:
        InputError: There is none.
    """
    shapes = {name: shape for name, (shape, _) in plan.samples.specs().items()}
    found = [name for name, shape in shapes.items() if find_channels(shape) is not None]
    if not found:
        told = ", ".join(f"{name} of shape {shape}" for name, shape in shapes.items())
        raise InputError(
            f"overlays: expected samples that are images of 1, 3 or 4 channels, received {told}"
        )
    return found[0]


def _find_photos(plan: Plan, name: str) -> tuple[Path | None, dict[str, Any]]:
    """Find the folder that the names of samples begin at, and what the images were made into.

    Returns:
        None where the samples are no files, or were read from several places.
    """
    told = [each for each in json.loads(plan.attrs["inputs"]) if each.get("input") == name]
    if len(told) != 1 or not ("files" in told[0] and "fit" in told[0]):
        return None, {}
    source = Path(str(told[0]["source"]))
    if source.is_dir():
        return source, told[0]
    return (source.parent if source.is_file() else find_fixed(source)), told[0]


def _check_apart(plan: Plan, folder: Path) -> None:
    """Refuse a folder among the samples: the next run would take overlays for samples.

    Raises:
        InputError: It is.
    """
    for told in json.loads(plan.attrs["inputs"]):
        source = Path(str(told.get("source", "")))
        if not ("files" in told and source.is_dir()):
            continue
        if folder.resolve().is_relative_to(source.resolve()):
            raise InputError(
                f"overlays: expected a folder outside of {source}, received {folder}: the next run "
                "would read them as samples"
            )


def _is_overlay(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            return bool(image.info.get("Software") == _MADE_BY)
    except (OSError, ValueError, SyntaxError):
        return False
