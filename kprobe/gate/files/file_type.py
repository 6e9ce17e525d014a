"""What a model file is: its first bytes say it, and its ending doesn't say otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from kprobe.gate.rules import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.gate.opened import OpenedFile

FileType: TypeAlias = Literal["zip", "hdf5", "json", "tflite", "other"]

_NAMES: dict[FileType, str] = {
    "zip": "a zip archive",
    "hdf5": "HDF5",
    "json": "JSON",
    "tflite": "a model of TensorFlow Lite",
    "other": "something else",
}
# TensorFlow before 2.12 writes HDF5 also where a file is called `.keras`.
_BY_ENDING: dict[str, tuple[FileType, ...]] = {
    ".keras": ("zip", "hdf5"),
    ".h5": ("hdf5",),
    ".hdf5": ("hdf5",),
    ".hdf": ("hdf5",),
    ".json": ("json",),
    ".tflite": ("tflite", "other"),  # it tells best what is wrong with its beginning
    # Messages of protocol buffers begin with nothing that tells them.
    ".onnx": ("other",),
    ".pb": ("other",),
}
_START_BYTES = 64
_HDF5 = b"\x89HDF\r\n\x1a\n"
# Where HDF5's library looks for its header, and then at twice that, and so on.
_FIRST_BLOCK = 512


def tell_type(start: bytes) -> FileType:
    """Tell by its first bytes, 64 or all that it has, what a file is."""
    if start.startswith(b"PK\3\4"):
        return "zip"
    if start.startswith(_HDF5):
        return "hdf5"
    if start[4:8] == b"TFL3":
        return "tflite"
    if start.lstrip().startswith(b"{"):
        return "json"
    return "other"


def find_type_faults(opened: OpenedFile) -> Iterator[Fault]:
    """Find whether a file is another thing than its ending says.

    With an ending that says nothing, the content decides; what isn't known by its first bytes is
    left to what reads it.

    Args:
        opened: The file.

    Yields:
        That fault, if there is one; or that HDF5 comes behind other bytes, as its library allows.
    """
    ending = opened.path.suffix.lower()
    expected = _BY_ENDING.get(ending)
    received = tell_type(opened.read(_START_BYTES))
    if received == "other" and (behind := _find_hdf5(opened)):
        yield Fault("hdf5-layout", f"has {behind:,} other bytes before HDF5's own header")
        return
    if expected is None or received in expected:
        return
    names = " or ".join(_NAMES[each] for each in expected if each != "other")
    what = _NAMES[received] if opened.size else "an empty file"
    yield Fault(
        "file-type", f"expected {names or 'a protocol buffer'}, as {ending} says, received {what}"
    )


def _find_hdf5(opened: OpenedFile) -> int | None:
    place = _FIRST_BLOCK
    while place < opened.size:
        if opened.read(len(_HDF5), place) == _HDF5:
            return place
        place *= 2
    return None
