import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from kprobe.errors import ModelError, UnsafeModelError
from kprobe.models.file import read_model_file
from kprobe.models.listing import list_layers
from kprobe.models.weights.weight_list import list_weights

FILES = [
    f"{tag}_{name}.{suffix}"
    for tag in ("k2", "k3")
    for name in ("big", "plain")
    for suffix in ("h5", "keras")
]


def listing(path):
    return list_layers(read_model_file(path))


@pytest.mark.parametrize("name", FILES)
def test_positions_classes_and_parameters_are_those_of_the_loaded_model(saved, truth, name):
    entries = listing(saved / name)
    for position, (layer, class_name, parameters, _) in enumerate(truth[name]):
        calls = [entry for entry in entries if entry.position == position]
        assert calls
        for entry in calls:
            assert entry.steps[0][0] == layer
            assert (entry.class_name, entry.parameters) == (class_name, parameters)


@pytest.mark.parametrize("name", FILES)
def test_shapes_that_are_told_are_those_of_the_loaded_model(saved, truth, name):
    entries = {entry.position: entry for entry in listing(saved / name) if entry.depth == 0}
    told = 0
    for position, (layer, _, _, shape) in enumerate(truth[name]):
        made = entries[position].output_shape
        if made is not None and shape != "several calls":
            told += 1
            assert json.loads(json.dumps(made)) == shape, layer
    assert told >= len(truth[name]) // 2


@pytest.mark.parametrize("name", [name for name in FILES if "big" in name])
def test_a_nested_model_is_expanded_below_each_of_its_calls(saved, name):
    entries = {entry.address: entry for entry in listing(saved / name)}
    inner = ["patch", "conv1", "bn", "flat", "embed"]
    assert [a for a in entries if a.startswith("encoder@")] == [
        address
        for call in (0, 1)
        for address in (f"encoder@{call}", *(f"encoder@{call}/{layer}" for layer in inner))
    ]
    for call in (0, 1):
        conv = entries[f"encoder@{call}/conv1"]
        assert (conv.output_shape, conv.parameters) == ((None, 14, 14, 4), 112)
        assert (conv.depth, conv.position) == (1, None)
        assert entries[f"encoder@{call}"].output_shape == (None, 5)
        assert entries[f"shared@{call}"].parameters == 30
    assert entries["seq/s1"].output_shape == (None, 4)
    assert entries["gru"].output_shape == [(None, 3), (None, 3)]
    assert [a for a, entry in entries.items() if entry.is_input and not entry.depth] == [
        "left",
        "right",
    ]


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_operations_of_keras_3_have_no_position(saved, suffix):
    entries = {entry.address: entry for entry in listing(saved / f"k3_big.{suffix}")}
    assert (entries["add"].class_name, entries["add"].position) == ("Add", None)
    assert entries["add"].output_shape == (None, 10)
    assert entries["get_item"].position is None


@pytest.mark.parametrize("name", ["k3_tower.keras", "k3_tower.h5"])
def test_of_a_subclassed_model_the_named_layers_are_listed(saved, name):
    assert [(e.address, e.class_name, e.parameters) for e in listing(saved / name)] == [
        ("base", "", 15),
        ("top", "", 16),
    ]


@pytest.mark.parametrize("name", [*FILES, "k3_tower.keras"])
def test_without_parameters_the_rest_is_the_same(saved, name):
    bare = list_layers(read_model_file(saved / name), parameters=False)
    assert bare == [replace(entry, parameters=None) for entry in listing(saved / name)]


