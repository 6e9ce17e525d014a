"""Two sides are compared over the same samples, whatever kind each of them is."""

from __future__ import annotations

import h5py
import keras
import numpy as np
import pytest
import tf_keras

import kprobe
from kprobe.engines.tensorflow import TensorFlowEngine
from kprobe.errors import KprobeError
from kprobe.pipeline.comparing import bounding
from kprobe.pipeline.comparing.compare import compare
from kprobe.pipeline.comparing.spec import DiffSpec

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
DATA = np.random.default_rng(0).normal(size=(13, 4)).astype("float32")


def make_model(k=keras, factor=1.0, names=("x", "a", "b")):
    """x -> a -> b -> c, of which b's kernel is multiplied by a factor."""
    rng = np.random.default_rng(1)
    x = k.Input((4,), name=names[0])
    a = k.layers.Dense(3, activation="relu", name=names[1])
    b = k.layers.Dense(5, name=names[2])
    model = k.Model(x, k.layers.Dense(2, activation="softmax", name="c")(b(a(x))), name="small")
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    kernel, bias = b.get_weights()
    b.set_weights([kernel * factor, bias])
    return model


def compute(model, data=DATA):
    """The layers run one by one, by Keras itself."""
    values, found = data, {}
    for layer in model.layers[1:]:
        values = np.asarray(layer(values))
        found[layer.name] = values
    return found


def relative(a, b):
    return np.sqrt(np.mean((b.astype("f8") - a) ** 2)) / np.std(a, dtype="f8")


@pytest.fixture(scope="module")
def pair():
    return make_model(), make_model(factor=1.1)


def test_running_differences_are_those_of_the_values(pair):
    result = kprobe.diff(*pair, DATA, local=False, cosine=True, batch_size=4)
    assert (result.a, result.b, result.samples) == ("A (small)", "B (small)", 13)
    assert not result.same
    assert [t.pair.a.address for t in result.tensors] == ["a", "b", "c"]
    a, b = compute(pair[0]), compute(pair[1])
    for tensor in result.tensors:
        name = tensor.pair.a.address
        found, far = tensor.running, np.abs(b[name] - a[name])
        assert found.relative == pytest.approx(relative(a[name], b[name]), rel=1e-4, abs=1e-6)
        assert found.max_abs == pytest.approx(far.max(), rel=1e-4, abs=1e-6)
        if name != "a":
            row, index = np.unravel_index(far.argmax(), far.shape)
            assert (found.row, found.index) == (row, (index,))
            assert tensor.sample.endswith(f"[{row}]")
    assert result.verdict.first == "b"
    # With the tolerance that it says it passes, and with less it doesn't.
    enough = result.verdict.would_pass
    assert kprobe.diff(*pair, DATA, local=False, batch_size=4, rtol=enough * 1.01).same
    assert not kprobe.diff(*pair, DATA, local=False, batch_size=4, rtol=enough * 0.99).same


def test_tolerances_are_by_address(pair):
    loose = {"rtol": {"b": 1.0, "c": 1.0}}
    assert kprobe.diff(*pair, DATA, local=False, **loose).same
    assert not kprobe.diff(*pair, DATA, local=False, rtol={"b": 1.0}).same
    assert kprobe.diff(*pair, DATA, local=False, atol={"": 1e9}).same
    with pytest.raises(KprobeError, match=r"for what is compared, .*'d'; mend rtol"):
        kprobe.diff(*pair, DATA, local=False, rtol={"d": 1.0})
    with pytest.raises(KprobeError, match=r"received 'bb'; mend rtol; nearest: b$"):
        kprobe.diff(*pair, DATA, local=False, rtol={"bb": 1.0})


@pytest.mark.parametrize(
    ("way", "nearest"), [("bf16", "bfloat16"), ("eagre", "eager"), ("batch", "batch:N")]
)
def test_a_misspelt_way_of_computing_is_answered(way, nearest):
    with pytest.raises(KprobeError, match=f"received '{way}'; mend against; nearest: {nearest}$"):
        DiffSpec(against=way)


