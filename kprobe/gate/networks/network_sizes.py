"""How large the numbers in a layer's config may be, and what they make Keras do before it runs."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from kprobe.architecture.network import is_own_class
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Iterator

# The largest length of an axis, and of anything else that is counted.
MAX_LENGTH = 2**31 - 1
# How many numbers Keras may make besides weights while it builds a model: 0.5 GB of float32, of
# which there are copies for a while.
MAX_MADE = 2**27
# How many numbers all inputs of a batch may have together: 2 GB of float32. An input of four
# volumes of 512 voxels each way has as many, and whoever makes samples makes all of them.
MAX_TAKEN = 2**29
# What a place that Python makes takes, in such numbers.
_PLACE = 256
# What a text that Python makes takes, in such numbers.
_TEXT = 32
# Of Keras 2: weights of their own for each place.
_LOCAL = ("LocallyConnected1D", "LocallyConnected2D")
_LOOKUPS = ("IntegerLookup", "StringLookup", "TextVectorization")
# Of names and equations, which Keras goes through with regular expressions of its own.
MAX_NAME = 1_000
_RULE = "network-size"
_SHAPES = ("TensorShape", "__tuple__")
# The arguments that are numbers but no sizes. Any other number of Keras's layers is one.
# fmt: off
NO_SIZES = frozenset({
    "alpha", "beta", "bin_boundaries", "epsilon", "factor", "fill_value", "idf_weights",
    "input_max", "input_min", "mask_token", "mask_value", "max_freq", "max_value", "mean",
    "min_freq", "min_value", "momentum", "negative_slope", "num_bins", "offset", "oov_token",
    "rate", "salt", "sampling_rate", "scale", "seed", "shared_object_id", "stddev", "theta",
    "threshold", "value_range", "variance", "vocabulary",
})
# The arguments that Keras always writes as whole numbers, whatever it was given: some of its layers
# read texts and fractions as such.
_WHOLE = (
    "units", "filters", "input_dim", "output_dim", "n", "depth_multiplier", "kernel_size",
    "strides", "pool_size", "size", "target_shape", "dims", "groups", "num_heads", "key_dim",
    "value_dim", "output_size", "dilation_rate",
)
# fmt: on
# How many steps Python takes for a count of Keras's layers and operations, one call for each.
_COUNTS = {
    "ArraySplit": ("indices_or_sections",),
    "AugMix": ("num_chains", "chain_depth"),
    "Diff": ("n",),
    "Dsplit": ("indices_or_sections",),
    "Hsplit": ("indices_or_sections",),
    "Vsplit": ("indices_or_sections",),
    "RandAugment": ("num_ops",),
    "SpectralNormalization": ("power_iterations",),
    "Split": ("indices_or_sections",),
    "TextVectorization": ("ngrams",),
    "Unstack": ("num",),
}
# The same of functions of TensorFlow, which have them in their calls.
_FUNCTION_COUNTS = ("num_or_size_splits", "num")
_UNROLLED = frozenset(["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "LSTM", "RNN", "SimpleRNN"])


class Taken(NamedTuple):
    """What a layer takes at most; a length that varies counts as 1.

    Attributes:
        batch: How many samples.
        steps: How many steps, which the axis behind them has.
        values: How many numbers.
    """

    batch: int = 1
    steps: int = 1
    values: int = 1


def keeps_states(config: dict[str, Any]) -> bool:
    """Tell whether a layer keeps its states from batch to batch: they are made when it is."""
    return bool(config.get("stateful"))


def goes_by_step(kind: str, config: dict[str, Any], keras_major: int) -> bool:
    """Tell whether a layer makes a call for each step of its input, rather than a loop."""
    if kind == "TimeDistributed":
        return keras_major >= 3
    if kind in ("UpSampling1D", "UpSampling3D"):
        return keras_major < 3
    return kind in _UNROLLED and bool(config.get("unroll"))


def depends_on_input(kind: str, config: dict[str, Any], keras_major: int) -> bool:
    """Tell whether what Keras makes for a layer depends on what it takes, beside its weights."""
    given = kind == "Normalization" and config.get("mean") is not None
    given = given or kind in _LOCAL
    return given or keeps_states(config) or goes_by_step(kind, config, keras_major)


def read_class(item: dict[str, Any]) -> str:
    """Give the name of an object's class; "" for a class of the user's own."""
    return str(item.get("class_name")) if is_own_class(item) else ""


def find_size_faults(layer: dict[str, Any], owner: str) -> Iterator[Fault]:
    """Find what of a layer's config is absurdly large.

    Args:
        layer: The layer: `class_name`, `config` and so on.
        owner: What it is called in a fault.
    """
    config = layer.get("config")
    name = layer.get("name")
    if isinstance(name, str) and len(name) > MAX_NAME:
        yield _tell_long("name", name, owner)
    if not isinstance(config, dict) or not is_own_class(layer):
        return
    for key in ("name", "equation", "pattern", "subscripts"):
        text = config.get(key)
        if isinstance(text, str) and len(text) > MAX_NAME:
            yield _tell_long(key, text, owner)
    for key in _WHOLE:
        if not _is_whole(config.get(key)):
            text = f"expected {show(key)} in whole numbers, received {show(str(config[key]))}"
            yield Fault(_RULE, text, owner)
    for key, value in config.items():
        if key in NO_SIZES:
            continue
        for number in _list_numbers(value):
            if abs(number) > MAX_LENGTH:
                text = f"expected {show(key)} of at most {MAX_LENGTH:,}, received {number:.3g}"
                yield Fault(_RULE, text, owner)
                break


def _tell_long(key: str, text: str, owner: str) -> Fault:
    most = f"{MAX_NAME:,} characters, received {len(text):,}"
    return Fault(_RULE, f"expected {show(key)} of at most {most}", owner)


def _is_whole(value: Any) -> bool:
    """Tell a whole number, or lists of them, or None, which is no number of one's own."""
    if isinstance(value, dict):
        value = value.get("items") if value.get("class_name") in _SHAPES else False
    if isinstance(value, list):
        # What is in lists in these is no size of Keras's.
        items = [each for item in value for each in (item if isinstance(item, list) else [item])]
        return all(item is None or type(item) is int for item in items)
    return value is None or type(value) is int