def test_without_parameters_the_weights_are_not_looked_at(saved, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(saved / "k3_big.keras") as whole, zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", whole.read("config.json"))
    assert list_layers(read_model_file(path), parameters=False)
    with pytest.raises(ModelError, match=r"holds no model\.weights\.h5"):
        list_layers(read_model_file(path))


def test_of_a_subclassed_model_whose_file_has_no_names_nothing_is_listed(saved):
    assert listing(saved / "k2_tower.keras") == []


def test_older_keras_3_files_without_names_are_read_by_class_and_order(saved, tmp_path):
    import h5py

    path = tmp_path / "model.keras"
    with zipfile.ZipFile(saved / "k3_big.keras") as archive:
        archive.extractall(tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "r+") as file:
        groups = []
        file.visititems(lambda name, item: groups.append(item) if "name" in item.attrs else None)
        for group in groups:
            del group.attrs["name"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.write(tmp_path / name, name)
    told, named = listing(path), listing(saved / "k3_big.keras")
    assert [replace(entry, parameters=None) for entry in told] == [
        replace(entry, parameters=None) for entry in named
    ]
    # Of the layers inside others only the names tell what weights they have.
    inside = {entry.address for entry in told if entry.parameters is None}
    assert {address.partition("/")[0] for address in inside} == {"steps", "bi", "mha", "gru"}
    assert [e.parameters for e in told if e.address not in inside] == [
        e.parameters for e in named if e.address not in inside
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("k2_plain.h5", "kernel:0"), ("k3_plain.h5", "kernel"), ("k3_plain.keras", "0")],
)
def test_weights_have_owner_name_shape_and_dtype(saved, name, expected):
    weight = list_weights(read_model_file(saved / name)).weights[0]
    assert weight.layer == ("conv",)
    assert (weight.name, weight.shape, weight.dtype) == (expected, (3, 3, 1, 3), "float32")


DENSE = {"class_name": "Dense", "config": {"name": "d", "units": 2}}


def test_the_sequential_of_the_first_keras_2_is_a_plain_list(write_h5):
    first = {"class_name": "Dense", "config": {"name": "a", "units": 3}}
    first["config"]["batch_input_shape"] = [None, 4]
    path = write_h5({"class_name": "Sequential", "config": [first, DENSE]}, version="2.0.6")
    assert [(e.address, e.position, e.output_shape, e.parameters) for e in listing(path)] == [
        ("a_input", None, (None, 4), 0),
        ("a", 0, (None, 3), None),
        ("d", 1, (None, 2), None),
    ]


def test_calls_that_keras_2_keeps_in_a_dict_are_counted(write_h5):
    source = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "name": "x"}}
    layers = [
        {**source, "name": "x", "inbound_nodes": []},
        {**DENSE, "name": "d", "inbound_nodes": [{"u": ["x", 0, 0, {}]}, [["d", 0, 0]]]},
        {
            "class_name": "Add",
            "config": {"name": "s"},
            "name": "s",
            "inbound_nodes": [[["d", 0, 0, {}], ["d", 1, 0, {}]]],
        },
    ]
    config = {"layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["s", 0, 0]]}
    entries = listing(write_h5({"class_name": "Model", "config": config}))
    assert [entry.address for entry in entries] == ["x", "d@0", "d@1", "s"]
    assert entries[-1].output_shape == (None, 2)


def test_models_that_double_without_end_are_refused(write_h5):
    entry = DENSE
    for depth in range(40):
        source = {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 4]},
            "name": "x",
            "inbound_nodes": [],
        }
        calls = [[["x", 0, 0, {}]], [["x", 0, 0, {}]]]
        inner = {**entry, "name": f"m{depth}", "inbound_nodes": calls}
        entry = {
            "class_name": "Functional",
            "config": {
                "layers": [source, inner],
                "input_layers": [["x", 0, 0]],
                "output_layers": [["x", 0, 0]],
            },
        }
    path = write_h5(entry)
    with pytest.raises(UnsafeModelError, match="at most 100,000 calls of layers to build it"):
        read_model_file(path)
    with pytest.raises(ModelError, match="expand to more than 200,000 layer calls"):
        list_layers(read_model_file(path, allow=None))


def test_listing_and_checking_import_no_tensorflow(saved):
    code = f"""
import sys
from kprobe.models.file import read_model_file
from kprobe.models.listing import list_layers
from kprobe.gate.refuse import check_safe
for name in ("k2_big.h5", "k3_big.keras"):
    model = read_model_file({str(saved)!r} + "/" + name)
    check_safe(model)
    assert list_layers(model)
print([name for name in ("tensorflow", "keras", "tf_keras") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
