"""Whatever a stranger's file holds, `kprobe check` tells of it in short lines of plain text.

That each refusal is one is told in tests/gate/test_collection.py.
"""

from __future__ import annotations

import random

from collection import read_cases

from kprobe.cli.rendering.checked import show_checked
from kprobe.pipeline.checking import check_models


def test_what_is_checked_is_told_in_short_lines(tmp_path, capsys):
    hostile = [case for case in read_cases() if case.rule is not None]
    paths = []
    for number, case in enumerate(random.Random(0).sample(hostile, 40)):
        (folder := tmp_path / str(number)).mkdir()
        paths.append(case.make(folder, tmp_path / "marker"))
    results = check_models(paths)
    assert not any(results)
    for told in (results, *([result] for result in results)):
        show_checked(told, whole=False)
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) < 500 and line.isprintable() for line in lines)
        assert len(lines) < 45
    assert not (tmp_path / "marker").exists()
