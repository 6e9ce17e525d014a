"""Inspect a file by all rules of the gate but those of names, the cheapest first.

Each step is taken only if those before it found nothing: what reads a config may believe that it is
JSON, what reads weights that they lie in the file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from kprobe.architecture.keras_version import judge_version
from kprobe.architecture.network import count_layers, read_network
from kprobe.architecture.old_configs import adapt_config
from kprobe.errors import ModelError
from kprobe.gate.files.archive import (
    CONFIG,
    LIMITS,
    METADATA,
    WEIGHTS,
    find_archive_faults,
    open_member,
    read_member,
)
from kprobe.gate.files.archive_layout import read_members
from kprobe.gate.files.config_json import MAX_BYTES, parse_config
from kprobe.gate.files.file_type import find_type_faults, tell_type
from kprobe.gate.files.hdf5_mark import UnmarkedSection
from kprobe.gate.files.hdf5_structure import find_hdf5_faults
from kprobe.gate.findings import MOST_FAULTS, Findings, Limits
from kprobe.gate.networks.network import find_network_faults
from kprobe.gate.networks.vocabularies import find_vocabulary_faults
from kprobe.gate.networks.weight_shapes import find_weight_faults
from kprobe.gate.opened_checkpoint import OpenedCheckpoint
from kprobe.gate.opened_directory import OpenedDirectory
from kprobe.gate.rules import RULES, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kprobe.gate.files.hdf5_datasets import StoredDataset
    from kprobe.gate.findings import Opened
    from kprobe.gate.opened import OpenedFile
    from kprobe.hdf5 import Section

_START_BYTES = 64
# A metadata.json has a version and a date.
_METADATA_BYTES = 1 << 20
# What Keras calls the attributes and groups in which models and weights are.
_OF_KERAS = (b"model_config", b"layer_names", b"model_weights", b"_layer_checkpoint", b"vars")
_OTHER_HDF5 = "is not a model file: HDF5 of something else than Keras"
_BLOCK_BYTES = 1 << 22
# What a model is trained with lies beside its weights.
_TRAINING = ("optimizer", "optimizer_weights", "_optimizer")


def inspect(opened: Opened, limits: Limits | None = None) -> Findings:
    """Inspect a file or a directory.

    Args:
        opened: The file or the directory.
        limits: Only `max_model_bytes` is looked at. What else bounds it: `kprobe.gate.apart`.

    Returns:
        What it finds: the faults of the first step that finds any.
    """
    limits = limits or Limits()
    inspection = _Inspection(limits)
    if inspection.take_size(opened.size):
        if isinstance(opened, OpenedCheckpoint):
            inspection.look_at_checkpoint(opened)
        elif isinstance(opened, OpenedDirectory):
            inspection.look_at_saved_model(opened)
        elif inspection.take(find_type_faults(opened)):
            inspection.look_at_file(opened)
    return inspection.found


class _Inspection:
    """The steps, and what they found so far."""

    def __init__(self, limits: Limits) -> None:
        self.found = Findings()
        self._allow, self._most = limits.allow, limits.max_model_bytes

    def take(self, faults: Iterable[Fault]) -> bool:
        """Note faults, and tell whether there are none but those that are allowed."""
        allowed: list[Fault] = []
        found: list[Fault] = []
        for fault in faults:
            # Many that are allowed must not hide one that isn't.
            noted = allowed if RULES[fault.rule].kind in self._allow else found
            if len(noted) < MOST_FAULTS:
                noted.append(fault)
            if len(found) == MOST_FAULTS:
                break
        self.found = replace(self.found, faults=(*self.found.faults, *allowed, *found))
        return not found

    def take_size(self, size: int) -> bool:
        """Note the size, in bytes, and tell whether it is no larger than is allowed."""
        self.note(size=size)
        if self._most is None or size <= self._most:
            return True
        text = f"takes {size:,} bytes, above the limit of {self._most:,}"
        return self.take([Fault("file-size", text)])

    def note(self, **facts: Any) -> None:
        self.found = replace(self.found, **facts)

    def look_at_saved_model(self, directory: OpenedDirectory) -> None:
        from kprobe.gate.graphs.saved_model import find_saved_model_faults

        self.note(format="saved_model")
        self._count(partial(find_saved_model_faults, directory))

    def look_at_checkpoint(self, checkpoint: OpenedCheckpoint) -> None:
        from kprobe.gate.graphs.checkpoint import find_checkpoint_faults

        self.note(format="checkpoint")
        self._count(partial(find_checkpoint_faults, checkpoint))

    def look_at_file(self, opened: OpenedFile) -> None:
        """Take the steps for the kind of file that the first bytes tell."""
        start = opened.read(_START_BYTES)
        kind, ending = tell_type(start), opened.path.suffix.lower()
        if kind == "zip":
            self._look_at_archive(opened)
        elif kind == "hdf5":
            self.note(format="h5")
            self._look_at_hdf5(opened)
        elif kind == "json":
            self._look_at_json(opened)
        elif kind == "tflite" or ending == ".tflite":
            from kprobe.gate.converted.tflite import find_tflite_faults

            self.note(format="tflite")
            self._count(partial(find_tflite_faults, opened))
        elif ending == ".onnx":
            from kprobe.gate.converted.onnx import find_onnx_faults

            self.note(format="onnx")
            self._count(partial(find_onnx_faults, opened))
        # A graph's definition begins with a node.
        elif start.startswith(b"\x0a") or ending == ".pbtxt":
            from kprobe.gate.graphs.saved_model import find_frozen_graph_faults

            self.note(format="graph")
            self._count(partial(find_frozen_graph_faults, opened))

    def _count(self, find: Callable[..., Iterable[Fault]]) -> None:
        """Take faults of what is read to its end, and note what is counted on the way."""
        counts: Counter[str] = Counter()
        if self.take(find(counts=counts)):
            self.note(**counts)

    def _look_at_json(self, opened: OpenedFile) -> None:
        config, faults = parse_config(opened.read(MAX_BYTES + 1))
        if not self.take(faults) or config is None:
            return
        self.note(format="json")
        if "weight_map" in config and "class_name" not in config:
            return  # where the weights of a model are
        version = config.get("keras_version")
        self._look_at_config(config, version, 3, None)

    def _look_at_archive(self, opened: OpenedFile) -> None:
        members = read_members(opened, LIMITS.members)
        if isinstance(members, Fault):
            self.take([members])
            return
        by_name = {member.name: member for member in members}
        if not self.take(find_archive_faults(opened)):
            return
        self.note(format="keras")
        config, faults = parse_config(read_member(opened, by_name[CONFIG]), CONFIG)
        version = None
        if METADATA in by_name:
            content = read_member(opened, by_name[METADATA])
            metadata, more = parse_config(content, METADATA, _METADATA_BYTES)
            faults += more
            version = (metadata or {}).get("keras_version")
        if not self.take(faults) or config is None:
            return
        datasets: list[StoredDataset] = []
        if WEIGHTS in by_name:
            with open_member(opened, by_name[WEIGHTS]) as section:
                if not self.take(find_hdf5_faults(section, datasets)):
                    return
        self._look_at_config(config, version, 3, datasets, by_name)

    def _look_at_hdf5(self, opened: OpenedFile) -> None:
        datasets: list[StoredDataset] = []
        section = UnmarkedSection(opened.descriptor, 0, opened.size)
        if faults := [*islice(find_hdf5_faults(section, datasets), MOST_FAULTS)]:
            other = not (any(RULES[each.rule].damage for each in faults) or _names_keras(opened))
            self.take([Fault("file-type", _OTHER_HDF5)] if other else faults)
            return
        text, version = _read_attributes(section)
        self._note_weights(datasets)
        if text is None:
            return  # weights alone
        config, faults = parse_config(text)
        if self.take(faults) and config is not None:
            self._look_at_config(config, version, 2, datasets)

    def _look_at_config(
        self,
        config: dict[str, Any],
        version: Any,
        default: int,
        datasets: list[StoredDataset] | None,
        members: Iterable[str] | None = None,
    ) -> None:
        """Look at a config, and at the weights that it says.

        Args:
            config: The config.
            version: What the file says of the version that wrote it.
            default: The library where nothing tells it.
            datasets: The file's; None for an architecture without weights.
            members: The names of an archive's members; None for another file.
        """
        told = version if isinstance(version, str) else None
        told, major = judge_version(told, config, default)
        self.note(keras_version=told)
        self._note_weights(datasets or [])
        if not isinstance(config.get("config"), dict | list) or "class_name" not in config:
            return  # it is none of a model, as is told where it is read
        if not self.take(find_network_faults(config, major)):
            return
        try:
            new = adapt_config(config, told) if major < 3 else config
        except ModelError:
            return  # of Keras 1, and of no use: so, too, is told where it is read
        network = read_network(new)
        self.note(layers=None if network is None else count_layers(network))
        missing = find_vocabulary_faults(network, members) if network and members else ()
        if not self.take(missing):
            return
        shapes = {each.path: each.shape for each in datasets or ()}
        self.take(find_weight_faults(new, major, shapes, version=told))

    def _note_weights(self, datasets: list[StoredDataset]) -> None:
        own = [each for each in datasets if each.path.split("/")[0] not in _TRAINING]
        self.note(weights=len(own), weight_bytes=sum(each.unpacked for each in own))


def _names_keras(opened: OpenedFile) -> bool:
    """Tell whether anything in an HDF5 file may be called as in those of Keras.

    It is searched as bytes: what breaks rules isn't given to HDF5's library.
    """
    most = max(map(len, _OF_KERAS))
    return any(
        name in block
        for start in range(0, opened.size, _BLOCK_BYTES)
        for block in [opened.read(_BLOCK_BYTES + most, start)]
        for name in _OF_KERAS
    )


def _read_attributes(section: Section) -> tuple[bytes | None, Any]:
    """Give the config of an HDF5 file in which no faults were found, and the version it tells."""
    import h5py

    with h5py.File(section, "r") as file:
        config, version = file.attrs.get("model_config"), file.attrs.get("keras_version")
    if isinstance(config, str):
        config = config.encode("utf-8", "surrogateescape")
    if isinstance(version, bytes):
        version = version.decode("utf-8", "replace")
    return config if isinstance(config, bytes) else None, version
