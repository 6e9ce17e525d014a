"""HDF5 files that somebody could send: links, values elsewhere, bombs, odd types; and honest."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from gate.hostile.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Change = Callable[[Any, Path], object]

_KERNEL = np.arange(6, dtype=np.float32).reshape(3, 2)
_BIAS = np.float32([0.5, -0.5])
_PLACES = {"h5": "model_weights/dense/dense", "keras": "layers/dense/vars"}
_UNDEFINED = b"\xff" * 8
_MEBIBYTE = 1 << 20


def _config_of_keras_2() -> str:
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "input_1"},
        },
        {"class_name": "Dense", "config": {"name": "dense", "units": 2, "activation": "linear"}},
    ]
    return json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": layers}})


def _config_of_keras_3() -> str:
    layers = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, 3], "dtype": "float32", "name": "input_1"},
            "registered_name": None,
        },
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": "dense", "units": 2, "activation": "linear"},
            "registered_name": None,
            "build_config": {"input_shape": [None, 3]},
        },
    ]
    return json.dumps(
        {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": "net", "layers": layers},
            "registered_name": None,
        }
    )


def _fill_whole(file: Any) -> None:
    """Fill a file as Keras 2 does."""
    file.attrs["keras_version"] = "2.15.0"
    file.attrs["backend"] = "tensorflow"
    file.attrs["model_config"] = _config_of_keras_2()
    weights = file.create_group("model_weights")
    weights.attrs["backend"] = "tensorflow"
    weights.attrs["keras_version"] = "2.15.0"
    weights.attrs["layer_names"] = np.array([b"dense"])
    dense = weights.create_group("dense")
    dense.attrs["weight_names"] = np.array([b"dense/kernel:0", b"dense/bias:0"])
    dense["dense/kernel:0"] = _KERNEL
    dense["dense/bias:0"] = _BIAS


def _fill_weights(file: Any) -> None:
    """Fill a file as Keras 3 does."""
    variables = file.create_group("layers/dense/vars")
    variables["0"] = _KERNEL
    variables["1"] = _BIAS
    file.create_group("vars")


def _nothing(_file: Any, _folder: Path) -> None:
    pass


def make_file(
    folder: Path, kind: str = "h5", change: Change = _nothing, **options: Any
) -> tuple[Path, io.BytesIO]:
    """Write a model, changed.

    Args:
        folder: Where it goes.
        kind: Its ending.
        change: Given the HDF5 file, which is open, and the folder, changes it.
        options: How `h5py.File` makes it.

    Returns:
        The model's path, and the content of its HDF5.
    """
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        (_fill_whole if kind == "h5" else _fill_weights)(file)
        change(file, folder)
    return _put(folder, kind, content), content


def _put(folder: Path, kind: str, content: io.BytesIO) -> Path:
    path = folder / f"model.{kind}"
    if kind == "h5":
        path.write_bytes(content.getbuffer())
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.9.0"}))
        archive.writestr("config.json", _config_of_keras_3())
        archive.writestr("model.weights.h5", content.getvalue())
    return path


def _case(
    name: str,
    change: Change,
    rule: str | None,
    *,
    kind: str = "h5",
    patch: Callable[[bytearray], object] | None = None,
    source: str = "",
    **options: Any,
) -> Case:
    def make(folder: Path, _marker: Path) -> Path:
        path, content = make_file(folder, kind, change, **options)
        if patch is not None:
            patched = bytearray(content.getvalue())
            instead = patch(patched)
            path = _put(folder, kind, io.BytesIO(instead if instead is not None else patched))
        return path

    return Case(f"hdf5-{name}", make, rule, source)


def _replace(name: str, make: Callable[[Any, str, Path], object]) -> Change:
    """Put something else in the place of a dataset or group."""

    def change(file: Any, folder: Path) -> None:
        attrs = dict(file[name].attrs)
        del file[name]
        make(file, name, folder)
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.HardLink) and attrs:
            file[name].attrs.update(attrs)

    return change


def _bias(make: Callable[[Any, str, Path], object], kind: str = "h5") -> Change:
    return _replace(f"{_PLACES[kind]}/{'bias:0' if kind == 'h5' else '1'}", make)


def _link(target: Any) -> Callable[[Any, str, Path], object]:
    return lambda file, name, _folder: file.__setitem__(name, target)


def _link_outside(file: Any, name: str, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as other:
        other["secret"] = _BIAS
        other["model_weights/dense"] = 1
    file[name] = h5py.ExternalLink("secret.h5", "secret")


def _store_outside(file: Any, name: str, folder: Path) -> None:
    (folder / "secret.bin").write_bytes(_BIAS.tobytes())
    file.create_dataset(name, (2,), "f4", external=[(str(folder / "secret.bin"), 0, 8)])


def _view(file: Any, name: str, folder: Path, source: str = "secret.h5") -> None:
    with h5py.File(folder / "secret.h5", "w") as other:
        other["secret"] = _BIAS
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(folder / source) if source != "." else ".", "secret", (2,))
    file.create_virtual_dataset(name, layout)


def _view_itself(file: Any, name: str, folder: Path) -> None:
    file["secret"] = _BIAS
    _view(file, name, folder, ".")


def _view_endlessly(file: Any, name: str, folder: Path) -> None:
    # How large it is HDF5 finds out from the files that it is a view of: `part-0.h5` and so on.
    with h5py.File(folder / "part-0.h5", "w") as other:
        other["secret"] = _BIAS
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


def _of_type(stored: Any) -> Callable[[Any, str, Path], object]:
    """Make a dataset of one value of a type that h5py may not know."""

    def make(file: Any, name: str, _folder: Path) -> None:
        space = h5py.h5s.create_simple((2,))
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        h5py.h5d.create(file.id, name.encode(), stored, space, dcpl=settings)
        file["behind"] = 1

    return make


def _of_data(data: Any, **options: Any) -> Callable[[Any, str, Path], object]:
    return lambda file, name, _folder: file.create_dataset(name, data=data, **options)


def _of_shape(shape: tuple[int, ...], **options: Any) -> Callable[[Any, str, Path], object]:
    return lambda file, name, _folder: file.create_dataset(name, shape, "f4", **options)


def _commit_type(file: Any, name: str, _folder: Path) -> None:
    file["kind"] = np.dtype("f4")
    file.create_dataset(name, data=_BIAS, dtype=file["kind"])


def _refer(kind: Any, find: Callable[[Any], object]) -> Callable[[Any, str, Path], object]:
    def make(file: Any, name: str, _folder: Path) -> None:
        file.create_dataset(name, (1,), kind)[0] = find(file)

    return make


def _bomb(packed: bytes, chunk: int, chunks: int) -> Callable[[Any, str, Path], object]:
    """Make a dataset of blocks that are all the same, and packed already."""

    def make(file: Any, name: str, _folder: Path) -> None:
        dataset = file.create_dataset(
            name, (chunk * chunks,), "u1", chunks=(chunk,), compression="gzip"
        )
        for number in range(chunks):
            dataset.id.write_direct_chunk((number * chunk,), packed)

    return make


def _short(packed: bytes, left_out: int = 0, **options: Any) -> Callable[[Any, str, Path], object]:
    """Make a dataset of a block that unpacks to fewer bytes than are read of it."""

    def make(file: Any, name: str, _folder: Path) -> None:
        dataset = file.create_dataset(name, (1000,), "f4", chunks=(1000,), **options)
        dataset.id.write_direct_chunk((0,), packed, left_out)

    return make


def _zip_bomb(file: Any, name: str, folder: Path) -> None:
    packed = zlib.compress(bytes(16 * _MEBIBYTE), 9)
    _bomb(packed, 16 * _MEBIBYTE, 64)(file, name, folder)


def _sparse(file: Any, name: str, _folder: Path) -> None:
    file.create_dataset(name, (1000,), "f4", chunks=(10,))[:10] = 1


def _unknown_filter(number: int) -> Callable[[Any, str, Path], object]:
    def make(file: Any, name: str, _folder: Path) -> None:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((2,))
        settings.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((2,))
        made = h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, dcpl=settings)
        made.write_direct_chunk((0,), _BIAS.tobytes())

    return make


def _put_late(count: int) -> Change:
    """Add datasets that have no place in the file yet: `_overlap` gives them one."""

    def change(file: Any, _folder: Path) -> None:
        file["extra/first"] = np.full(65_536, 7, np.float32)
        for number in range(count):
            file.create_dataset(f"extra/{number}", (65_536,), "f4")

    return change


def _overlap(content: bytearray) -> None:
    """Let datasets lie where the first one lies: each takes 256 KB, and together they take none."""
    size = (262_144).to_bytes(8, "little")
    first = content.index(np.full(4, 7, np.float32).tobytes()).to_bytes(8, "little")
    content[:] = content.replace(b"\3\1" + _UNDEFINED + size, b"\3\1" + first + size)


def _lie_behind(content: bytearray) -> None:
    size = (262_144).to_bytes(8, "little")
    behind = (len(content) - 1000).to_bytes(8, "little")
    content[:] = content.replace(b"\3\1" + _UNDEFINED + size, b"\3\1" + behind + size)


def _declare_less(content: bytearray) -> None:
    """Let a dataset take fewer bytes than its shape needs."""
    first = content.index(np.full(4, 7, np.float32).tobytes()).to_bytes(8, "little")
    stored = b"\3\1" + first + (262_144).to_bytes(8, "little")
    content[:] = content.replace(stored, stored[:10] + (16).to_bytes(8, "little"))


def _say_often(file: Any, _folder: Path) -> None:
    file.attrs["long"] = "x" * 500_000
    file["model_weights"].attrs["more"] = ["y" * 9] * 3000


def _say_everywhere(file: Any, _folder: Path) -> None:
    file.attrs["long"] = "x" * 500_000
    for number in range(200):
        file.create_group(f"extra/{number}").attrs["name"] = "y" * 9


def _say_in_values(file: Any, _folder: Path) -> None:
    file.attrs["long"] = "x" * 500_000
    file["extra"] = ["y" * 9] * 3000


def point_at_long(content: bytearray) -> None:
    """Let all texts of nine bytes lie where the one of 500,000 lies."""
    place = content.index(b"x" * 500_000) - 16
    collection = content.rindex(b"GCOL", 0, place)
    number = struct.unpack_from("<H", content, place)[0]
    long = struct.pack("<IQI", 500_000, collection, number)
    at = 0
    while (at := content.find(b"\x09\0\0\0", at)) >= 0:
        where, number = struct.unpack_from("<QI", content, at + 4)
        # What lies there is a collection of texts, and this its own descriptor.
        if content[where : where + 4] == b"GCOL" and 0 < number < 65_536:
            content[at : at + 16] = long
        at += 1


def _have_many_groups(file: Any, _folder: Path) -> None:
    for number in range(20):
        file.create_group(f"extra{number}")


def stop_heap(content: bytearray) -> None:
    """Let the last part of a heap of texts, which is free, take no bytes: its end is never met."""
    heap = content.index(b"GCOL")
    at = heap + 16
    while number := int.from_bytes(content[at : at + 2], "little"):
        assert number
        at += 16 + (int.from_bytes(content[at + 8 : at + 16], "little") + 7) // 8 * 8
    content[at + 8 : at + 16] = bytes(8)


def break_index(content: bytearray) -> None:
    """Break the checksum of the names of a group with many of them."""
    content[content.index(b"BTLF") + 10] ^= 0xFF


def _put_behind(content: bytearray) -> None:
    content += b"PK\3\4" + bytes(100)


def _cut(content: bytearray) -> None:
    del content[len(content) // 2 :]


def _write(place: int, value: bytes) -> Callable[[bytearray], None]:
    def patch(content: bytearray) -> None:
        content[place : place + len(value)] = value

    return patch


def _rename(old: bytes, new: bytes) -> Callable[[bytearray], None]:
    def patch(content: bytearray) -> None:
        assert len(old) == len(new)
        assert old in content
        content[:] = content.replace(old, new)

    return patch


def _make_with(settings: Callable[[Any], object]) -> Callable[[Path, Path], Path]:
    """Make a file whose settings h5py doesn't name."""

    def make(folder: Path, _marker: Path) -> Path:
        creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
        settings(creation)
        path = folder / "model.h5"
        opened = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, fcpl=creation)
        with h5py.File(opened) as file:
            _fill_whole(file)
        return path

    return make