def test_weights_alone_are_nothing_to_compare(pair):
    with pytest.raises(KprobeError, match="can be compared: a:kernel: weights aren't compared"):
        kprobe.diff(*pair, layers="a:kernel")


def test_a_result_is_shown_in_a_few_lines(pair):
    result = kprobe.diff(*pair, DATA, local=False)
    shown = repr(result)
    assert shown.startswith(
        "<DiffResult of A (small) and B (small): 3 tensors over 13 samples; b is"
    )
    assert len(shown) < 200
    header, first, *_ = str(result).splitlines()
    assert header.split()[:3] == ["tensor", "channel", "running"]
    assert first.split()[0] == "b"


def test_models_of_both_kerases_are_compared_in_one_process(tmp_path):
    make_model(tf_keras).save(tmp_path / "old.h5")
    make_model().save(tmp_path / "new.keras")
    np.save(tmp_path / "data.npy", DATA)
    result = kprobe.diff(tmp_path / "old.h5", tmp_path / "new.keras", tmp_path / "data.npy")
    assert result.same
    assert [t.pair.b.address for t in result.tensors] == ["a", "b", "c"]
    assert result.samples == 13


@pytest.mark.parametrize("against", ["exact", "eager", "batch:3", "bfloat16", "training"])
def test_a_model_is_compared_with_itself_computed_otherwise(against, pair):
    result = kprobe.diff(pair[0], against=against, inputs=DATA, local=None)
    assert result.b == f"small ({against})"
    assert result.same
    assert result.samples == 13


def test_other_weights_are_another_side(pair, tmp_path):
    pair[1].save_weights(tmp_path / "other.weights.h5")
    pair[0].save(tmp_path / "model.keras")
    weights = f"weights:{tmp_path / 'other.weights.h5'}"
    result = kprobe.diff(tmp_path / "model.keras", against=weights, inputs=DATA, local=False)
    assert result.verdict.first == "b"
    direct = kprobe.diff(*pair, DATA, local=False)
    assert result.tensors[1].running.relative == direct.tensors[1].running.relative


def test_nothing_to_compare_with_and_both_are_refused(pair):
    for more in ({}, {"b": pair[1], "against": "exact"}):
        with pytest.raises(KprobeError, match="expected either a second side or how the first"):
            kprobe.diff(pair[0], inputs=DATA, **more)
    with pytest.raises(KprobeError, match=r"^expected exact, .* received 'fast'; mend against"):
        kprobe.diff(pair[0], inputs=DATA, against="fast")
    with pytest.raises(KprobeError, match="another way than that of both sides"):
        kprobe.diff(pair[0], inputs=DATA, against="exact", exact=True)


# Dumps.


@pytest.fixture
def dumps(pair, tmp_path):
    """Dumps of both models, of which the second was run over the samples backwards."""
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    names = [f"data/{row}" for row in range(13)]
    for model, path, order in zip(pair, paths, (slice(None), slice(None, None, -1)), strict=True):
        kprobe.dump(model, "a,b,c", inputs=DATA[order], output=path)
        with h5py.File(path, "r+") as file:
            file["sample_name"][:] = np.array(names[order], file["sample_name"].dtype)
    return paths


def test_dumps_are_compared_by_the_names_of_samples(dumps, pair):
    result = kprobe.diff(*dumps)
    a, b = compute(pair[0]), compute(pair[1])
    assert result.samples == 13
    for tensor in result.tensors:
        name = tensor.pair.a.address
        wanted = relative(a[name], b[name])
        assert tensor.running.relative == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    row = np.abs(b["c"] - a["c"]).max(axis=1).argmax()
    assert (result.tensors[2].running.row, result.tensors[2].sample) == (row, f"data/{row}")
    assert [t.pair.a.address for t in kprobe.diff(*dumps, layers="b").tensors] == ["b"]


