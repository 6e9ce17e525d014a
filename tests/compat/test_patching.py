"""What is changed of other libraries is as it was when the block is left."""

from __future__ import annotations

import contextlib
import threading
import types
from functools import cached_property

import keras
import pytest
import tensorflow as tf

from kprobe.compat.patching import patched


class Base:
    def inherited(self):
        return "inherited"

    @property
    def own_way(self):
        return self.held.value

    @own_way.setter
    def own_way(self, value):
        self.held.value = value

    @cached_property
    def held(self):
        held = threading.local()
        held.value = "at first"
        return held


class Tracking(Base):
    @staticmethod
    def static():
        return "static"

    def __setattr__(self, name, value):
        raise AssertionError(f"{name} would be tracked")


def make_module():
    module = types.ModuleType("module")
    module.there = "there"
    return module


OWNERS = {
    "a module's": (make_module, "there"),
    "a module's that isn't there": (make_module, "absent"),
    "a class's": (lambda: type("Own", (Base,), {"own": 1}), "own"),
    "what a class inherits": (lambda: Tracking, "inherited"),
    "a static method": (lambda: Tracking, "static"),
    "a class's that isn't there": (lambda: Tracking, "absent"),
    "a method, for one object": (Tracking, "inherited"),
    "an object's that isn't there": (Tracking, "absent"),
    "TensorFlow's own kind of module": (lambda: tf.compat.v1, "while_loop"),
    "the call of a class of Keras": (lambda: keras.layers.Dense, "__call__"),
    "the call of a layer": (lambda: keras.layers.Dense(2), "call"),
}


def look(owner, name):
    return {**vars(owner)}, getattr(owner, name, None)


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("fails", [False, True], ids=["left", "raised"])
def test_an_attribute_is_as_it_was_afterwards(owner, fails):
    make, name = OWNERS[owner]
    owner = make()
    before = look(owner, name)
    expected = pytest.raises(KeyboardInterrupt) if fails else contextlib.nullcontext()
    with expected, patched(name, 1, owner):
        assert getattr(owner, name) == 1
        with patched(name, 2, owner):
            assert getattr(owner, name) == 2
        assert getattr(owner, name) == 1
        if fails:
            raise KeyboardInterrupt
    assert look(owner, name) == before


def test_several_owners_are_changed_and_put_back_even_where_one_refuses():
    module, other = make_module(), make_module()
    with patched("there", 1, module, other):
        assert (module.there, other.there) == (1, 1)
    assert (module.there, other.there) == ("there", "there")
    # Classes that are written in C can't be changed.
    with pytest.raises(TypeError, match="immutable type"), patched("there", 1, module, int):
        pytest.fail("the block was entered")
    assert module.there == "there"
    with patched("there", 2, module):
        assert module.there == 2
    assert module.there == "there"


@pytest.mark.parametrize("first", ["outer", "inner"])
def test_blocks_of_two_threads_that_overlap_leave_what_was_there(first):
    module = make_module()
    outer, inner = patched("there", 1, module), patched("there", 2, module)
    outer.__enter__()
    inner.__enter__()
    assert module.there == 2
    ends = [outer, inner] if first == "outer" else [inner, outer]
    ends[0].__exit__(None, None, None)
    assert module.there == (2 if first == "outer" else 1)
    ends[1].__exit__(None, None, None)
    assert module.there == "there"


def test_a_property_is_each_threads_own():
    owner = Base()
    owner.own_way = "main"
    entered, left = threading.Event(), threading.Event()
    seen = []

    def run():
        owner.own_way = "other"
        with patched("own_way", "other, changed", owner):
            entered.set()
            assert left.wait(60)
            seen.append(owner.own_way)
        seen.append(owner.own_way)

    thread = threading.Thread(target=run)
    with patched("own_way", "main, changed", owner):
        thread.start()
        assert entered.wait(60)
        assert owner.own_way == "main, changed"
    assert owner.own_way == "main"
    left.set()
    thread.join()
    assert seen == ["other, changed", "other"]
