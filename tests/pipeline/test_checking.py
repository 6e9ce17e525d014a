"""kprobe.check: which files are accepted, why not, and what is inside."""

from __future__ import annotations

import base64
import json
import marshal
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import pytest
from gate.hostile.onnx import PLAIN, external
from gate.hostile.saved_models import add_function, describe, write, write_variables
from gate.hostile.saved_models import make_model as make_saved_model
from gate.hostile.tflite import make_model, pack

import kprobe
from kprobe.gate.rules import KINDS, RULES

SAMPLES = Path(__file__).parents[2] / "sample_models"
ROI = SAMPLES / "shapes_roi.keras"
# lambda x: __import__('os').system('touch m')
BYTECODE = base64.b64encode(
    marshal.dumps((lambda x: __import__("os").system("touch m")).__code__)  # never run
).decode()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lambda_model(folder):
    """digits_cnn.keras, of which relu1 is bytecode, or what looks like it."""
    path = folder / "lambda.keras"
    with zipfile.ZipFile(SAMPLES / "digits_cnn.keras") as source, zipfile.ZipFile(path, "w") as to:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                layers = {each["config"]["name"]: each for each in config["config"]["layers"]}
                code = {
                    "class_name": "__lambda__",
                    "config": {"code": BYTECODE, "defaults": None},
                }
                layers["relu1"] |= {"class_name": "Lambda", "module": "keras.layers"}
                layers["relu1"]["config"] = {"name": "relu1", "trainable": True, "function": code}
                content = json.dumps(config).encode()
            to.writestr(name, content)
    return path


def test_an_honest_file_is_accepted_and_told_of():
    result = kprobe.check(SAMPLES / "digits_cnn.keras")
    assert result
    assert (result.verdict, result.reasons, result.would_run) == ("accepted", (), ())
    assert result.path == str(SAMPLES / "digits_cnn.keras")
    assert result.size == (SAMPLES / "digits_cnn.keras").stat().st_size
    assert result.format == "keras"
    assert result.keras_version.startswith("3.")
    assert kprobe.check(SAMPLES / "shapes_rpn.h5").format == "h5"


def test_each_reason_names_its_rule_and_what_has_it(lambda_model):
    result = kprobe.check(lambda_model)
    assert not result
    (reason,) = result.reasons
    assert (reason.rule, reason.owner) == ("code-lambda", "layer 'relu1'")
    assert (reason.damage, reason.allow) == (False, RULES["code-lambda"].kind)
    assert result.lines == [f"layer 'relu1' {reason.text} [code-lambda]"]
    assert result.would_run == (
        f"layer 'relu1' {reason.text}",
        "layer 'relu1' holds bytecode: names __import__, system and holds the texts 'os', "
        "'touch m'",
    )


def test_what_is_allowed_is_accepted_and_still_told(lambda_model):
    result = kprobe.check(lambda_model, allow="lambda")
    assert result
    assert len(result.would_run) == 2
    others = [kind for kind in KINDS if kind != "lambda"]
    assert not kprobe.check(lambda_model, allow=others)


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ("roi_layer", True),
        ("roi_layer:ROI", True),
        ("roi_layer.py", True),
        ("roi_layer.py:ROI", True),
        ({"ROI": print}, True),
        (["other", {"ROI": print}], True),
        ("other", False),
        ("other.py:Scale", False),
        ("roi", False),
        ({"Scale": print}, False),
    ],
)
def test_own_classes_are_no_faults(given, accepted, folder):
    shutil.copy(SAMPLES / "roi_layer.py", folder)
    (folder / "other.py").write_text("class Scale: pass")
    (folder / "roi").mkdir()
    (folder / "roi" / "__init__.py").write_text("ROIs = ()")
    result = kprobe.check(ROI, custom_objects=given)
    assert result.accepted == accepted
    assert [reason.rule for reason in result.reasons] == ([] if accepted else ["names-custom"])
    assert len(result.would_run) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("other.py", "other.py has no ROI (it has Scale)"),
        ("other", "other has no ROI (it has Scale)"),
        ("other.py:Scale", "other.py:Scale has no ROI (it has Scale)"),
        ("none.py", "none.py has no ROI (it has none)"),
        (["none.py", "other.py"], "none.py, other.py have no ROI (they have Scale)"),
        ({"Scale": print}, None),
    ],
)
def test_what_was_given_in_vain_is_said_in_the_words_of_other_commands(given, said, folder):
    (folder / "other.py").write_text("class Scale: pass")
    (folder / "none.py").write_text("import os")
    (reason,) = kprobe.check(ROI, custom_objects=given).reasons
    text = "is of class ROI (module roi_layer), which is not Keras's own"
    assert reason.text == (f"{text}; {said}" if said else text)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.load_model(ROI, custom_objects=given)
    assert f"layer 'ROI' {reason.text}; give it with" in str(caught.value)