def test_a_model_is_compared_with_a_dump_either_way(dumps, pair, tmp_path):
    np.save(tmp_path / "data.npy", DATA)
    kprobe.dump(pair[1], "b,c", inputs=tmp_path / "data.npy", output=tmp_path / "d.h5")
    direct = kprobe.diff(*pair, DATA, local=False, layers="b,c")
    for sides in ((pair[0], tmp_path / "d.h5"), (tmp_path / "d.h5", pair[0])):
        # The samples are those that the dump was made from.
        result = kprobe.diff(*sides, batch_size=5)
        assert (result.samples, len(result.tensors)) == (13, 2)
        for tensor, other in zip(result.tensors, direct.tensors, strict=True):
            assert tensor.running.max_abs == pytest.approx(other.running.max_abs, rel=1e-5)


def test_an_unfinished_dump_counts_as_far_as_it_is_committed(dumps):
    with h5py.File(dumps[0], "r+") as file:
        file["complete"][...] = 0
        file["committed"][...] = 5
        file["b"][5:] = np.nan
    result = kprobe.diff(*dumps)
    assert result.samples == 5
    assert result.tensors[1].running.count == 5 * 5
    assert any("isn't finished: its first 5 samples are compared" in n for n in result.notes)


def test_what_cant_be_compared_is_told_in_one_line(dumps, pair, tmp_path):
    other, newer = tmp_path / "other.h5", tmp_path / "newer.h5"
    unlike = keras.Sequential([keras.Input((4,)), keras.layers.Dense(7, name="p")])
    kprobe.dump(unlike, "p", inputs=DATA, output=other)
    with h5py.File(other, "r+") as file:
        file["sample_name"][:] = np.array([f"data/{row}".encode() for row in range(13)])
    kprobe.dump(pair[0], "a", inputs=DATA, output=newer)
    with h5py.File(newer, "r+") as file:
        file.attrs["format_version"] = 99
    for ending in ("h5", "txt"):
        (tmp_path / f"text.{ending}").write_text("no dump")
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = [1]
    few, wide = tmp_path / "few.h5", tmp_path / "wide.h5"
    kprobe.dump(pair[0], "c", inputs=DATA[:5], output=few)
    kprobe.dump(pair[0], "a=b", inputs=DATA, output=wide)
    with h5py.File(few, "r+") as file:
        file["sample_name"][:] = np.array([f"data/{row}".encode() for row in range(5)])
    with h5py.File(wide, "r+") as file:
        file["a"].attrs["addresses"] = ["a"]
    cases = {
        newer: "expected format 2 at most, received format 99",
        tmp_path / "text.h5": "expected HDF5, as .h5 says, received something else",
        tmp_path / "text.txt": "expected a dump or a model, received a file that is neither",
        tmp_path / "plain.h5": "plain.h5",
        few: f"received 8 that {few} hasn't in {dumps[0]}: data/10, data/11, data/12, data/5",
        other: "expected tensors that both sides have",
        wide: "a: expected as many values on both sides, received (3) in A and (5) in B",
        tmp_path / "missing.h5": "no such file",
    }
    for side, text in cases.items():
        with pytest.raises(KprobeError) as caught:
            kprobe.diff(dumps[0], side)
        assert len(caught.value.lines) == 1, caught.value
        assert text in str(caught.value)
        assert caught.value.exit_code == 2
    with pytest.raises(KprobeError, match="two dumps are compared without running anything"):
        kprobe.diff(*dumps, DATA)
    with pytest.raises(KprobeError, match=r"a.h5 is a dump, which can't be computed otherwise"):
        kprobe.diff(dumps[0], against="exact")


def test_samples_that_fit_one_side_only_say_which(pair):
    wide = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, name="a")], name="wide")
    with pytest.raises(KprobeError, match=r"^wide: ") as caught:
        kprobe.diff(pair[0], wide, DATA)
    assert len(caught.value.lines) == 1
    with pytest.raises(KprobeError, match="samples that can be read again"):
        kprobe.diff(*pair, iter([DATA]))


