"""Looking inside a model: from its file where that will do, else by loading it."""

from __future__ import annotations

import pytest

import kprobe
from kprobe.errors import AddressError, ModelError
from kprobe.pipeline.inspect import (
    list_layer_addresses,
    list_model,
    list_model_operations,
    needs_loading,
    search_model,
)

CODE = """
import keras

def make():
    return keras.models.load_model({path!r}, compile=False)
"""


@pytest.fixture
def siamese_file(samples):
    return str(samples / "siamese.keras")


@pytest.fixture
def siamese_code(siamese_file, tmp_path):
    (tmp_path / "code.py").write_text(CODE.format(path=siamese_file))
    return f"{tmp_path / 'code.py'}:make"


def test_only_code_needs_loading(siamese_file, siamese_code):
    assert (needs_loading(siamese_file), needs_loading(siamese_code)) == (False, True)


def test_code_lists_what_the_file_of_the_same_model_does(siamese_file, siamese_code):
    def describe(model, *choice):
        # What isn't a layer but an operation has none to count.
        calls = list_model(model, *choice)
        return {(call.address, call.class_name, call.parameters or 0) for call in calls}

    assert describe(siamese_file) == describe(siamese_code)
    assert len(describe(siamese_file)) == 21
    assert describe(siamese_code, "encoder@1/*", "Dense") == {
        ("encoder@1/embedding", "Dense", 16416)
    }


def test_what_is_not_there_is_told(siamese_file):
    with pytest.raises(AddressError, match=r"no layer 'same' of class Conv2D"):
        list_model(siamese_file, "same", "Conv2D")
    with pytest.raises(AddressError, match=r"'same//\*' names operations; ops=True lists them"):
        list_model(siamese_file, "same//*")
    with pytest.raises(ModelError, match="no such file"):
        list_model("missing.keras")


def test_addresses_are_those_of_the_list(siamese_file):
    assert list_layer_addresses(siamese_file) == [call.address for call in list_model(siamese_file)]
    assert list_layer_addresses("missing.keras") == []


def test_operations_are_chosen_by_their_type(siamese_file):
    everything = list_model_operations(siamese_file, "encoder@0/*//*")
    convolutions = list_model_operations(siamese_file, "encoder@0/*//*", "Conv2D")
    assert convolutions == [each for each in everything if each.type == "Conv2D"]
    assert 0 < len(convolutions) < len(everything)


def test_a_search_that_finds_nothing_is_told(siamese_file):
    with pytest.raises(AddressError, match="nothing upstream of the outputs matches 'Zzz'"):
        search_model(siamese_file, "Zzz", None, None)
    with pytest.raises(AddressError, match="nothing upstream of same within 0 hops matches 'Conv'"):
        search_model(siamese_file, "Conv", "same", 0)
    assert search_model(siamese_file, "Conv2D", "same", None)


@pytest.mark.parametrize("pattern", ["encoder@0/embedding:in", "at:-1", "left"])
def test_a_search_for_an_address_is_told_where_it_belongs(siamese_file, pattern):
    with pytest.raises(AddressError, match="nothing upstream of") as caught:
        search_model(siamese_file, pattern, "left", None)
    assert caught.value.hint == f"it is an address: begin there with start={pattern!r}"


def test_all_that_is_wrong_with_addresses_is_told_at_once(siamese):
    wrong = "embeddding,encoder@0/conv1:mask,same,difference:scores,sam["
    with pytest.raises(AddressError) as caught:
        kprobe.function(siamese, wrong)
    faults = "\n".join(caught.value.lines)
    for fault in ("no layer 'embeddding'", "conv1:mask", "no :scores", "sam["):
        assert fault in faults, fault
    assert len(caught.value.lines) == 4