def test_code_that_defines_own_classes_is_not_run(folder):
    marker = folder / "marker"
    begin = f"open({str(marker)!r}, 'w')\n"
    for number, text in enumerate(
        [
            "class ROI: pass",
            "if x:\n    ROI = 3",
            "from mine import Box as ROI",
            "try:\n    from . import ROI\nexcept E:\n    pass",
            "def ROI(): pass",
        ]
    ):
        (folder / f"mine{number}.py").write_text(begin + text)
        assert kprobe.check(ROI, custom_objects=f"mine{number}.py"), text
    for text in ("class Other:\n    ROI = 1", "def f():\n    ROI = 1", "print(ROI)", "ROI.x = 1"):
        (folder / "not.py").write_text(begin + text)
        assert not kprobe.check(ROI, custom_objects="not.py"), text
    assert not marker.exists()


def test_code_that_is_none_is_a_mistake(folder):
    (folder / "broken.py").write_text("class (")
    (folder / "roi.py").write_text("class ROI: pass\nclass _Inner: pass")
    for name, fault in (
        ("missing.py", "there is no file missing.py"),
        ("ROI", "there is no module ROI; give a file"),
        ("broken.py", "broken.py can't be imported: SyntaxError"),
        ("roi.py:Scale", r"roi.py has no Scale \(it has ROI\)"),
    ):
        with pytest.raises(kprobe.KprobeError, match=fault):
            kprobe.check(ROI, custom_objects=name)
    with pytest.raises(kprobe.KprobeError, match="allow"):
        kprobe.check(ROI, allow="everything")


def test_what_is_no_model_is_not_accepted(folder):
    (folder / "empty.h5").touch()
    (folder / "text.keras").write_text("not a model")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.h5")
    Path("broken.keras").write_bytes((SAMPLES / "digits_cnn.keras").read_bytes()[:5000])
    given = ["missing.h5", "empty.h5", "text.keras", "folder", "pipe.h5", "broken.keras", "a\0b"]
    given += ["https://example.org/model.keras", "build.py:make", "/dev/null", "-", ""]
    for path in given:
        result = kprobe.check(path)
        assert (result.path, result.verdict) == (path, "unreadable"), result
        (reason,) = result.reasons
        assert reason.damage
        assert not (path and reason.text.startswith(path))
    assert kprobe.check("-").reasons[0].text.startswith("expected a file, received stdin")
    assert kprobe.check("").reasons[0].text == "expected a file, received an empty text"


def test_a_saved_model_is_told_by_its_directory_or_its_main_file(folder):
    # The smallest there is: a graph without anything.
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(b"\x08\x01\x12\x04\x0a\x02\x22\x00")
    one, other = kprobe.check("saved"), kprobe.check("saved/saved_model.pb")
    assert (one.path, other.path) == ("saved", "saved/saved_model.pb")
    assert one.verdict == other.verdict
    assert one.reasons == other.reasons
    assert one.format == other.format == "saved_model"