def test_dumps_of_both_models_are_kept_if_asked_for(pair, tmp_path):
    result = kprobe.diff(*pair, DATA, keep=tmp_path / "kept")
    assert [note.split(": ", 1)[1] for note in result.notes[:2]] == [
        "the dump of A (small)",
        "the dump of B (small)",
    ]
    for name, model in zip("ab", pair, strict=True):
        with kprobe.open_dump(tmp_path / "kept" / f"{name}.h5") as dump:
            for layer, values in compute(model).items():
                np.testing.assert_allclose(dump[layer][:], values, rtol=0, atol=1e-5)
    again = kprobe.diff(tmp_path / "kept/a.h5", tmp_path / "kept/b.h5")
    assert again.verdict.first == "b"


def test_what_is_called_otherwise_is_matched_as_given(pair):
    renamed = make_model(names=("x", "p", "q"))
    result = kprobe.diff(pair[0], renamed, DATA, layers="a,b", match=["a=p", "b=q"], local=False)
    assert [(t.pair.a.address, t.pair.b.address) for t in result.tensors] == [
        ("a", "p"),
        ("b", "q"),
    ]
    assert result.same


def make_renamed(k, *, fused, before=0):
    """Build a model whose layers Keras names, with activations inside of layers or behind them."""
    for _ in range(before):  # Keras counts on from them
        k.layers.Conv2D(1, 1)
        k.layers.ReLU()
    rng = np.random.default_rng(0)
    x = inputs = k.Input((8, 8, 3))
    for size in (4, 5):
        x = k.layers.Conv2D(size, 3, activation="relu" if fused else None)(x)
        x = x if fused else k.layers.ReLU()(x)
        x = k.layers.BatchNormalization()(x)
    x = k.layers.Dense(3)(k.layers.GlobalAveragePooling2D()(x))
    model = k.Model(inputs, x)
    weights = [rng.normal(size=weight.shape) for weight in model.get_weights()]
    # Some are variances. Kernels without a mean give values of both signs.
    model.set_weights([w - w.mean((0, 1)) if w.ndim == 4 else np.abs(w) for w in weights])
    return model


def test_an_activation_that_is_a_layer_of_its_own_on_one_side_is_suggested():
    data = np.random.default_rng(2).normal(size=(4, 8, 8, 3)).astype("f4")
    sides = make_renamed(tf_keras, fused=True), make_renamed(keras, fused=False, before=2)
    result = kprobe.diff(*sides, data, local=False)
    different = [tensor.pair.a.address for tensor in result.tensors if not tensor.same]
    assert different == [layer.name for layer in sides[0].layers if "conv" in layer.name]
    convs, relus = (
        [layer.name for layer in side.layers if word in layer.name]
        for side, word in zip(sides, ("conv", "re_lu"), strict=True)
    )
    wanted = list(zip(convs, relus, strict=True))
    assert [(each.a, each.b) for each in result.suggestions] == wanted
    assert result.to_json()["suggestions"][0] == {
        "a": convs[0], "b": relus[0], "correlation": pytest.approx(1),
    }  # fmt: skip
    assert f"to compare them, give match='{convs[0]}={relus[0]}'" in str(result)
    # It counts when it is given.
    given = kprobe.diff(*sides, data, local=False, match=dict(wanted))
    assert (given.same, len(given.tensors), given.suggestions) == (True, len(result.tensors), ())


def test_the_noise_of_the_first_side_is_measured(pair):
    rows = np.resize(DATA, (300, 4))  # so many are run frozen
    result = kprobe.diff(*pair, rows, local=False, layers="c")
    assert 0 <= result.tensors[0].noise < 1e-6


def test_noise_is_that_of_freezing_however_few_samples_there_are():
    x = keras.Input((6, 6, 3), name="x")
    y = keras.layers.Conv2D(8, 3, use_bias=False, name="conv")(x)
    model = keras.Model(x, keras.layers.BatchNormalization(name="norm")(y))
    draw = np.random.default_rng(2)
    model.set_weights([draw.uniform(0.5, 2, weight.shape) for weight in model.get_weights()])
    rows = draw.normal(size=(5, 6, 6, 3)).astype("float32")
    result = kprobe.diff(model, against="exact", layers="norm", inputs=rows)
    # The factors of both layers are multiplied once.
    assert 0 < result.tensors[0].noise < 1e-6


