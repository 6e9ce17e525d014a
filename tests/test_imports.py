"""What reads files only never imports TensorFlow or a Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

HEAVY = {"tensorflow", "keras", "tf_keras", "matplotlib"}
MODEL = str(Path(__file__).parent.parent / "sample_models" / "siamese.keras")

# Runs a statement, whatever becomes of it, and tells which packages were imported on the way.
REPORT = """
import atexit, json, sys
report = open(sys.argv[1], "w")
atexit.register(lambda: json.dump(sorted({n.partition(".")[0] for n in sys.modules}), report))
exec(sys.argv[2])
"""
COMMAND = "import sys; sys.argv = ['kprobe', {}]; from kprobe.cli.main import main; main()"


@pytest.fixture
def find_imports(tmp_path):
    """Run a statement in a process of its own, and give the packages that it imported."""

    def run(statement, env=()):
        report = tmp_path / "imported.json"
        done = subprocess.run(
            [sys.executable, "-c", REPORT, str(report), statement],
            env={**os.environ, **dict(env)},
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr
        return set(json.loads(report.read_text()))

    return run


def command(*arguments):
    return COMMAND.format(", ".join(map(repr, arguments)))


LIGHT = {
    "import": "import kprobe; kprobe.KprobeError",
    "help": command("--help"),
    "help of dump": command("dump", "--help"),
    "help of bench": command("bench", "--help"),
    "help of stats": command("stats", "--help"),
    "a fault in --config": command("dump", "--config", __file__),
    "ls": command("ls", MODEL),
    "check": command("check", MODEL),
    "a misspelt layer": command("dump", MODEL, "--layers", "sema"),
    "help of report": command("report", "--help"),
    "help of plot": command("plot", "--help"),
    "help of diff": command("diff", "--help"),
    "diff of what isn't there": command("diff", "a.h5", "b.h5"),
    "an output that is none": command("dump", MODEL, "--layers", "same", "-o", "/"),
}


@pytest.mark.parametrize("name", LIGHT)
def test_what_reads_files_only_imports_no_tensorflow(name, find_imports):
    imports = find_imports(LIGHT[name])
    assert "kprobe" in imports
    assert not imports & HEAVY


@pytest.mark.parametrize("name", ["ls", "find"])
def test_a_command_does_not_wait_for_the_others(name, tmp_path):
    report = (
        "import json, sys; from kprobe.cli.main import cli; "
        f"cli([{name!r}, '--help'], standalone_mode=False); "
        f"json.dump([*sys.modules], open({str(tmp_path / 'modules')!r}, 'w'))"
    )
    subprocess.run([sys.executable, "-c", report], check=True, capture_output=True)
    modules = json.loads((tmp_path / "modules").read_text())
    place = "kprobe.cli.commands."
    assert [module for module in modules if module.startswith(place)] == [place + name]


def test_completing_a_layer_imports_no_tensorflow(find_imports):
    imports = find_imports(
        command(),
        env={
            "_KPROBE_COMPLETE": "bash_complete",
            "COMP_WORDS": f"kprobe dump {MODEL} --layers enc",
            "COMP_CWORD": "4",
        },
    )
    assert "h5py" in imports or "kprobe" in imports
    assert not imports & HEAVY


def test_reading_a_dump_imports_no_tensorflow(tmp_path, find_imports):
    import numpy as np

    from kprobe.dumps.contents import Column, Contents
    from kprobe.dumps.output import OutputSpec
    from kprobe.dumps.writing.writer import Writer

    path = tmp_path / "a.h5"
    columns = [Column("a", (2,), np.dtype("f4"), {"addresses": ["a"]})]
    with Writer(OutputSpec(path=path), Contents(columns=columns, samples=["x"])) as writer:
        writer.write(0, {"a": np.ones((1, 2), "f4")})
        writer.finish()
    for statement in (
        f"import kprobe; kprobe.open_dump({str(path)!r})['a'][0]",
        command("show", str(path)),
        command(
            "stats", str(path), "-o", str(tmp_path / "kept.h5"), "--tensorboard", str(tmp_path)
        ),
        command("stats", str(tmp_path / "kept.h5"), "a", "--json"),
        f"import kprobe; kprobe.stats({str(path)!r}).to_json()",
        command("report", str(path), "-o", str(tmp_path / "a.html")),
    ):
        imports = find_imports(statement)
        assert "h5py" in imports
        assert not imports & HEAVY


def test_a_refused_model_file_imports_no_tensorflow(tmp_path, find_imports):
    config = {
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [{"class_name": "Lambda", "config": {"name": "a"}}]},
    }
    with h5py.File(tmp_path / "lambda.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    path = str(tmp_path / "lambda.h5")
    imports = find_imports(command("dump", path, "--layers", "a", "-o", str(tmp_path / "b.h5")))
    assert "kprobe" in imports
    assert not imports & HEAVY


def test_an_import_of_tensorflow_would_be_noticed(find_imports):
    assert {"tensorflow", "tf_keras"} <= find_imports(
        "import kprobe; kprobe.load_model; import tf_keras"
    )
