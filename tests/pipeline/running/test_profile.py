"""--profile: what each layer costs, against what it is made to cost."""

from __future__ import annotations

import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from kprobe.errors import InputError, KprobeError
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.profile import _sum_up, profile


class Wait(keras.layers.Layer):
    """Takes its time, whatever it gets."""

    def __init__(self, seconds, **options):
        super().__init__(**options)
        self.seconds = seconds

    def call(self, x):
        def wait(values):
            time.sleep(self.seconds)  # that long at least
            return values

        waited = tf.numpy_function(wait, [x], x.dtype)
        waited.set_shape(x.shape)
        return waited


@pytest.fixture
def ready(tmp_path):
    """A plan for a model, in which 5 batches fit."""
    plans = []

    def make(model, layers, **options):
        given = {"random": 40, "batch_size": 8, "output": tmp_path / "a.h5", **options}
        plans.append(plan_job(make_job(model=model, layers=layers, **given)))
        return plans[-1]

    yield make
    for made in plans:
        made.__exit__()


@pytest.fixture
def waiting():
    x = keras.Input((6, 4))
    h = Wait(0.03, name="short")(Wait(0.08, name="long")(x))
    return keras.Model(x, keras.layers.Dense(3, name="dense")(h))


def read_space(folder):
    """Read the profile that TensorFlow wrote."""
    (path,) = folder.rglob("*.xplane.pb")
    space = xplane_pb2.XSpace()
    space.ParseFromString(path.read_bytes())
    return space


def list_events(space, pattern):
    """Give the events of operations with such names, of all threads."""
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                if re.search(pattern, plane.event_metadata[event.metadata_id].name):
                    yield event


@pytest.mark.parametrize("streams", [1, 2])
def test_a_layer_has_the_time_it_takes(ready, waiting, tmp_path, streams):
    costs = profile(ready(waiting, ["dense"], streams=streams), tmp_path)
    assert costs == sorted(costs, key=lambda cost: -cost.seconds)
    by_address = {cost.address: cost for cost in costs}
    assert len(by_address) == len(costs)
    assert {"long", "short", "dense"} <= by_address.keys()
    space = read_space(tmp_path)
    for name, least in (("long", 0.08), ("short", 0.03)):
        cost = by_address[name]
        assert (cost.layer_class, cost.output_bytes) == ("Wait", 8 * 6 * 4 * 4)
        assert cost.seconds >= least
        # The profile of four rounds, the time of which no other layer is told.
        spent = [event.duration_ps for event in list_events(space, rf"/{name}(_\d+)?/PyFunc:")]
        assert len(spent) == 4 * streams
        assert cost.seconds == pytest.approx(sum(spent) * 1e-12 / (4 * streams), abs=1e-3)


def test_what_layers_give_has_the_size_that_is_stored(ready, digits_cnn, tmp_path):
    planned = ready(digits_cnn, None)
    costs = {cost.address: cost for cost in profile(planned, tmp_path)}
    sizes = {c.attrs["addresses"][0]: 8 * c.row_bytes for c in planned.columns}
    assert len(costs.keys() & sizes.keys()) >= 8
    for address in costs.keys() & sizes.keys():
        assert costs[address].output_bytes == sizes[address]


@pytest.mark.parametrize("rows", [40, 400])  # as it is, and frozen
def test_the_operations_of_a_loop_and_of_nested_models_find_their_layers(ready, tmp_path, rows):
    x = keras.Input((20, 8))
    inner = keras.Sequential([keras.layers.LSTM(64, name="lstm")], name="inner")
    model = keras.Model(x, keras.layers.Dense(3, name="out")(inner(x)))
    planned = ready(model, ["out"], random=rows)
    assert planned.computation.engine.frozen == (rows == 400)
    profile(planned, tmp_path)
    # If each operation took as long as any other:
    space = read_space(tmp_path)
    for event in list_events(space, ""):
        event.duration_ps = 1
    costs = _sum_up(planned.computation.engine.trace, space, batches=1, size=8)
    total = sum(cost.seconds for cost in costs)
    lstm = [c for c in costs if c.address and c.address.startswith("inner/lstm")]
    assert sum(cost.seconds for cost in lstm) > 0.5 * total
    assert sum(cost.seconds for cost in costs if cost.address is None) < 0.2 * total


def test_the_profile_is_one_for_tensorboard(ready, digits_cnn, tmp_path):
    folder = tmp_path / "new" / "profile"
    for runs in (1, 2):
        assert profile(ready(digits_cnn, ["digit"]), folder)
        assert len(list(folder.glob("plugins/profile/*/*.xplane.pb"))) == runs
        time.sleep(1.1)  # a run is named after the second


def test_a_profile_leaves_the_dump_as_it_is(ready, digits_cnn, tmp_path):
    planned = ready(digits_cnn, ["dropout"], training=True)
    batch = planned.samples.peek(8)
    expected = planned.computation(batch, 8)[0].numpy()
    profile(planned, tmp_path / "profile")
    np.testing.assert_array_equal(planned.computation(batch, 8)[0].numpy(), expected)


def test_an_eager_run_does_not_tell_its_layers(ready, digits_cnn, tmp_path):
    assert profile(ready(digits_cnn, ["digit"], eager=True), tmp_path) is None
    assert list(tmp_path.rglob("*.xplane.pb"))


def test_what_cannot_be_profiled_is_said(ready, digits_cnn, tmp_path):
    with pytest.raises(InputError, match="nothing to profile"):
        profile(ready(digits_cnn, ["conv1:kernel"], random=None), tmp_path)
    planned = ready(digits_cnn, ["digit"])
    (tmp_path / "file").write_text("")
    with pytest.raises(KprobeError, match=r"no profile can be made in .*file: File exists"):
        profile(planned, tmp_path / "file")
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "plugins").symlink_to(tmp_path)
    with pytest.raises(KprobeError, match=r"planted/plugins: .* received a link"):
        profile(planned, tmp_path / "planted")
    tf.profiler.experimental.start(str(tmp_path / "other"))
    try:
        with pytest.raises(KprobeError, match=r"no profile can be made in .*[Aa]nother profiler"):
            profile(planned, tmp_path / "profile")
    finally:
        tf.profiler.experimental.stop()


def test_run_metadata_of_functions_still_tells_nothing(ready, digits_cnn):
    planned = ready(digits_cnn, ["digit"])
    batch = planned.samples.peek(8)
    context.enable_run_metadata()
    try:
        planned.computation(batch, 0)
        found = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    assert not found.step_stats.dev_stats


def test_the_command_prints_a_table(warm_python, samples, tmp_path):
    command = [
        "dump",
        str(samples / "digits_cnn.keras"),
        "--layers",
        "digit",
        "--random",
        "64",
        "-o",
        "a.h5",
    ]
    command += ["--batch-size", "32"]
    given = ("-m", "kprobe", *command, "--profile", "profile", "-q")
    done = warm_python.run(*given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["layer", "class", "ms", "a", "batch", "of", "32", "share", "output"]
    assert {line.split()[0] for line in lines} >= {"conv1", "conv2", "features", "digit"}
    shares = [float(line.split()[3].rstrip("%")) for line in lines]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=1)
    assert done.stderr == ""
    assert (tmp_path / "a.h5").exists()
    assert list(tmp_path.glob("profile/plugins/profile/*/*.xplane.pb"))
