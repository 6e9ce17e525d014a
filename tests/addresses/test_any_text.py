"""The grammar and the finding of layers, for whatever text there is rather than a table of it."""

from __future__ import annotations

import fnmatch
import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kprobe.addresses.calls import LayerCall
from kprobe.addresses.grammar import Address, Step, parse_address, split_addresses
from kprobe.addresses.resolve import match_pattern, resolve
from kprobe.errors import AddressError

# What the grammar gives a meaning to, digits of other scripts, and a bit of everything.
CHARACTERS = st.one_of(st.sampled_from("/:@*?[]'\"=,-.019 ab²٣"), st.characters(codec="utf-8"))
WORDS = st.sampled_from(["type:", "at:", "re:", "//", ":in", ":mask", "x=", "@*", "9" * 5000])
TEXTS = st.lists(st.one_of(CHARACTERS, WORDS), max_size=8).map("".join)
# Names as layers have them; `sample@2` and the like would be read as calls.
NAMES = st.text("abcXYZ019_.-", min_size=1, max_size=8)
NUMBERS = st.integers(0, 10**6)


@given(TEXTS)
@example("a@²")
@example("//a:²")
@example("a[" + "9" * 5000 + "]")
@example("re:a{" + "9" * 30 + "}")
@example("re:" + "(" * 2000)
def test_any_text_is_an_address_or_refused_as_none(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, of regular expressions that will change
        try:
            address = parse_address(text)
        except AddressError:
            return
    given = [address.steps, address.type, address.position, address.regex]
    assert sum(part is not None for part in given) == 1
    assert text.endswith(address.text)


@given(st.lists(NAMES, max_size=5), st.sampled_from([",", " , ", ",,"]))
def test_a_list_is_split_where_it_was_joined(names, comma):
    assert split_addresses(comma.join(names)) == names


@given(st.lists(TEXTS, max_size=3))
def test_any_list_is_split_into_texts(texts):
    for part in split_addresses(",".join(texts)):
        assert part == part.strip() != ""


@st.composite
def addresses(draw):
    """An address as text, and the parts it was put together from."""
    steps, path = [], []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.one_of(NAMES, st.sampled_from(["*", "**", "a?", "b*c"])))
        call = draw(st.one_of(st.none(), st.just("*"), NUMBERS))
        steps.append(Step(name, call))
        path.append(name if call is None else f"{name}@{call}")
    place, parts = "/".join(path), {"steps": tuple(steps)}
    kind = draw(st.sampled_from(["plain", "operation", "weight", "port", "index"]))
    if kind == "operation":
        parts["operation"] = draw(NAMES)
        place += f"//{parts['operation']}"
        if draw(st.booleans()):
            parts["number"] = draw(NUMBERS)
            place += f":{parts['number']}"
    elif kind == "weight":
        parts["weight"] = f"w{draw(NAMES)}"
        place += f":{parts['weight']}"
    elif kind == "port":
        parts["port"] = draw(st.sampled_from(["in", "out", "mask"]))
        place += f":{parts['port']}"
    elif kind == "index":
        ends = st.one_of(st.none(), st.integers(-99, 99))
        index = draw(st.one_of(st.integers(-99, 99), st.tuples(ends, ends), st.just("key")))
        if isinstance(index, tuple):
            place += "[" + ":".join("" if end is None else str(end) for end in index) + "]"
            index = slice(*index)
        else:
            place += f"[{index!r}]"
        parts["index"] = index
    if draw(st.booleans()):
        parts["alias"] = "a" + draw(NAMES)
    return place, parts


@given(addresses())
def test_what_is_put_together_is_taken_apart(made):
    place, parts = made
    alias = parts.get("alias")
    text = f"{alias}={place}" if alias else place
    assert parse_address(text) == Address(place, **parts)


@st.composite
def models(draw):
    """The calls of a model: layers in layers, some called several times."""
    calls = []

    def add(above, depth):
        for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
            times = draw(st.integers(1, 2))
            inside = depth < 2 and draw(st.booleans())
            for number in range(times):
                steps = (*above, (name, number if times > 1 else None))
                calls.append(LayerCall(steps=steps, class_name="Layer"))
                if inside:
                    add(steps, depth + 1)

    add((), 0)
    return calls


@given(models())
def test_the_address_of_a_call_names_it_and_no_other(calls):
    for call in calls:
        (target,) = resolve([call.address], calls)
        assert target.call is call
    assert [target.call for target in resolve(["**"], calls)] == calls
    found = resolve([call.address for call in reversed(calls)], calls)
    assert [target.call for target in found] == calls[::-1]


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True), st.text("aXb0_.*?", max_size=6))
def test_a_glob_matches_what_a_shell_would(names, pattern):
    calls = [LayerCall(steps=((name, None),), class_name="Layer") for name in names]
    pattern = f"{pattern}*".replace("**", "*")
    expected = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    try:
        found = [call.address for call in match_pattern(pattern, calls)]
    except AddressError:
        found = []
    assert found == expected


@given(models(), st.data())
def test_a_misspelt_name_is_answered_with_names_that_are_there(calls, data):
    call = data.draw(st.sampled_from(calls))
    letters = data.draw(st.permutations(call.address.replace("/", "") + "q"))
    with pytest.raises(AddressError) as caught:
        resolve([f"q{''.join(letters).replace('@', '')}"], calls)
    _, _, near = str(caught.value).partition("; nearest: ")
    assert {*near.split(", ")} - {""} <= {call.address for call in calls}


@given(models())
def test_a_name_with_a_letter_too_many_is_found(calls):
    long = [call for call in calls if len(call.address) >= 4]
    for call in long[:3]:
        with pytest.raises(AddressError) as caught:
            resolve([f"{call.address}q"], calls)
        assert "nearest: " in str(caught.value)
