"""Checkpoints that strangers could send, and a pipe in the place of weights."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gate.hostile.case import Case
from gate.hostile.saved_models import STRING, describe, write_variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINKS = "symbolic links in a downloaded directory"
SHARD = "variables.data-00000-of-00001"


def _write(folder: Path, entry: bytes = b"", **table: object) -> Path:
    """Write a checkpoint of three numbers, and give its index."""
    write_variables(folder, [(b"w", entry or describe())], **table)
    return folder / "variables" / "variables.index"


def _changed(change: Callable[[Path, Path], object]) -> Callable[[Path, Path], Path]:
    def make(folder: Path, marker: Path) -> Path:
        index = _write(folder)
        change(index, marker.parent)
        return index

    return make


def _link_shard(index: Path, outside: Path) -> None:
    shard = index.with_name(SHARD)
    shard.rename(outside / "secret")
    shard.symlink_to(outside / "secret")


def _link_index(index: Path, outside: Path) -> None:
    index.rename(outside / "index")
    index.symlink_to(outside / "index")


def _link_to_endless(index: Path, _outside: Path) -> None:
    index.with_name(SHARD).unlink()
    index.with_name(SHARD).symlink_to("/dev/zero")


def _wait_for_shard(index: Path, _outside: Path) -> None:
    index.with_name(SHARD).unlink()
    os.mkfifo(index.with_name(SHARD))


def _swell_index(index: Path, _outside: Path) -> None:
    os.truncate(index, 2**40)


def _make_pipe(folder: Path, _marker: Path) -> Path:
    os.mkfifo(folder / "w.weights.h5")
    return folder / "w.weights.h5"


def _case(name: str, rule: str | None, make: Callable[..., Path], source: str = "") -> Case:
    return Case(f"checkpoint-{name}", make, rule, source, weights=True)


def _of(entry: bytes, **table: object) -> Callable[[Path, Path], Path]:
    return lambda folder, _marker: _write(folder, entry, **table)


CASES = (
    _case("shard-is-a-link", "savedmodel-members", _changed(_link_shard), LINKS),
    _case("index-is-a-link", "savedmodel-members", _changed(_link_index), LINKS),
    _case("shard-without-end", "savedmodel-members", _changed(_link_to_endless), LINKS),
    _case("shard-is-a-pipe", "savedmodel-members", _changed(_wait_for_shard)),
    _case("huge-index", "savedmodel-size", _changed(_swell_index)),
    _case(
        "no-shard",
        "savedmodel-variables",
        _changed(lambda index, _: index.with_name(SHARD).unlink()),
    ),
    _case(
        "shard-too-many",
        "savedmodel-variables",
        _changed(lambda index, _: index.with_name("variables.data-00001-of-00002").touch()),
    ),
    _case(
        "index-cut-short",
        "savedmodel-variables",
        _changed(lambda index, _: index.write_bytes(index.read_bytes()[:-9])),
    ),
    _case("shape-bomb", "savedmodel-variables", _of(describe((2**40,))), "shape bomb"),
    _case("texts-bomb", "savedmodel-variables", _of(describe((2**30,), dtype=STRING))),
    _case("index-hides-entries", "savedmodel-variables", _of(b"", restart=9)),
    Case(
        "checkpoint-too-large",
        # The model itself isn't.
        lambda folder, _marker: _write(folder, data=bytes(1000)),
        "file-size",
        arguments=("--max-model-bytes", "500"),
        weights=True,
    ),
    Case("weights-pipe", _make_pipe, "file-kind", weights=True),
    _case("plain", None, lambda folder, _marker: _write(folder)),
    # Other checkpoints, and all that training leaves, may lie beside it.
    _case(
        "among-others",
        None,
        _changed(lambda index, outside: index.with_name("variables-2.index").symlink_to(outside)),
    ),
)
