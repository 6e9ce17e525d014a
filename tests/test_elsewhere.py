"""What isn't here is said to be elsewhere, and how it is fetched."""

from __future__ import annotations

import pytest

from kprobe.dumps.reader import open_dump
from kprobe.elsewhere import check_here
from kprobe.errors import DumpError, InputError, ModelError
from kprobe.inputs import SampleSpec, open_samples
from kprobe.inputs.locating import locate
from kprobe.inputs.opening import check_there
from kprobe.inputs.sources.model_input import ModelInput
from kprobe.models.file import read_model_file
from kprobe.models.weights.checkpoint import find_checkpoint
from kprobe.models.weights.weights_file import open_weights_file

POINTER = """version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345
"""
ADDRESSES = {
    "hf://keras/bert": "download it first, for example with `hf download keras/bert`",
    "https://a.org/m.keras": "download it first, for example with `curl -LO https://a.org/m.keras`",
    "http://a.org/m.h5": "download it first, for example with `curl -LO http://a.org/m.h5`",
    "gs://b/m": "download it first, for example with `gcloud storage cp gs://b/m .`",
    "s3://b/m": "download it first, for example with `aws s3 cp s3://b/m .`",
    "kaggle://keras/bert": "download it first",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_of_the_web_is_no_file(address):
    for read in (read_model_file, find_checkpoint):
        with pytest.raises(ModelError) as caught:
            read(address)
        assert str(caught.value) == (
            f"{address}: expected a file, received an address; {ADDRESSES[address]}"
        )


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://a.org/x.npy", "https://a.org/x.npy"),
        ("x=https://a.org/x.npy", "https://a.org/x.npy"),
        ({"x": "https://a.org/x.npy"}, "https://a.org/x.npy"),
        ("https://a.org/x.npy?download=true", "https://a.org/x.npy?download=true"),
        ("https://a.org/xs.npz:x", "https://a.org/xs.npz"),
        ("https://a.org/make.py:batches", "https://a.org/make.py"),
        ("https://a.org/*.jpg", "https://a.org/*.jpg"),
        ("http://localhost:8000/x.npy", "http://localhost:8000/x.npy"),
    ],
)
def test_samples_at_an_address_of_the_web_are_downloaded_first(given, address):
    message = (
        f"{address}: expected a file, received an address; "
        f"download it first, for example with `curl -LO {address}`"
    )
    with pytest.raises(InputError) as caught:
        open_samples(SampleSpec(inputs=given), [ModelInput("x", (None, 3), "float32")])
    assert str(caught.value) == message
    if isinstance(given, str):
        with pytest.raises(InputError) as caught:
            check_there([locate(given.removeprefix("x="), None)])
        assert str(caught.value) == message


def test_dumps_at_an_address_of_the_web_are_downloaded_first():
    with pytest.raises(DumpError) as caught:
        open_dump("https://a.org/d.h5")
    assert str(caught.value) == (
        "https://a.org/d.h5: expected a file, received an address; "
        "download it first, for example with `curl -LO https://a.org/d.h5`"
    )


def test_a_name_that_the_system_refuses_is_no_file():
    with pytest.raises(InputError, match="received a path where there is no file"):
        check_there([locate("x" * 300, None)])


@pytest.mark.parametrize("text", ["m.keras", "C:/m.keras", "a:b", "://x", "x//y", "hf:/x", ""])
def test_other_texts_are_left_alone(text):
    check_here(text, ModelError)


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "saved_model.pb"])
def test_a_pointer_of_git_lfs_is_told_as_such(tmp_path, name):
    path = tmp_path / name
    path.write_text(POINTER)
    with pytest.raises(ModelError) as caught:
        read_model_file(path)
    assert str(caught.value) == (
        f"{path} is a pointer of Git LFS, in the place of the file; "
        f"`git lfs pull --include '*{name}'` fetches it"
    )
    with pytest.raises(ModelError, match="is a pointer of Git LFS"):
        open_weights_file(path)
    with pytest.raises(InputError, match="is a pointer of Git LFS"):
        open_samples(SampleSpec(inputs=path), [ModelInput("x", (None, 3), "float32")])
