"""What bytecode names is read, of any Python, and never run."""

from __future__ import annotations

import base64
import marshal
import random

import pytest

from kprobe.gate.names.bytecode import CodeNames, decode_bytecode, read_bytecode

# import os; os.system('touch marker'); [x.size for x in (1, 2)]
CODES = {
    "2.7": (
        "YwAAAAAAAAAAAwAAAEAAAABzNwAAAGQAAGQBAGwAAFoAAGUAAGoBAGQCAIMBAAFnAABkBQBEXQ8AWgIAZQIAagMAXgIAcSAAAWQBAFMoBgAAAGn/////TnMMAAAAdG91Y2ggbWFya2VyaQEAAABpAgAAACgCAAAAaQEAAABpAgAAACgEAAAAdAIAAABvc3QGAAAAc3lzdGVtdAEAAAB4dAQAAABzaXplKAAAAAAoAAAAACgAAAAAdAEAAABtdAgAAAA8bW9kdWxlPgEAAABzBAAAAAwBDQE="
    ),
    "3.6": (
        "4wAAAAAAAAAAAAAAAAMAAABAAAAAcyQAAABkAGQBbABaAGUAagFkAoMBAQBkA2QEhABkB0QAgwEBAGQBUwApCOkAAAAATnoMdG91Y2ggbWFya2VyYwEAAAAAAAAAAgAAAAMAAABDAAAAcxIAAABnAHwAXQp9AXwBagCRAnEEUwCpACkB2gRzaXplKQLaAi4w2gF4cgIAAAByAgAAANoBbfoKPGxpc3Rjb21wPgMAAABzAgAAAAYAcgcAAADpAQAAAOkCAAAAKQJyCAAAAHIJAAAAKQLaAm9z2gZzeXN0ZW1yAgAAAHICAAAAcgIAAAByBgAAANoIPG1vZHVsZT4BAAAAcwQAAAAIAQoB"
    ),
    "3.8": (
        "4wAAAAAAAAAAAAAAAAAAAAADAAAAQAAAAHMkAAAAZABkAWwAWgBlAKABZAKhAQEAZANkBIQAZAVEAIMBAQBkAVMAKQbpAAAAAE56DHRvdWNoIG1hcmtlcmMBAAAAAAAAAAAAAAACAAAAAwAAAEMAAABzEgAAAGcAfABdCn0BfAFqAJECcQRTAKkAKQHaBHNpemUpAtoCLjDaAXhyAgAAAHICAAAA2gFt2go8bGlzdGNvbXA+AwAAAHMEAAAABgACAHIHAAAAKQLpAQAAAOkCAAAAKQLaAm9z2gZzeXN0ZW1yAgAAAHICAAAAcgIAAAByBgAAANoIPG1vZHVsZT4BAAAAcwQAAAAIAQoB"
    ),
    "3.10": (
        "4wAAAAAAAAAAAAAAAAAAAAADAAAAQAAAAHMkAAAAZABkAWwAWgBlAKABZAKhAQEAZANkBIQAZAVEAIMBAQBkAVMAKQbpAAAAAE56DHRvdWNoIG1hcmtlcmMBAAAAAAAAAAAAAAACAAAAAwAAAEMAAABzEgAAAGcAfABdBX0BfAFqAJECcQJTAKkAKQHaBHNpemUpAtoCLjDaAXhyAgAAAHICAAAA2gFt2go8bGlzdGNvbXA+AwAAAHMCAAAAEgByBwAAACkC6QEAAADpAgAAACkC2gJvc9oGc3lzdGVtcgIAAAByAgAAAHICAAAAcgYAAADaCDxtb2R1bGU+AQAAAHMGAAAACAAKARIB"
    ),
    "3.11": (
        "4wAAAAAAAAAAAAAAAAMAAAAAAAAA80YAAACXAGQAZAFsAFoAAgBlAGoBAAAAAAAAAABkAqYBAACrAQAAAAAAAAAAAQBkA4QAZAREAKYAAACrAAAAAAAAAAAAAQBkAVMAKQXpAAAAAE56DHRvdWNoIG1hcmtlcmMBAAAAAAAAAAAAAAADAAAAAwAAAPMcAAAAlwBnAHwAXQl9AXwBagAAAAAAAAAAAJECjApTAKkAKQHaBHNpemUpAtoCLjDaAXhzAgAAACAg2gFt+go8bGlzdGNvbXA+cgkAAAADAAAAcxoAAACAANAAGNAAGNAAGIhBgBGEFtAAGNAAGNAAGPMAAAAAKQLpAQAAAOkCAAAAKQLaAm9z2gZzeXN0ZW1yBAAAAHIKAAAAcggAAAD6CDxtb2R1bGU+cg8AAAABAAAAczoAAADwAwEBAdgACYAJgAmACdgACYAChAmILtEAGdQAGdAAGdgAGNAAGJAW0AAY0QAY1AAY0AAY0AAY0AAYcgoAAAA="
    ),
    "3.12": (
        "4wAAAAAAAAAAAAAAAAQAAAAAAAAA824AAACXAGQAZAFsAFoAAgBlAGoCAAAAAAAAAAAAAAAAAAAAAAAAZAKrAQAAAAAAAAEAZANEAI8AYwJnAGMCXQ4AAH0AfABqBAAAAAAAAAAAAAAAAAAAAAAAAJECjBAEAGMCfQABAHkBYwIBAGMCfQB3ACkE6QAAAABOegx0b3VjaCBtYXJrZXIpAukBAAAA6QIAAAApA9oCb3PaBnN5c3RlbdoEc2l6ZSkB2gF4cwEAAAAw2gFt+gg8bW9kdWxlPnIKAAAAAQAAAHMrAAAA8AMBAQHbAAnYAAmAAocJgQmILtQAGdgRF9YAGIhBgBGHFoMW1AAY+dIAGHMEAAAAmxMyBA=="
    ),
    "3.13": (
        "4wAAAAAAAAAAAAAAAAQAAAAAAAAA824AAACVAFMAUwFLAHIAXABSAgAAAAAAAAAAAAAAAAAAAAAAACIAUwI1AQAAAAAAACAAUwMTAFYAcwIvAHMCSA4AAG8AUgQAAAAAAAAAAAAAAAAAAAAAAABQAk0QAAALACAAIABuAGcBcwIgAHMCbgBmACkE6QAAAABOegx0b3VjaCBtYXJrZXIpAukBAAAA6QIAAAApA9oCb3PaBnN5c3RlbdoEc2l6ZSkB2gF4cwEAAAAw2gFt2gg8bW9kdWxlPnIKAAAAAQAAAHMrAAAA8AMBAQHbAAnYAAKHCYIJiC7UABnZERfTABiRFohBhxaEFpEW0gAY+dIAGHMEAAAAmxQyBA=="
    ),
}


