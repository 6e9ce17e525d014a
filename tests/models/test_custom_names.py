"""Reading the user's own Python gives the names that importing it gives."""

from __future__ import annotations

import sys

import pytest

from kprobe.errors import ModelError
from kprobe.models.custom import read_custom_objects
from kprobe.models.custom_import import find_custom_objects
from kprobe.models.custom_names import describe_lacking, read_given_names

BOX = "class Box:\n    def __init__(self, **config): pass\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("code", "given"),
    [
        (BOX, True),
        ("def Box(x): return x", True),
        ("if True:\n    class Box: pass", True),
        ("try:\n    import nothing\nexcept ImportError:\n    class Box: pass", True),
        ("import functools\nBox = functools.partial(lambda x: x)", True),
        ("from beside_names import Box", True),
        ("from beside_names import Other as Box", True),
        ("from beside_names import *", True),
        ("from subprocess import Popen as Box", False),
        ("from subprocess import *", False),
        ("import beside_names as Box", None),
        ("class Outer:\n    class Box: pass", False),
        ("def make():\n    class Box: pass", False),
        ("import keras\nkeras.saving.get_custom_objects()['Box'] = lambda x: x", True),
        ("from keras.saving import *\nget_custom_objects().update({'Box': lambda x: x})", True),
        (
            "import keras\n@keras.saving.register_keras_serializable('p', name='Box')\n"
            "class Inner(keras.Layer): pass",
            True,
        ),
    ],
)
@pytest.mark.parametrize("kind", ["file", "module"])
def test_what_is_read_is_what_would_be_imported(code, given, kind, folder, request):
    import keras

    name = f"own_{abs(hash(code))}_{kind}"
    (folder / f"{name}.py").write_text(code)
    (folder / "beside_names.py").write_text(f"{BOX}class Other: pass\n")
    custom = read_custom_objects(f"{name}.py" if kind == "file" else name)
    before = dict(keras.saving.get_custom_objects())
    try:
        imported = "Box" in find_custom_objects(custom, keras)
    finally:
        keras.saving.get_custom_objects().clear()
        keras.saving.get_custom_objects().update(before)
    read = "Box" in read_given_names(custom).names
    if given is None:  # modules are nothing that a model is made of
        assert not read
    else:
        assert (read, imported) == (given, given)
    assert (describe_lacking(custom, "Box") == "") == read


def test_a_package_is_taken_at_its_word(folder):
    package = folder / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("def __getattr__(name): raise SystemExit")
    (package / "layers.py").write_text("raise SystemExit")
    names = read_given_names(read_custom_objects("own_package"))
    assert names.packages == ("own_package",)
    assert describe_lacking(read_custom_objects("own_package"), "Box") == ""
    # A module in it is a file like any other.
    with pytest.raises(ModelError, match=r"own_package.layers has no Box$"):
        read_given_names(read_custom_objects("own_package.layers:Box"))
    assert read_given_names(read_custom_objects("own_package:Box")).names == {"Box"}
    assert "own_package" not in sys.modules


def test_one_name_of_a_file_is_that_alone(folder):
    (folder / "two_names.py").write_text("class A: pass\nclass B: pass\nC = A")
    for given, expected in (("two_names.py:A", "AC"), ("two_names:B", "B")):
        custom = read_custom_objects(given)
        assert {*find_custom_objects(custom)} == {*expected}
        assert read_given_names(custom).names == {given[-1]}
        assert [each.name for each in custom.list_files()] == ["two_names.py"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("two.py:D", "custom objects: two.py has no D (it has A, B)"),
        ("two:D", "custom objects: two has no D (it has A, B)"),
        ("lost.py:D", "custom objects: there is no file lost.py"),
        (
            "lost:D",
            "custom objects: there is no module lost; give a file, or a class or function of one: "
            "`custom_objects='FILE.py:lost'`",
        ),
        (
            "two.lost",
            "custom objects: there is no module two.lost; give a file, or a class or function of "
            "one: `custom_objects='FILE.py:NAME'`",
        ),
    ],
)
def test_what_is_not_there_is_said_in_the_same_words(given, said, folder):
    (folder / "two.py").write_text("class A: pass\nclass B: pass")
    for read in (read_given_names, find_custom_objects):
        with pytest.raises(ModelError) as caught:
            read(read_custom_objects(given))
        assert str(caught.value) == said
