"""README.md is pasted, block after block, into one shell and one Python session, and all works."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

import kprobe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
END = "the block has ended"
# Runs the blocks it reads, a line of JSON each, as if they were pasted at Python's prompt, and
# answers with what that shows: of each expression its line, its value, and what that is.
SESSION = """
import ast, json, os, sys
answers = os.fdopen(int(sys.argv[1]), "w")
names = {"__name__": "__main__"}
for line in sys.stdin:
    shown = []
    def show(value):
        if value is not None:
            kind = f"{type(value).__module__}.{type(value).__name__}"
            text = repr(str(value) if isinstance(value, str) else value)
            shown.append([sys._getframe(1).f_lineno, text, kind])
    sys.displayhook = show
    for statement in ast.parse(json.loads(line)).body:
        exec(compile(ast.Interactive([statement]), "README.md", "single"), names)
    print(json.dumps(shown), file=answers, flush=True)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of the README: where it begins, its language, and its text."""

    line: int
    language: str
    text: str


BLOCKS = [
    Block(README.count("\n", 0, found.start()) + 1, found[1], found[2])
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
]


class Shell:
    """A bash at whose prompt blocks are pasted."""

    def __init__(self, place: Path, env: dict[str, str]) -> None:
        self._log = place.parent / "shell.txt"
        reading, writing = os.pipe()
        # After each command the prompt says how it ended. A session of its own has no terminal,
        # which an interactive shell would take for itself.
        prompt = {"PROMPT_COMMAND": f"echo $? >&{writing}", "PS1": "", "PS2": "", "HISTFILE": ""}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                ["bash", "--norc", "--noprofile", "-i"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                cwd=place,
                env=env | prompt,
                pass_fds=[writing],
                start_new_session=True,
            )
        os.close(writing)
        self._writing, self._answers = writing, os.fdopen(reading)

    def paste(self, block: Block) -> str:
        """Run a block, each command of which is to succeed, and give what it printed."""
        before = self._log.stat().st_size
        self._process.stdin.write(f"{block.text}echo {END} >&{self._writing}\n")
        self._process.stdin.flush()
        ends = []
        for answer in self._answers:
            if answer == f"{END}\n":
                break
            ends.append(int(answer))
        printed = self._log.read_bytes()[before:].decode()
        assert ends, f"README.md:{block.line}: the shell has ended\n{printed}"
        assert not any(ends), f"README.md:{block.line}: {printed}"
        return printed

    def close(self) -> None:
        self._process.stdin.close()
        self._answers.close()
        self._process.wait()


class Session:
    """A Python at whose prompt blocks are pasted."""

    def __init__(self, place: Path, env: dict[str, str]) -> None:
        self._log = place.parent / "python.txt"
        reading, writing = os.pipe()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [place / ".venv/bin/python", "-c", SESSION, str(writing)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                cwd=place,
                env=env,
                pass_fds=[writing],
            )
        os.close(writing)
        self._answers = os.fdopen(reading)

    def paste(self, block: Block) -> list[tuple[int, str, str]]:
        """Run a block, and give the values it shows: line, text, and kind of each."""
        self._process.stdin.write(json.dumps(block.text) + "\n")
        self._process.stdin.flush()
        answer = self._answers.readline()
        assert answer, f"README.md:{block.line}: {self._log.read_text()}"
        return json.loads(answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._answers.close()
        self._process.wait()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder as a fresh clone, but for the tests, of which the shortest stands for all."""
    place = tmp_path_factory.mktemp("readme") / "kprobe"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("kprobe", "sample_models"):
        shutil.copytree(ROOT / name, place / name, ignore=ignore)
    (place / "tests").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "tests/test_errors.py"):
        shutil.copy(ROOT / name, place / name)
    return place