def test_what_is_kept_without_local_errors_is_computed_once(pair, tmp_path):
    read = [0]

    def give():
        for row in range(len(DATA)):
            read[0] += 1
            yield DATA[row : row + 1]

    def count(**more):
        read[0] = 0
        result = kprobe.diff(*pair, give, local=False, **more)
        return read[0], [(t.running, t.noise) for t in result.tensors], result.verdict

    plain, kept = count(), count(keep=tmp_path / "kept")
    assert kept == plain
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"a.h5", "b.h5"}
    # And with a dump.
    against = kprobe.diff(pair[0], tmp_path / "kept/b.h5", give, keep=tmp_path / "more")
    assert [t.running.relative for t in against.tensors] == pytest.approx(
        [running.relative for running, _ in plain[1]], rel=1e-3
    )
    assert any("the dump of small" in note for note in against.notes)


def test_what_is_matched_and_not_there_is_told_by_the_file(pair, tmp_path):
    for name, model in zip("ab", pair, strict=True):
        model.save(tmp_path / f"{name}.keras")
    sides = tmp_path / "a.keras", tmp_path / "b.keras"
    for match, said in (("aa=b", "a.keras: no layer 'aa'"), ("a=bb", "b.keras: no layer 'bb'")):
        with pytest.raises(KprobeError, match=f"^match: .*{said}"):
            kprobe.diff(*sides, "nothing.npy", match=match)


def test_a_dump_in_bfloat16_has_its_tolerance(pair, tmp_path):
    for name, precision in (("a", "float32"), ("b", "bfloat16")):
        path = tmp_path / f"{name}.h5"
        kprobe.dump(pair[0], "a,b", inputs=DATA, output=path, precision=precision)
    told = []
    result = kprobe.diff(tmp_path / "a.h5", tmp_path / "b.h5")
    assert result.same
    assert {tensor.tolerance for tensor in result.tensors} == {3e-2}
    against = kprobe.diff(pair[0], tmp_path / "b.h5", DATA)
    assert {tensor.tolerance for tensor in against.tensors} == {3e-2}
    sides = [tmp_path / "a.h5", tmp_path / "b.h5"]
    compare(*sides, DiffSpec(), {}, told.append)
    assert [told[0].rows, told[-1].rows, told[-1].total] == [0, 13, 13]


@pytest.mark.parametrize("local", [None, False])
def test_batches_are_as_large_as_memory_holds(local, pair, monkeypatch):
    whole = kprobe.diff(*pair, DATA, local=local, batch_size=13)
    assert not any("batches" in note for note in whole.notes)
    monkeypatch.setattr(bounding, "MEMORY_BYTES", 1000)
    result = kprobe.diff(*pair, DATA, local=local, batch_size=13, streams=1)
    # Each side has 2, 3 and 5 values of 4 bytes: the largest ten times, or all of them four times.
    most = 1000 // (10 * 20) if local is None else 1000 // (4 * 2 * 40)
    assert f"A (small): batches have {most} samples, so that memory holds them" in result.notes
    assert result.samples == 13
    for one, other in zip(whole.tensors, result.tensors, strict=True):
        assert one.running.relative == pytest.approx(other.running.relative, rel=1e-5, abs=1e-9)
    # Where the size is what is asked about, it stays.
    for more in ({"against": "batch:13"}, {"b": pair[1], "training": True}):
        notes = kprobe.diff(pair[0], inputs=DATA, batch_size=12, **more).notes
        assert not any("batches" in note for note in notes)


def count_sizes(monkeypatch):
    """Give the list of the sizes of batches that graphs are called with from now on."""
    sizes, compute = [], TensorFlowEngine._compute

    def count(engine, arguments, row):
        sizes.append(int(arguments[0].shape[0]))
        return compute(engine, arguments, row)

    monkeypatch.setattr(TensorFlowEngine, "_compute", count)
    return sizes


