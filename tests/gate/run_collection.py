"""Let kprobe look at every file of the collection, in one process: `FOLDER`.

What it says of each goes to FOLDER/results.json. TensorFlow isn't imported, whatever the file.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import struct
import sys
from pathlib import Path

from click.testing import CliRunner
from collection import read_cases
from costs import change_program, measure_own, read_forks

from kprobe.cli import stdio
from kprobe.cli.main import cli
from kprobe.gate import apart

HONEST = """{"class_name": "Sequential", "config": {"name": "s", "layers": [
    {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [null, 3]}}]}}"""
_OPENED, _IS_FOLDER = 0x20, 0x4000_0000
_EVENT = struct.Struct("iIII")


class Watch:
    """What is opened in a folder and all those in it, but for one file or folder."""

    def __init__(self, folder: Path, but: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK)
        self._folders = {}
        # Whoever names a link means what it leads to.
        self._but = {but, but.resolve()}
        for place, names, _ in os.walk(folder):
            names[:] = [name for name in names if Path(place, name) != but]
            number = libc.inotify_add_watch(self._descriptor, place.encode(), _OPENED)
            assert number >= 0, os.strerror(ctypes.get_errno())
            self._folders[number] = Path(place)

    def end(self) -> list[str]:
        opened = set()
        try:
            while True:
                events = os.read(self._descriptor, 1 << 16)
                while events:
                    number, kind, _, length = _EVENT.unpack_from(events)
                    name = events[_EVENT.size : _EVENT.size + length].rstrip(b"\0").decode()
                    events = events[_EVENT.size + length :]
                    path = self._folders[number] / name
                    if path not in self._but and not kind & _IS_FOLDER:
                        opened.add(str(path))
        except BlockingIOError:
            return sorted(opened)
        finally:
            os.close(self._descriptor)


def run(*arguments):
    # As in a process whose streams are taken already.
    stdio._held[:], stdio._own_stdout = [io.BytesIO()], None
    done = CliRunner().invoke(cli, arguments)
    broke = None if isinstance(done.exception, SystemExit | None) else repr(done.exception)
    return {"code": done.exit_code, "out": done.stdout, "err": done.stderr, "broke": broke}


def look_at(case, folder: Path):
    for name in ("given", "here", "outside"):
        (folder / name).mkdir(parents=True)
    marker = folder / "outside" / "marker"
    path = case.make(folder / "given", marker)
    os.chdir(folder / "here")
    watch = Watch(folder / "given", path)
    found = {"checked": run("check", "--json", str(path), *case.arguments)}
    if case.rule is not None:
        given = [str(path)]
        if case.weights:
            model = folder / "model.json"
            model.write_text(HONEST)
            given = [str(model), "--weights", str(path)]
        found["opened"] = run("dump", *given, "--layers", "x", *case.arguments)
    return {
        **found,
        "marker": marker.exists(),
        "others": watch.end(),
        "left": [each.name for each in (folder / "here").iterdir()],
        "tensorflow": "tensorflow" in sys.modules,
    }


def measure(case, folder: Path, log: Path):
    """Look at a file, and tell what it took here, and in the forks that inspect it."""
    known, before = len(read_forks(log)), measure_own()[0]
    found = look_at(case, folder)
    forks = read_forks(log)[known:]
    seconds = measure_own()[0] - before
    return {**found, "seconds": [seconds, *(taken for taken, _ in forks)],
            "bytes": [most for _, most in forks]}  # fmt: skip


def main(folder: Path):
    log = folder / "forks"
    apart._inspector.end()  # what was started before notes nothing
    apart._PROGRAM = change_program(apart._PROGRAM, log)
    results = {
        case.name: measure(case, folder / str(i), log) for i, case in enumerate(read_cases())
    }
    results[""] = {"bytes": measure_own()[1]}
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