def _list_numbers(value: Any) -> Iterator[int]:
    """List the whole numbers of an argument: its own, and of lists and shapes."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, int) and not isinstance(item, bool):
            yield item
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict) and item.get("class_name") in _SHAPES:
            pending.append(item.get("items"))


def count_made(layer: dict[str, Any], taken: Taken | None) -> int:
    """Count the numbers that Keras makes for a layer beside its weights.

    Args:
        layer: The layer: `class_name`, `config` and so on.
        taken: What it takes at most, where that was measured.
    """
    kind, config = read_class(layer), layer.get("config")
    if not isinstance(config, dict):
        return 0
    if kind == "MelSpectrogram":
        return _read(config, "num_mel_bins") * (_read(config, "fft_length") // 2 + 1)
    if kind == "STFTSpectrogram":
        frame = _read(config, "frame_length")
        return 2 * frame * (max(frame, _read(config, "fft_length")) // 2 + 1)
    if kind.startswith(("AdaptiveAveragePooling", "AdaptiveMaxPooling")):
        # Keras makes their places one by one, in Python.
        return _PLACE * _read(config, "output_size")
    if kind == "Normalization":
        # What is given is made as wide as the input.
        return 0 if taken is None or config.get("mean") is None else 2 * taken.values
    if kind in _LOOKUPS:
        padded = _read(config, "max_tokens") if config.get("pad_to_max_tokens") else 0
        return padded + _TEXT * _read(config, "num_oov_indices")
    if kind in _LOCAL and taken is not None:
        # A mask of all values for all places, or a list of what goes where. Places are no more
        # than values.
        filters, implementation = _read(config, "filters"), config.get("implementation")
        if implementation == 2:
            return filters * taken.values**2
        if implementation == 3:
            return _TEXT * filters * taken.values * max(1, _read(config, "kernel_size"))
    rank = _read(config, "lora_rank")
    made = rank * max(_read(config, key) for key in ("units", "filters", "output_dim"))
    if taken is not None and keeps_states(config):
        # A convolution keeps a state for each place, of which there are no more than values.
        states = 2 * taken.batch * _count_units(config)
        made += max(states, 2 * _read(config, "filters") * taken.values)
    return made


def count_taken(layer: dict[str, Any]) -> int:
    """Count the numbers that a layer says it takes for a batch, as far as lengths are fixed."""
    config = layer.get("config")
    if not read_class(layer) or not isinstance(config, dict):
        return 0
    shapes = [config.get(key) for key in ("batch_shape", "batch_input_shape")]
    lengths = [[abs(n) for n in _list_numbers(shape) if n] for shape in shapes]
    return max(prod(own) if own else 0 for own in lengths)


def _count_units(config: dict[str, Any]) -> int:
    """Count the units of a recurrent layer, of all its cells."""
    count, pending = 0, [config]
    while pending:
        item = pending.pop()
        count += _read(item, "units")
        cells = item.get("cells")
        both = [item.get("cell"), *(cells if isinstance(cells, list) else [])]
        inner = [each.get("config") for each in both if isinstance(each, dict)]
        pending += [each for each in inner if isinstance(each, dict)]
    return count


def _read(config: dict[str, Any], key: str) -> int:
    """Read a count, the largest one of several."""
    return max((abs(number) for number in _list_numbers(config.get(key))), default=0)


def count_own_work(layer: dict[str, Any], taken: Taken | None, keras_major: int) -> int:
    """Count the steps that Python takes for a call of a layer, in calls of ordinary layers.

    Args:
        layer: The layer: `class_name`, `config` and so on.
        taken: What it takes at most, where that was measured.
        keras_major: 3 for the library `keras`, 2 for `tf_keras`.
    """
    kind = read_class(layer)
    config = layer.get("config")
    if not isinstance(config, dict):
        return 1
    steps = 1 if taken is None else taken.steps
    work = prod(max(1, _read(config, key)) for key in _COUNTS.get(kind, ()))
    nodes = layer.get("inbound_nodes")
    if kind == "TFOpLambda" and isinstance(nodes, list):
        work = max([work, *(_count_in_call(node) for node in nodes)])
    if kind in _UNROLLED and config.get("unroll"):
        work *= steps
    if kind in _LOCAL and taken is not None and config.get("implementation") not in (2, 3):
        work += taken.values
    if keras_major < 3 and kind in ("UpSampling1D", "UpSampling3D"):
        # It repeats each step as a tensor of its own.
        work += steps * _read(config, "size") // 100
    return work


def _count_in_call(node: Any) -> int:
    """Read the counts among the arguments by keyword of a call of Keras 2."""
    counts = [1]
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            own = (item.get(key) for key in _FUNCTION_COUNTS)
            counts.extend(abs(count) for count in own if type(count) is int)
    return max(counts)
