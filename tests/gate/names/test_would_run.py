"""What a file would run is told in lines, and none of it runs."""

from __future__ import annotations

import base64
import marshal

from gate.hostile.names import HOSTILE, dense, function, layer

from kprobe.gate.names.would_run import list_what_runs

CODE = base64.b64encode(
    marshal.dumps((lambda x: __import__("os").system("touch marker")).__code__)
).decode()
TOLD = "names __import__, system and holds the texts 'os', 'touch marker'"
LAMBDA = {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None, "closure": None}}


class File:
    def __init__(self, *layers, operations=None):
        self.objects = {"class_name": "Sequential", "config": {"layers": [*layers]}}
        self.unsafe_operations = operations


def test_each_piece_of_bytecode_tells_what_it_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    held = [
        layer("Lambda", function=[CODE, None, None], function_type="lambda"),
        layer("Lambda", "keras.layers", None, function=LAMBDA),
        dense(activation=LAMBDA),
        layer("Wrapper", cell={"residual_fn": [CODE], "residual_fn_type": "lambda"}),
        layer("Lambda", function=CODE, function_type="lambda"),
        # As tf_keras writes it in .keras files.
        dense(activation={"class_name": "__lambda__", "config": {"value": [CODE, None, None]}}),
    ]
    for each in held:
        assert list_what_runs(File(each))[-1] == f"layer 'a' holds bytecode: {TOLD}"
    broken = layer("Lambda", function=["AAAA"], function_type="lambda")
    assert list_what_runs(File(broken))[-1] == "layer 'a' holds bytecode that can't be read"
    assert not [*tmp_path.iterdir()]


def test_classes_modules_and_operations_are_told_but_for_those_given():
    own = layer("ROI", "my_layers", "mine>ROI", name="roi")
    system = dense(activation=function("system", "os"))
    lines = [
        "layer 'a' names the function os.system, which is not Keras's own",
        "layer 'roi' is of class ROI (module my_layers), which is not Keras's own",
    ]
    assert list_what_runs(File(own, system)) == lines
    assert list_what_runs(File(own, system), {"mine>ROI"}) == lines[:1]
    assert list_what_runs(File(operations=["the graph writes"])) == ["the graph writes"]
    assert list_what_runs(File(dense())) == []
    assert len(list_what_runs(File(HOSTILE["a SavedModel"]))) == 1


def test_of_very_much_bytecode_a_part_is_read():
    text = "x" * 400_000
    code = base64.b64encode(marshal.dumps(compile(repr(text), "x", "eval"))).decode()
    long = dense(activation={"class_name": "__lambda__", "config": {"code": code}})
    short = dense(activation=LAMBDA)
    lines = [
        "layer 'a' has a __lambda__, which runs Python code",
        f"layer 'a' holds bytecode: holds the text '{text[:19]} … {text[:18]}'",
        "layer 'a' holds bytecode that can't be read",
    ]
    assert list_what_runs(File(long, long)) == lines
    told = list_what_runs(File(long, long, short))
    assert told == [*lines, f"layer 'a' holds bytecode: {TOLD}"]
    assert list_what_runs(File(*[short] * 2000))[-1] == "more than these 1,000 may run, too"