def _add(make: Callable[[Any], object]) -> Change:
    return lambda file, _folder: make(file)


def _nest(file: Any) -> None:
    file.create_group("/".join(["a"] * 300))


def _name_oddly(file: Any) -> None:
    h5py.h5g.create(file.id, b"\xff\xfe")


def _have_many_attributes(file: Any) -> None:
    for number in range(300):
        file["model_weights"].attrs[f"a{number}"] = number


_CVE_FILE, _CVE_SHAPE = "CVE-2026-1669", "CVE-2026-0897"
_H5T = h5py.h5t
_LINKS = (
    _case("soft-link", _bias(_link(h5py.SoftLink("kernel:0"))), "hdf5-links"),
    _case("soft-link-nowhere", _bias(_link(h5py.SoftLink("/nowhere"))), "hdf5-links"),
    _case(
        "soft-link-in-keras",
        _bias(_link(h5py.SoftLink("0")), "keras"),
        "hdf5-links",
        kind="keras",
    ),
    _case("external-link", _bias(_link_outside), "hdf5-links", source=_CVE_FILE),
    _case(
        "external-link-in-keras",
        _bias(_link_outside, "keras"),
        "hdf5-links",
        kind="keras",
        source=_CVE_FILE,
    ),
    _case(
        "external-link-of-all-weights",
        _replace("model_weights", _link_outside),
        "hdf5-links",
        source="keras-team/keras#22900",
    ),
    _case(
        "external-link-of-a-layer",
        _replace("layers/dense", _link_outside),
        "hdf5-links",
        kind="keras",
        source="keras-team/keras#22899",
    ),
    _case(
        "external-link-aside",
        lambda file, folder: _link_outside(file, "aside", folder),
        "hdf5-links",
    ),
    _case(
        "cycle", _add(lambda file: file.__setitem__("model_weights/again", file["/"])), "hdf5-links"
    ),
    _case(
        "group-twice",
        _add(lambda file: file.__setitem__("other", file["model_weights"])),
        "hdf5-links",
    ),
    _case(
        "dataset-twice",
        _add(lambda file: file.__setitem__("other", file[_PLACES["keras"]]["0"])),
        "hdf5-links",
        kind="keras",
    ),
    _case(
        "two-of-one-name",
        _add(lambda file: file.update({"extra/twin_a": [1], "extra/twin_b": [2]})),
        "hdf5-links",
        patch=_rename(b"twin_b", b"twin_a"),
    ),
    _case(
        "name-of-two-parts",
        _add(lambda file: file.__setitem__("extra_b", [1])),
        "hdf5-links",
        patch=_rename(b"extra_b", b"extra/b"),
    ),
    _case(
        "name-of-itself",
        _add(lambda file: file.__setitem__("Q", [1])),
        "hdf5-links",
        patch=_rename(b"\0Q\0", b"\0.\0"),
    ),
    _case("name-not-utf8", _add(_name_oddly), "hdf5-links"),
)
_OUTSIDE = (
    _case("external-storage", _bias(_store_outside), "hdf5-external", source=_CVE_FILE),
    _case(
        "external-storage-in-keras",
        _bias(_store_outside, "keras"),
        "hdf5-external",
        kind="keras",
        source=_CVE_FILE,
    ),
    _case("view", _bias(_view), "hdf5-external", source="keras-team/tf-keras#921"),
    _case(
        "view-in-keras",
        _bias(_view, "keras"),
        "hdf5-external",
        kind="keras",
        source="keras-team/keras#22976",
    ),
    _case("view-of-itself", _bias(_view_itself), "hdf5-external"),
    _case("view-without-end", _bias(_view_endlessly), "hdf5-external"),
)
_TYPES = (
    _case("committed-type", _bias(_commit_type), "hdf5-types"),
    _case(
        "committed-type-aside",
        _add(lambda file: file.__setitem__("kind", np.dtype("f4"))),
        "hdf5-types",
    ),
    _case("references", _bias(_refer(h5py.ref_dtype, lambda file: file["/"].ref)), "hdf5-types"),
    _case(
        "region-references",
        _bias(
            _refer(
                h5py.regionref_dtype, lambda file: file[f"{_PLACES['h5']}/kernel:0"].regionref[:]
            )
        ),
        "hdf5-types",
    ),
    _case("records", _bias(_of_data(np.zeros(2, [("x", "f4"), ("y", "f4")]))), "hdf5-types"),
    _case("bare-bytes", _bias(_of_data(np.zeros(2, "V1000"))), "hdf5-types"),
    _case(
        "times-of-numpy",
        _bias(_of_data(np.zeros(2, h5py.opaque_dtype("M8[s]")))),
        "hdf5-types",
    ),
    _case(
        "enumeration",
        _bias(_of_data(np.zeros(2, h5py.enum_dtype({"A": 0, "B": 1}, "i4")))),
        "hdf5-types",
    ),
    _case("arrays", _bias(_of_type(_H5T.array_create(_H5T.IEEE_F32LE, (3,)))), "hdf5-types"),
    _case("lists", _bias(_of_type(_H5T.vlen_create(_H5T.IEEE_F32LE))), "hdf5-types"),
    _case("long-doubles", _bias(_of_data(np.ones(2, np.longdouble))), "hdf5-types"),
    _case("bits", _bias(_of_type(_H5T.STD_B8LE)), "hdf5-types"),
    _case("no-values", _bias(_of_data(h5py.Empty("f4"))), "hdf5-types"),
    _case(
        "attribute-of-references",
        _add(lambda file: file.attrs.__setitem__("ref", file["/"].ref)),
        "hdf5-types",
    ),
    _case(
        "attribute-of-records",
        _add(lambda file: file.attrs.__setitem__("x", np.zeros(2, [("x", "f4"), ("y", "i4")]))),
        "hdf5-types",
    ),
)
_SIZES = (
    _case("shape-bomb", _bias(_of_shape((10**9, 10**9))), "hdf5-size", source=_CVE_SHAPE),
    _case(
        "shape-bomb-in-keras",
        _bias(_of_shape((50_000_000, 50_000_000), chunks=(100, 100), compression="gzip"), "keras"),
        "hdf5-size",
        kind="keras",
        source=_CVE_SHAPE,
    ),
    _case(
        "shape-bomb-beyond-64-bits",
        _bias(_of_shape((1 << 40, 1 << 40, 1 << 40), chunks=(1, 1, 1))),
        "hdf5-size",
        source=_CVE_SHAPE,
    ),
    _case("sparse", _bias(_sparse), "hdf5-size", source="keras-team/keras#22975"),
    _case("gzip-bomb", _bias(_zip_bomb), "hdf5-size", source="keras-team/keras#22975"),
    _case("short-block", _bias(_short(b"ab")), "hdf5-size", source="HDF5 1.14.6 reads on"),
    _case("short-gzip", _bias(_short(zlib.compress(b"ab"), compression="gzip")), "hdf5-size"),
    _case("long-gzip", _bias(_short(zlib.compress(bytes(9000)), compression="gzip")), "hdf5-size"),
    _case("short-left-out", _bias(_short(b"ab", 1, compression="gzip")), "hdf5-size"),
    _case("short-shuffle", _bias(_short(b"ab", shuffle=True)), "hdf5-size"),
    _case(
        "short-checksum",
        _bias(_short(b"ab", fletcher32=True)),
        "hdf5-size",
        source="ends the process in HDF5 1.14.6",
    ),
    _case("short-lzf", _bias(_short(b"\x00a", compression="lzf")), "hdf5-size"),
    _case("no-gzip", _bias(_short(b"x" * 50, compression="gzip")), "hdf5-size"),
    _case("overlapping", _put_late(30), "hdf5-size", patch=_overlap),
    _case("behind-the-end", _put_late(1), "hdf5-damaged", patch=_lie_behind),
    _case("less-than-its-shape", _put_late(0), "hdf5-size", patch=_declare_less),
    _case("one-text-3000-times", _say_often, "hdf5-size", patch=point_at_long),
    _case("one-text-of-200-groups", _say_everywhere, "hdf5-size", patch=point_at_long),
    _case("one-text-as-3000-values", _say_in_values, "hdf5-size", patch=point_at_long),
    _case("attributes", _add(_have_many_attributes), "hdf5-size"),
    _case("deep", _add(_nest), "hdf5-size"),
    _case("long-name", _add(lambda file: file.create_group("n" * 2000)), "hdf5-size"),
)
_FILTERS = (
    _case("filter-blosc", _bias(_unknown_filter(32001)), "hdf5-filters"),
    _case("filter-zstd", _bias(_unknown_filter(32015)), "hdf5-filters"),
    _case("filter-of-ones-own", _bias(_unknown_filter(511)), "hdf5-filters"),
    _case(
        "filter-scale-offset", _bias(_of_data(_BIAS, chunks=(2,), scaleoffset=2)), "hdf5-filters"
    ),
)
_LAYOUTS = (
    _case("user-block", _nothing, "hdf5-layout", userblock_size=512),
    _case("more-behind", _nothing, "hdf5-layout", patch=_put_behind),
    _case("pages", _nothing, "hdf5-layout", fs_strategy="page"),
    _case("another-driver", _nothing, "hdf5-layout", patch=_write(48, bytes(8))),
    _case("another-base", _nothing, "hdf5-layout", patch=_write(24, b"\x08")),
    _case("unknown-version", _nothing, "hdf5-layout", patch=_write(8, b"\x07")),
    Case("hdf5-short-addresses", _make_with(lambda made: made.set_sizes(4, 4)), "hdf5-layout"),
    _case(
        "heap-without-end", _nothing, "hdf5-damaged", patch=stop_heap, source="hangs HDF5 1.14.6"
    ),
    _case(
        "broken-index",
        _have_many_groups,
        "hdf5-damaged",
        patch=break_index,
        source="ends the process in HDF5 1.14.6",
        track_order=True,
    ),
    _case("cut", _nothing, "hdf5-damaged", patch=_cut),
    _case("root-elsewhere", _nothing, "hdf5-damaged", patch=_write(64, b"\0\1")),
)