def test_weights_alone_are_checked_as_weights(folder):
    write_variables(folder, [(b"w", describe())])
    Path("variables").rename("ck")
    with h5py.File("a.weights.h5", "w") as file:
        file["layers/d/vars/0"] = [1.0, 2.0]
    Path("m.weights.json").write_text('{"weight_map": {"d": "a.weights.h5"}}')
    for path, kind, weights, held in (
        ("ck/variables.index", "checkpoint", 1, 12),
        ("ck/variables.data-00000-of-00001", "checkpoint", 1, 12),
        ("ck/variables", "checkpoint", 1, 12),
        ("a.weights.h5", "weights", 1, 16),
        ("m.weights.json", "weights", 1, 16),
    ):
        result = kprobe.check(path)
        told = (result.format, result.weights, result.weight_bytes, result.path)
        assert (result.accepted, *told) == (True, kind, weights, held, path)
    size = sum(each.stat().st_size for each in Path("ck").iterdir())
    assert kprobe.check("ck/variables").size == size
    parts = sum(Path(name).stat().st_size for name in ("m.weights.json", "a.weights.h5"))
    assert kprobe.check("m.weights.json").size == parts
    for path, whole in (("ck/variables", size), ("m.weights.json", parts)):
        assert kprobe.check(path, max_model_bytes=whole)
        (reason,) = kprobe.check(path, max_model_bytes=whole - 1).reasons
        assert reason.rule == "file-size"


def test_what_is_wrong_with_weights_alone_is_told(folder):
    write_variables(folder, [(b"w", describe(size=8))])
    Path("variables").rename("ck")
    with h5py.File("a.weights.h5", "w") as file:
        file["layers/d/vars/0"] = h5py.ExternalLink("other.h5", "x")
    Path("m.weights.json").write_text('{"weight_map": {"d": "a.weights.h5"}}')
    Path("lost.weights.json").write_text('{"weight_map": {"d": "b.weights.h5"}}')
    Path("alone.index").write_bytes(Path("ck/variables.index").read_bytes())
    for path, rule, owner in (
        ("ck/variables.index", "savedmodel-variables", "variable 'w'"),
        ("alone.index", "savedmodel-variables", ""),
        ("a.weights.h5", "hdf5-links", ""),
        ("m.weights.json", "hdf5-links", "file 'a.weights.h5'"),
        ("lost.weights.json", "file-type", ""),
    ):
        result = kprobe.check(path)
        assert [(each.rule, each.owner) for each in result.reasons] == [(rule, owner)], path


def test_what_is_inside_of_graphs_and_converted_models_is_counted(folder):
    (folder / "a.tflite").write_bytes(pack(make_model()))  # x + 2, for three numbers
    (folder / "b.onnx").write_bytes(PLAIN)
    saved, graph = make_saved_model()  # a placeholder, a constant, and their product
    add_function(graph, "f", ["g"])
    add_function(graph, "g")
    write_variables(write(folder, saved), [(b"w", describe())])
    for path, operations in (("a.tflite", 1), ("b.onnx", 1), ("model", 4)):
        result = kprobe.check(path)
        told = (result.operations, result.weights, result.weight_bytes)
        assert (result.accepted, *told) == (True, operations, 1, 12), path
    assert kprobe.check(SAMPLES / "digits_cnn.keras").operations is None


def test_a_result_is_what_json_can_hold(lambda_model):
    told = json.loads(json.dumps(kprobe.check(lambda_model).to_json()))
    assert told["verdict"] == "refused"
    assert told["reasons"][0]["rule"] == "code-lambda"


def test_converted_models_are_judged_by_rules_of_their_own(folder):
    for name, content, kind, rule in (
        ("a.tflite", pack(make_model()), "tflite", None),
        ("b.tflite", pack(make_model())[:-40], "tflite", "tflite-layout"),
        ("d.onnx", PLAIN, "onnx", None),
        ("e.onnx", external("weights.bin"), "onnx", "onnx-external"),
        ("f.onnx", PLAIN[:-1], "onnx", "onnx-layout"),
        ("g.pbtxt", b"node {}", "graph", "savedmodel-damaged"),
    ):
        (folder / name).write_bytes(content)
        result = kprobe.check(name)
        assert [reason.rule for reason in result.reasons] == [rule] * (rule is not None), name
        assert (result.format, result.accepted) == (kind, rule is None), name
    assert kprobe.check("e.onnx", allow="external")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="this system has no such file")
def test_a_file_that_fails_to_be_read_is_unreadable(tmp_path):
    link = tmp_path / "m.h5"
    link.symlink_to("/proc/self/mem")  # the system refuses to read its first bytes
    found = kprobe.check(link)
    assert [reason.text for reason in found.reasons] == ["can't be read: Input/output error"]