def make_environment() -> dict[str, str]:
    """Give the environment variables of a person at whose machine pip finds all it needs here.

    The packages of the Python that runs the tests stand in for those that pip would fetch: the
    environment that the README makes sees them, and pip finds them in place.
    """
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {
        **mine,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": ":".join(packages),
        "VIRTUAL_ENV_DISABLE_PROMPT": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip is told not to isolate
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


@pytest.fixture(scope="module")
def walk(clone):
    """Paste all blocks in their order; give the folder, and what each showed, by its line."""
    env = make_environment()
    shell, session = Shell(clone, env), None
    shown = {}
    try:
        for block in BLOCKS:
            if block.language == "sh":
                shown[block.line] = shell.paste(block)
            elif block.language == "python":
                session = session or Session(clone, env)
                shown[block.line] = session.paste(block)
    finally:
        shell.close()
        if session:
            session.close()
    return clone, shown


def find_blocks(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def read_claim(comment: str) -> object:
    """Give the value that a comment begins with."""
    for end in range(len(comment), 0, -1):
        if comment[end : end + 1] in ("", ","):
            with contextlib.suppress(SyntaxError, ValueError):
                return ast.literal_eval(comment[:end])
    raise AssertionError(f"README.md: expected a value before a comma, received # {comment}")


def test_two_commands_do_all_the_set_up():
    marked = re.findall(r"<!-- (\w+) -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert [mark for mark, _ in marked] == ["run", "tests"]
    assert all(text.count("\n") == 1 for _, text in marked)
    assert README.count("pip install") == sum("pip install" in text for _, text in marked) == 2


def test_the_first_block_does_the_main_job(walk):
    place, _ = walk
    with kprobe.open_dump(place / "shapes_rpn.activations.h5") as dump:
        assert dump.columns == ["conv5_3", "rpn_class"]


def test_a_block_of_commands_prints_what_its_last_one_is_for(walk):
    _, shown = walk
    printed = [shown[block.line] for block in find_blocks("sh")]
    assert " passed" in printed[1]
    for block, text in zip(find_blocks("sh"), printed, strict=True):
        lists = len(re.findall(r"^kprobe ls|--dry-run$", block.text, re.MULTILINE))
        assert len(re.findall(r"^address  ", text, re.MULTILINE)) == lists
        searches = len(re.findall(r"^kprobe find", block.text, re.MULTILINE))
        assert len(re.findall(r"^hops  ", text, re.MULTILINE)) == searches


def test_values_are_what_the_comments_say(walk):
    _, shown = walk
    claims = 0
    for block in find_blocks("python"):
        lines = block.text.splitlines()
        for number, text, kind in shown[block.line]:
            comment = lines[number - 1].partition("  # ")[2]
            if comment == "a numpy array":
                assert kind == "numpy.ndarray"
            elif re.match(r"""[-\d.(\[{'"]""", comment):
                assert ast.literal_eval(text) == read_claim(comment)
            else:
                continue
            claims += 1
    assert claims == len(re.findall(r"  # (?:a numpy array|[-\d.(\[{'\"])", README))
    assert claims >= 5


def test_a_dump_is_made_again_from_what_it_says(walk):
    place, _ = walk
    (config,) = find_blocks("toml")
    assert (place / "job.toml").read_text() == config.text
    with kprobe.open_dump(place / "few.h5") as few, kprobe.open_dump(place / "acts.h5") as dump:
        # Fewer samples in a batch move the last bits.
        np.testing.assert_allclose(few["conv5_3"], dump["conv5_3"][:8], rtol=0, atol=1e-5)


def test_what_a_layer_computes_follows_what_is_fed_inside_it(walk):
    place, _ = walk
    with kprobe.open_dump(place / "roi.h5") as dump, kprobe.open_dump(place / "moved.h5") as moved:
        boxes, scores = dump["ROI[0]"][:], dump["ROI[1]"][:]
        found = (scores > 0)[..., np.newaxis]
        assert found.any()
        np.testing.assert_allclose(moved["ROI[0]"][:], np.where(found, boxes + 4, 0), atol=1e-4)
        np.testing.assert_array_equal(moved["ROI[1]"][:], scores)


def test_h5py_reads_rows_of_different_shapes(walk):
    place, _ = walk
    (block,) = [block for block in find_blocks("python") if "import h5py" in block.text]
    rows = set()
    reading = "import h5py\n" + block.text[block.text.index("with ") :]
    with kprobe.open_dump(place / "kept.h5") as dump, contextlib.chdir(place):
        for row in range(dump.rows):
            names = {}
            text = reading.replace("5:7", f"{row}:{row + 2}").replace("[5]", f"[{row}]")
            exec(compile(text, "README.md", "exec"), names)
            np.testing.assert_array_equal(names["row"], dump["kept"][row])
            rows.add(names["row"].shape)
    assert len(rows) > 1


def test_gates_and_cell_states_are_there_at_every_step(walk):
    place, _ = walk
    with kprobe.open_dump(place / "gates.h5") as dump:
        values = {name: dump[name][:] for name in dump.columns}
    assert list(values) == ["input", "forget", "output", "cell", "lstm"]
    assert all(values[name].shape == (4, 7, 5) for name in list(values)[:4])
    last = values["output"][:, -1] * np.tanh(values["cell"][:, -1])
    np.testing.assert_allclose(values["lstm"], last, rtol=1e-5, atol=1e-6)


def test_code_with_the_weights_of_a_model_is_that_model(walk):
    place, _ = walk
    with kprobe.open_dump(place / "acts.h5") as file, kprobe.open_dump(place / "code.h5") as code:
        np.testing.assert_allclose(code["conv5_3"][:], file["conv5_3"][:], rtol=1e-5, atol=1e-5)


def test_what_is_on_stdout_is_what_python_dumps(walk):
    place, _ = walk
    with h5py.File(place / "features.h5") as one, kprobe.open_dump(place / "scans.h5") as other:
        assert other["features"].shape == (360, 64)
        np.testing.assert_allclose(one["features"], other["features"], rtol=0, atol=1e-5)


def test_xarray_opens_the_example(walk):
    place, _ = walk
    assert 'xarray.open_dataset("acts.h5", engine="h5netcdf")' in README
    with xarray.open_dataset(place / "acts.h5", engine="h5netcdf") as labelled:
        assert labelled["conv5_3"].dims[0] == "sample"


def list_errors(error: type[kprobe.KprobeError]) -> list[type[kprobe.KprobeError]]:
    return [error, *(each for child in error.__subclasses__() for each in list_errors(child))]


def test_all_exit_codes_are_told():
    section = README.partition("## Exit codes\n")[2].partition("\n## ")[0]
    told = [int(code) for code in re.findall(r"(?:^|; |;\n)(\d+)\b", section.strip())]
    # Beside those of errors: done, done with samples left out, a bug, and a reader that went away.
    codes = {error.exit_code for error in list_errors(kprobe.KprobeError)} | {0, 3, 70, 141}
    assert told == sorted(codes)