def _name_layers_in_text(file: Any, _folder: Path) -> None:
    weights = file["model_weights"]
    weights.attrs["layer_names"] = ["dense"]
    weights["dense"].attrs["weight_names"] = ["dense/kernel:0", "dense/bias:0"]


def _name_layers_in_parts(file: Any, _folder: Path) -> None:
    # As Keras does where the names of all layers don't fit into one attribute.
    del file["model_weights"].attrs["layer_names"]
    file["model_weights"].attrs["layer_names0"] = np.array([b"dense"])


def _train(file: Any, _folder: Path) -> None:
    """Add what Keras 2 keeps of the optimizer."""
    file.attrs["training_config"] = json.dumps({"loss": "mse", "optimizer_config": {}})
    group = file.create_group("optimizer_weights")
    group.attrs["weight_names"] = np.array([b"Adam/iteration:0", b"Adam/m/dense/kernel:0"])
    group["Adam/iteration:0"] = np.int64(5)
    group["Adam/m/dense/kernel:0"] = np.zeros((3, 2), np.float32)


def _add_layer_without_weights(file: Any, _folder: Path) -> None:
    weights = file["model_weights"]
    weights.attrs["layer_names"] = np.array([b"input_1", b"dense"])
    weights.create_group("input_1").attrs["weight_names"] = []