@pytest.mark.parametrize("python", CODES)
def test_the_bytecode_of_any_python_tells_its_names_and_texts(python, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read = read_bytecode(decode_bytecode(CODES[python]))
    assert read.names[0] == "os.system"
    assert "size" in read.names
    assert read.texts[0] == "touch marker"
    assert not [*tmp_path.iterdir()]


def test_functions_inside_of_functions_are_read_too():
    def outer(x):
        import subprocess

        return [(lambda y: subprocess.run(["touch", y]))(x) for _ in "ab"]

    read = read_bytecode(marshal.dumps(outer.__code__))
    assert {"run", "subprocess"} <= {part for name in read.names for part in name.split(".")}
    assert "touch" in read.texts


def test_what_a_lambda_names_is_told_in_a_few_words():
    code = (lambda x: __import__("os").system("touch m")).__code__
    read = read_bytecode(marshal.dumps(code))
    assert str(read) == "names __import__, system and holds the texts 'os', 'touch m'"
    assert str(CodeNames((), ())) == "names nothing"
    long = CodeNames(tuple(f"n{i}" for i in range(50)), ("x" * 500 + "\n\x1b[2J",))
    assert len(str(long)) < 200
    assert str(long).isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"c",
        b"N",
        marshal.dumps([1, "a", {"b": 2.5}, 3j, 2**70, {4}]),
        b")\x01" * 100_000,  # one in another: a parser that calls itself runs out of stack
        b"(\xff\xff\xff\x7f",
        b"r\x00\x00\x00\x00",
        b"{" * 1000,
        b"c" * 5000,
        bytes(5 * 1024**2),
    ],
    ids=range(10),
)
def test_what_is_no_bytecode_is_told_as_none(content):
    assert read_bytecode(content) is None


def test_damaged_bytecode_is_read_or_told_as_none():
    made = random.Random(4)
    for code in CODES.values():
        content = decode_bytecode(code)
        for _ in range(50):
            damaged = bytearray(content)
            for _ in range(made.randint(1, 5)):
                damaged[made.randrange(len(damaged))] = made.randrange(256)
            read = read_bytecode(bytes(damaged[: made.randint(1, 2 * len(damaged))]))
            assert read is None or isinstance(read, CodeNames)


def test_names_are_found_though_lists_are_shared():
    """Each list is told once, however many functions refer to it."""
    code = marshal.loads(base64.b64decode(CODES["3.11"]))  # written above
    many = compile("0", "m", "exec").replace(co_consts=(*[code] * 500, None))
    read = read_bytecode(marshal.dumps(many))
    assert read.names[0] == "os.system"


def test_configs_hold_it_in_base64_or_a_character_for_each_byte():
    plain = base64.b64decode(CODES["2.7"])
    assert decode_bytecode(CODES["2.7"]) == plain
    assert decode_bytecode([CODES["2.7"], None, None]) == plain
    assert decode_bytecode({"code": CODES["2.7"], "defaults": None}) == plain
    items = [CODES["2.7"], None, None]
    assert decode_bytecode({"class_name": "__tuple__", "items": items}) == plain
    raw = "caf\u00e9\x00"
    assert decode_bytecode(raw) == b"caf\xe9\x00"
    for other in (None, [], 3, {}, [3]):
        assert decode_bytecode(other) is None
