"""Names of files: never outside of their folder, and never one for two tensors."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from kprobe.pictures.files import name_file


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("conv1", "conv1"),
        ("encoder@1/conv1", "encoder@1.conv1"),
        ("ROI[0]", r"ROI_0_-[0-9a-f]{8}"),
        ("../../etc/passwd", r"_..etc.passwd-[0-9a-f]{8}|etc.passwd-[0-9a-f]{8}"),
        ("/", r"_-[0-9a-f]{8}"),
        ("a" * 10_000, r"a{91}-[0-9a-f]{8}"),
        ("<script>\n", r"_script__-[0-9a-f]{8}"),
    ],
)
def test_plain_names_stay_and_others_get_a_digest(address, right):
    assert re.fullmatch(right, name_file(address))


def test_what_is_taken_is_not_given_again():
    first = name_file("Conv")
    second = name_file("conv", {first.lower()})
    assert (first, second[:5]) == ("Conv", "conv-")


@settings(max_examples=40)
@given(st.text(max_size=120))
def test_every_name_is_a_file_in_its_folder(address):
    name = name_file(address)
    assert re.fullmatch(r"[\w@][\w.@-]*", name, re.ASCII)
    assert len(name) <= 100
    assert PurePosixPath(name).parts == (name,)