def _add_odd_values(file: Any, _folder: Path) -> None:
    # No layer has them, and Keras writes their like: of quantized models, and of seeds.
    group = file.create_group("optimizer_weights/odd")
    group["bool"] = np.array([True, False])
    group["half"] = np.ones(2, np.float16)
    group["bfloat16"] = np.ones(2, np.uint16).view("V2")
    group["bfloat16"].attrs["dtype"] = "bfloat16"
    group["float8"] = np.ones(2, np.uint8).view("V1")
    group["complex"] = np.ones(2, np.complex64)
    group["seed"] = np.array([1, 2], np.uint32)
    group["text"] = np.array([b"one", b"three"])
    group["texts"] = ["one", "three"]
    group["none"] = np.zeros((0, 3), np.float32)
    group["big"] = np.ones(2, ">f8")
    group["café au lait"] = 1
    group.create_group("empty")


def _compact(file: Any, name: str, _folder: Path) -> None:
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((2,))
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, dcpl=settings).write(
        h5py.h5s.ALL, h5py.h5s.ALL, _BIAS
    )


def _know_many_things(file: Any, _folder: Path) -> None:
    for number in range(30):
        file.attrs[f"note{number}"] = ["some", "words" * number]


def _incompressible(file: Any, name: str, _folder: Path) -> None:
    """Leave a block as it is, which no filter makes smaller."""
    noise = np.random.default_rng(0).integers(0, 256, 4000, np.uint8)
    for number, options in enumerate(
        (
            {"compression": "gzip", "shuffle": True, "fletcher32": True},
            {"compression": "lzf"},
            {"fletcher32": True},
            {"compression": "lzf", "shuffle": True},
        )
    ):
        for kind, values in (("noise", noise), ("zeros", noise * 0), ("some", noise % 3)):
            at = f"optimizer_weights/{kind}{number}"
            file.create_dataset(at, data=values, chunks=(1000,), **options)
    file[name] = _BIAS


