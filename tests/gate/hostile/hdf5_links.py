"""HDF5 files whose names or values lie elsewhere: links, other files, and views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
from gate.hostile.hdf5_files import BIAS, CVE_FILE, PLACES, add, bias, case, link, rename, replace

if TYPE_CHECKING:
    from pathlib import Path


def _link_outside(file: Any, name: str, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as other:
        other["secret"] = BIAS
        other["model_weights/dense"] = 1
    file[name] = h5py.ExternalLink("secret.h5", "secret")


def _store_outside(file: Any, name: str, folder: Path) -> None:
    (folder / "secret.bin").write_bytes(BIAS.tobytes())
    file.create_dataset(name, (2,), "f4", external=[(str(folder / "secret.bin"), 0, 8)])


def _view(file: Any, name: str, folder: Path, source: str = "secret.h5") -> None:
    with h5py.File(folder / "secret.h5", "w") as other:
        other["secret"] = BIAS
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(folder / source) if source != "." else ".", "secret", (2,))
    file.create_virtual_dataset(name, layout)


def _view_itself(file: Any, name: str, folder: Path) -> None:
    file["secret"] = BIAS
    _view(file, name, folder, ".")


def _view_endlessly(file: Any, name: str, folder: Path) -> None:
    # How large it is HDF5 finds out from the files that it is a view of: `part-0.h5` and so on.
    with h5py.File(folder / "part-0.h5", "w") as other:
        other["secret"] = BIAS
    space = h5py.h5s.create_simple((1, 2), (h5py.h5s.UNLIMITED, 2))
    space.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), stride=(1, 1), block=(1, 2))
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_virtual(
        space, str(folder / "part-%b.h5").encode(), b"secret", h5py.h5s.create_simple((2,))
    )
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    kind = h5py.h5t.IEEE_F32LE
    h5py.h5d.create(file.id, name.encode(), kind, space, dcpl=settings, lcpl=links)


def _name_oddly(file: Any) -> None:
    h5py.h5g.create(file.id, b"\xff\xfe")


_LINKS = (
    case("soft-link", bias(link(h5py.SoftLink("kernel:0"))), "hdf5-links"),
    case("soft-link-nowhere", bias(link(h5py.SoftLink("/nowhere"))), "hdf5-links"),
    case(
        "soft-link-in-keras",
        bias(link(h5py.SoftLink("0")), "keras"),
        "hdf5-links",
        kind="keras",
    ),
    case("external-link", bias(_link_outside), "hdf5-links", source=CVE_FILE),
    case(
        "external-link-in-keras",
        bias(_link_outside, "keras"),
        "hdf5-links",
        kind="keras",
        source=CVE_FILE,
    ),
    case(
        "external-link-of-all-weights",
        replace("model_weights", _link_outside),
        "hdf5-links",
        source="keras-team/keras#22900",
    ),
    case(
        "external-link-of-a-layer",
        replace("layers/dense", _link_outside),
        "hdf5-links",
        kind="keras",
        source="keras-team/keras#22899",
    ),
    case(
        "external-link-aside",
        lambda file, folder: _link_outside(file, "aside", folder),
        "hdf5-links",
    ),
    case(
        "cycle", add(lambda file: file.__setitem__("model_weights/again", file["/"])), "hdf5-links"
    ),
    case(
        "group-twice",
        add(lambda file: file.__setitem__("other", file["model_weights"])),
        "hdf5-links",
    ),
    case(
        "dataset-twice",
        add(lambda file: file.__setitem__("other", file[PLACES["keras"]]["0"])),
        "hdf5-links",
        kind="keras",
    ),
    case(
        "two-of-one-name",
        add(lambda file: file.update({"extra/twin_a": [1], "extra/twin_b": [2]})),
        "hdf5-links",
        patch=rename(b"twin_b", b"twin_a"),
    ),
    case(
        "name-of-two-parts",
        add(lambda file: file.__setitem__("extra_b", [1])),
        "hdf5-links",
        patch=rename(b"extra_b", b"extra/b"),
    ),
    case(
        "name-of-itself",
        add(lambda file: file.__setitem__("Q", [1])),
        "hdf5-links",
        patch=rename(b"\0Q\0", b"\0.\0"),
    ),
    case("name-not-utf8", add(_name_oddly), "hdf5-links"),
)


_OUTSIDE = (
    case("external-storage", bias(_store_outside), "hdf5-external", source=CVE_FILE),
    case(
        "external-storage-in-keras",
        bias(_store_outside, "keras"),
        "hdf5-external",
        kind="keras",
        source=CVE_FILE,
    ),
    case("view", bias(_view), "hdf5-external", source="keras-team/tf-keras#921"),
    case(
        "view-in-keras",
        bias(_view, "keras"),
        "hdf5-external",
        kind="keras",
        source="keras-team/keras#22976",
    ),
    case("view-of-itself", bias(_view_itself), "hdf5-external"),
    case("view-without-end", bias(_view_endlessly), "hdf5-external"),
)


CASES = (*_LINKS, *_OUTSIDE)