@pytest.mark.parametrize("more", [{}, {"local": False}, {"precision": "bfloat16"}, {"keep": "in"}])
def test_nothing_runs_more_samples_than_memory_holds(more, pair, tmp_path, monkeypatch):
    monkeypatch.setattr(bounding, "MEMORY_BYTES", 1280)
    if "keep" in more:
        more = {"keep": tmp_path / "kept"}
    sizes = count_sizes(monkeypatch)
    result = kprobe.diff(*pair, DATA, batch_size=13, streams=1, **more)
    assert result.samples == 13
    # As above: with local errors layers go in groups, and a dump has all of them.
    most = 1280 // (10 * 20) if more in ({}, {"precision": "bfloat16"}) else 1280 // (4 * 2 * 40)
    assert max(sizes) == most
    if "keep" in more:
        with kprobe.open_dump(tmp_path / "kept/a.h5") as dump:
            assert dump.attrs["batch_size"] == most


def test_a_batch_of_samples_that_belong_together_is_run_whole(monkeypatch):
    x = keras.Input((4,), name="x")
    clips = keras.layers.Lambda(lambda t: keras.ops.reshape(t, (-1, 6, 4)), output_shape=(6, 4))
    last = keras.layers.Lambda(lambda t: keras.ops.reshape(t, (-1, 4)), output_shape=(4,))
    model = keras.Model(x, last(keras.layers.Softmax(axis=1)(clips(x))), name="clips")
    monkeypatch.setattr(bounding, "MEMORY_BYTES", 100)
    sizes = count_sizes(monkeypatch)
    layers = [model.layers[-1].name]
    result = kprobe.diff(model, model, DATA[:12], layers=layers, batch_size=6)
    assert result.same
    assert result.samples == 12
    assert set(sizes) == {2, 6, 12}  # it is tried with two, and with twice as many


@pytest.mark.parametrize(
    ("layers", "born"),
    [
        ("a,c", "between a and c: b"),
        ("c", "between the inputs and c: a, b"),
        ("b,c", "between the inputs and b: a"),
        ("a,b,c", "b"),
        (None, "b"),
    ],
)
def test_what_was_not_asked_for_lies_between(layers, born, pair):
    result = kprobe.diff(*pair, DATA, layers=layers)
    assert result.verdict.born == born
    assert result.unmatched_a == result.unmatched_b == ()


def test_a_model_within_a_model_is_one_place(pair):
    def nest(inner):
        inner = keras.models.clone_model(inner)
        x = keras.Input((4,), name="outer")
        model = keras.Model(x, keras.layers.Dense(2, name="d")(inner(x)), name="whole")
        rng = np.random.default_rng(2)
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
        return model

    one, other = nest(pair[0]), nest(pair[0])
    other.set_weights([w * (1.1 if w.shape == (3, 5) else 1) for w in one.get_weights()])
    assert kprobe.diff(one, other, DATA, layers="small,d").verdict.born == "small"
    assert kprobe.diff(one, other, DATA, layers="d").verdict.born == (
        "between the inputs and d: small/a, small/b, small/c"
    )


def test_records_become_a_table(pair):
    frame = kprobe.diff(*pair, DATA, local=False).to_pandas()
    assert list(frame["a"]) == ["a", "b", "c"]


@pytest.mark.parametrize("size", ["", "0", "-1", "1.5", "\u00b2", "4294967296", "9" * 5000])
def test_a_batch_of_no_size_is_refused(size):
    with pytest.raises(KprobeError, match=r"^expected exact, eager"):
        DiffSpec(against=f"batch:{size}")


@pytest.mark.parametrize(
    ("tolerance", "said"),
    [
        (10**400, "expected a tolerance from 0 on, received 1000"),
        ({"a": np.nan}, "expected a tolerance from 0 on for 'a', received nan; mend rtol"),
        ({3: 1.0}, "expected tolerances by address or pattern, received 3; mend rtol"),
    ],
)
def test_a_tolerance_that_is_none_is_refused(tolerance, said):
    with pytest.raises(KprobeError, match=said):
        DiffSpec(rtol=tolerance)