_HONEST = (
    _case("incompressible", _bias(_incompressible), None),
    _case("plain", _nothing, None),
    _case("plain-in-keras", _nothing, None, kind="keras"),
    _case("user-block-of-none", _nothing, None, userblock_size=0),
    _case("gzip", _bias(_of_data(_BIAS, chunks=(2,), compression="gzip")), None),
    _case(
        "all-filters",
        _bias(_of_data(_BIAS, chunks=(1,), compression="lzf", shuffle=True, fletcher32=True)),
        None,
    ),
    _case(
        "gzip-in-keras",
        _bias(_of_data(_BIAS, chunks=(2,), compression="gzip"), "keras"),
        None,
        kind="keras",
    ),
    _case("blocks-beyond-the-edge", _bias(_of_data(_BIAS, chunks=(3,), maxshape=(None,))), None),
    _case("compact", _bias(_compact), None),
    _case("big-endian", _bias(_of_data(_BIAS.astype(">f4"))), None),
    _case("latest", _nothing, None, libver="latest"),
    _case("latest-in-keras", _nothing, None, kind="keras", libver="latest"),
    _case("of-hdf5-1.8", _nothing, None, libver=("v108", "v108")),
    _case("latest-blocks", _bias(_of_data(_BIAS, chunks=(1,))), None, libver="latest"),
    _case("in-order", _nothing, None, track_order=True),
    _case("notes", _know_many_things, None),
    _case("notes-in-a-heap", _know_many_things, None, libver="latest"),
    _case("names-as-texts", _name_layers_in_text, None),
    _case("names-in-parts", _name_layers_in_parts, None),
    _case("trained", _train, None),
    _case("layer-without-weights", _add_layer_without_weights, None),
    _case("odd-values", _add_odd_values, None),
)
CASES = (*_LINKS, *_OUTSIDE, *_TYPES, *_SIZES, *_FILTERS, *_LAYOUTS, *_HONEST)
