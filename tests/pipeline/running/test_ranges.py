"""Parts of a dump make the dump that one process writes, whoever runs which, how often."""

from __future__ import annotations

import signal

import keras
import numpy as np
import pytest
from written import blank_times

import kprobe
from kprobe.errors import DumpError, InputError
from kprobe.pipeline.running import ranges


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    i = keras.Input((6, 6, 1))
    x = layers.Conv2D(3, 3, name="conv")(i)
    return keras.Model(i, layers.Dropout(0.5, name="drop")(layers.Flatten(name="flat")(x)))


@pytest.fixture
def small_ranges(monkeypatch):
    monkeypatch.setattr(ranges, "_LEAST_BYTES", 2000)


LAYERS = ["conv", "drop", "kernels=conv:kernel"]
SETTINGS = {"random": 50, "batch_size": 3, "training": True}


@pytest.mark.parametrize("count", [1, 4, 7])
def test_parts_make_the_dump_of_one_process(model, tmp_path, small_ranges, count):
    folder = tmp_path / "a.dump"
    for number in reversed(range(1, count + 1)):
        part = kprobe.dump(model, LAYERS, output=folder, shard=f"{number}/{count}", **SETTINGS)
        assert part.shard == f"{number}/{count}"
    assert part.missing == 0
    assert len([*folder.glob("*.json")]) > count
    kprobe.merge(folder, tmp_path / "merged.h5")
    kprobe.dump(model, LAYERS, output=tmp_path / "whole.h5", **SETTINGS)
    assert blank_times(tmp_path / "merged.h5") == blank_times(tmp_path / "whole.h5")


def test_the_same_command_again_does_what_is_missing(model, tmp_path, small_ranges):
    folder = tmp_path / "a.dump"
    first = kprobe.dump(model, LAYERS, output=folder, shard="1/1", **SETTINGS)
    assert (first.rows, first.resumed, first.missing) == (50, 0, 0)
    [receipt] = folder.glob("000000000009-000000000012.json")
    receipt.unlink()
    # In another number of parts, too.
    again = kprobe.dump(model, LAYERS, output=folder, shard="2/2", **SETTINGS)
    other = kprobe.dump(model, LAYERS, output=folder, shard="1/2", **SETTINGS)
    assert again.rows + other.rows == 50
    assert again.resumed + other.resumed == 47
    assert other.missing == 0
    kprobe.merge(folder, tmp_path / "merged.h5")
    kprobe.dump(model, LAYERS, output=tmp_path / "whole.h5", **SETTINGS)
    assert blank_times(tmp_path / "merged.h5") == blank_times(tmp_path / "whole.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"random": 49}, "50 samples then, 49 now"),
        ({"seed": 5}, "seed: 0 then, 5 now"),
        ({"batch_size": 4}, "batch_size: 3 then, 4 now"),
        ({"layers": ["conv"]}, "drop: not there now"),
    ],
)
def test_a_part_of_another_run_is_refused(model, tmp_path, change, message):
    kprobe.dump(model, LAYERS, output=tmp_path / "a.dump", shard="1/2", **SETTINGS)
    settings = {"layers": LAYERS, **SETTINGS, **change}
    with pytest.raises(DumpError, match="its ranges are of another run") as caught:
        kprobe.dump(model, output=tmp_path / "a.dump", shard="2/2", **settings)
    assert message in str(caught.value)


def test_samples_that_can_not_be_read_are_left_out_of_their_part(tmp_path, small_ranges):
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(name="flat")])
    photos = tmp_path / "photos"
    for kind in ("cat", "dog"):
        (photos / kind).mkdir(parents=True)
        for number in range(10):
            image = np.full((4, 4, 3), number, np.uint8)
            keras.utils.save_img(photos / kind / f"{number}.png", image, scale=False)
    (photos / "cat" / "7.png").write_bytes(b"")
    settings = {"labels_from_folders": True, "on_error": "skip", "batch_size": 2}
    for number in (1, 2, 3):
        part = kprobe.dump(
            model,
            ["flat"],
            inputs=photos,
            output=tmp_path / "a.dump",
            shard=f"{number}/3",
            **settings,
        )
        assert part.missing == (0 if number == 3 else part.missing)
    merged = kprobe.merge(tmp_path / "a.dump", tmp_path / "merged.h5")
    assert merged.left_out == 1
    kprobe.dump(model, ["flat"], inputs=photos, output=tmp_path / "whole.h5", **settings)
    assert blank_times(tmp_path / "merged.h5") == blank_times(tmp_path / "whole.h5")


