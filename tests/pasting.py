"""Pages of text whose blocks are pasted, one after another, into a shell and a Python."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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
        exec(compile(ast.Interactive([statement]), "the page", "single"), names)
    print(json.dumps(shown), file=answers, flush=True)
"""
_FENCED = re.compile(r"^```(\w*)( shown)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CLAIM = re.compile(r"""a numpy array|[-\d.(\[{'"]""")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: where it begins, its language, its text, and whether it is run."""

    place: str
    language: str
    text: str
    is_run: bool


def read_blocks(path: Path) -> list[Block]:
    """Give the fenced blocks of a page; those marked `shown` aren't to be run."""
    page = path.read_text()
    return [
        Block(
            place=f"{path.name}:{page.count(chr(10), 0, found.start()) + 1}",
            language=found[1],
            text=found[3],
            is_run=found[2] is None,
        )
        for found in _FENCED.finditer(page)
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
        assert ends, f"{block.place}: the shell has ended\n{printed}"
        assert not any(ends), f"{block.place}: {printed}"
        return printed

    def close(self) -> None:
        self._process.stdin.close()
        self._answers.close()
        self._process.wait()


class Session:
    """A Python at whose prompt blocks are pasted."""

    def __init__(self, python: Path, place: Path, env: dict[str, str]) -> None:
        self._log = place.parent / "python.txt"
        reading, writing = os.pipe()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, "-c", SESSION, str(writing)],
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
        assert answer, f"{block.place}: {self._log.read_text()}"
        return json.loads(answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._answers.close()
        self._process.wait()


def paste_all(
    blocks: list[Block], place: Path, env: dict[str, str], python: Path
) -> dict[Block, object]:
    """Paste blocks in their order, and give what each showed: a text, or the values of Python.

    Args:
        blocks: The blocks; those that aren't run are passed over.
        place: The folder to work in. Beside it lie the logs.
        env: The environment.
        python: The Python for blocks in Python.
    """
    shown: dict[Block, object] = {}
    with contextlib.ExitStack() as stack:
        shell = session = None
        for block in blocks:
            if not block.is_run:
                continue
            if block.language == "sh":
                if shell is None:
                    shell = stack.enter_context(contextlib.closing(Shell(place, env)))
                shown[block] = shell.paste(block)
            elif block.language == "python":
                if session is None:
                    session = Session(python, place, env)
                    stack.callback(session.close)
                shown[block] = session.paste(block)
    return shown


def write_command(folder: Path, name: str, command: str) -> Path:
    """Write a script that runs a command with the arguments it is given, and give its folder."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    return folder


def make_environment(*folders: Path, **more: str) -> dict[str, str]:
    """Give the environment variables of a person who doesn't run tests.

    Args:
        *folders: Where commands are looked for first.
        **more: Further variables.
    """
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    path = ":".join([*map(str, folders), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**mine, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", **more}


def check_printed(block: Block, printed: str) -> None:
    """Check that a block of commands printed the tables that its commands are for."""
    listing = r"^kprobe (?:ls|show(?! .*--as-config)|stats(?! .*--(?:csv|quiet)))|--dry-run$"
    lists = len(re.findall(listing, block.text, re.MULTILINE))
    assert len(re.findall(r"^address  ", printed, re.MULTILINE)) == lists, block.place
    searches = len(re.findall(r"^kprobe find", block.text, re.MULTILINE))
    assert len(re.findall(r"^hops  ", printed, re.MULTILINE)) == searches, block.place


def check_claims(block: Block, values: list[tuple[int, str, str]]) -> int:
    """Check that values are what the comments behind them say, and give how many there are."""
    lines = block.text.splitlines()
    claims = 0
    for number, text, kind in values:
        comment = lines[number - 1].partition("  # ")[2]
        if not _CLAIM.match(comment):
            continue
        if comment == "a numpy array":
            assert kind == "numpy.ndarray", block.place
        else:
            assert ast.literal_eval(text) == read_claim(comment), block.place
        claims += 1
    assert claims == len(re.findall(rf"  # (?:{_CLAIM.pattern})", block.text)), block.place
    return claims


def read_claim(comment: str) -> object:
    """Give the value that a comment begins with."""
    for end in range(len(comment), 0, -1):
        if comment[end : end + 1] in ("", ","):
            with contextlib.suppress(SyntaxError, ValueError):
                return ast.literal_eval(comment[:end])
    raise AssertionError(f"expected a value before a comma, received # {comment}")