def test_what_can_not_be_run_in_parts_is_refused(model, tmp_path):
    x = keras.Input((3, 2), batch_size=2)
    stateful = keras.Model(x, keras.layers.LSTM(2, stateful=True, name="lstm")(x))
    with pytest.raises(DumpError, match="can't be run in ranges: the state of the model comes fr"):
        kprobe.dump(
            stateful, ["lstm"], output=tmp_path / "a.dump", random=4, batch_size=2, shard="1/2",
            stateful=True,
        )  # fmt: skip
    stream = (np.zeros((2, 6, 6, 1), "f4") for _ in range(3))
    with pytest.raises(DumpError, match="nobody knows how many samples there are"):
        kprobe.dump(model, ["flat"], inputs=stream, output=tmp_path / "a.dump", shard="1/2")
    assert not (tmp_path / "a.dump").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shard": "3/2"}, "shard: expected I/N"),
        ({"shard": "1/2", "output": "a.h5"}, "expected the name of a directory for a shard, such"),
        ({"shard": "1/2", "overwrite": True}, "overwrite: expected no shard"),
    ],
)
def test_settings_that_mean_nothing_are_refused(model, tmp_path, settings, message):
    with pytest.raises(DumpError, match=message):
        kprobe.dump(model, ["flat"], **{"output": tmp_path / "a.dump", "random": 2, **settings})


def test_a_folder_with_other_files_is_left_alone(model, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DumpError, match="received one with other files"):
        kprobe.dump(model, ["flat"], output=tmp_path, random=2, shard="1/2")
    (tmp_path / "link.dump").symlink_to(tmp_path)
    with pytest.raises(DumpError, match="expected a directory for the ranges of a dump, received"):
        kprobe.dump(model, ["flat"], output=tmp_path / "link.dump", random=2, shard="1/2")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["link.dump", "notes.txt"]


def test_a_time_limit_ends_a_part_between_batches(model, tmp_path, small_ranges):
    settings = {**SETTINGS, "random": 2000, "batch_size": 1}
    with pytest.raises(
        kprobe.KprobeError, match=r"the time limit is reached: [0-9,]+ of 2,000 sam"
    ):
        kprobe.dump(
            model, LAYERS, output=tmp_path / "a.dump", shard="1/1", stop_after=1e-3, **settings
        )
    assert not [*(tmp_path / "a.dump").glob("*.partial")]
    with pytest.raises(InputError):
        kprobe.dump(model, LAYERS, output=tmp_path / "a.dump", inputs="missing.npy", shard="1/1")


KILLED = """
import os, signal, sys
from kprobe.pipeline.running import ranges
ranges._LEAST_BYTES = 500
publish, left = ranges.publish_range, int(sys.argv.pop(1))
def die(*arguments):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return publish(*arguments)
ranges.publish_range = die
from kprobe.cli.main import main
main()
"""


def test_a_part_that_is_killed_loses_a_range_and_publishes_each_once(tmp_path, warm_python):
    folder = tmp_path / "a.dump"
    command = [
        *("dump", "sample_models/digits_cnn.keras", "--layers", "digit", "--random", "100"),
        *("--batch-size", "4", "--progress", "none"),
    ]
    shard = ["-o", folder, "--shard", "1/1"]
    for place in (1, 2, 3):
        done = warm_python.run("-c", KILLED, place, *command, *shard)
        assert done.returncode == -signal.SIGKILL
    receipts = {path: path.read_bytes() for path in folder.glob("0*.json")}
    assert len(receipts) == 3  # none, one and two more
    done = warm_python.run("-c", KILLED, 99, *command, *shard)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in receipts} == receipts
    for arguments in (["merge", folder, "-o", tmp_path / "merged.h5"], ["clean", folder]):
        done = warm_python.run("-m", "kprobe", *arguments)
        assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3  # the ranges that were finished and not published
    done = warm_python.run("-m", "kprobe", *command, "-o", tmp_path / "whole.h5")
    assert done.returncode == 0, done.stderr
    assert blank_times(tmp_path / "merged.h5") == blank_times(tmp_path / "whole.h5")
