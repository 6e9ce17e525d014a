"""Choose the processor that TensorFlow computes on."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.errors import KprobeError

if TYPE_CHECKING:
    from collections.abc import Sequence


def has_gpu() -> bool:
    """Tell whether TensorFlow computes on a GPU."""
    return bool(tf.config.get_visible_devices("GPU"))


def select_device(name: str | None) -> None:
    """Let TensorFlow see one device only, for the rest of the process.

    Of the memory of a GPU it takes what it needs, and not all of it.

    Args:
        name: "cpu", "gpu" (the first) or "gpu:N"; None for what TensorFlow chooses.

    Raises:
        KprobeError: There is no such device here, or TensorFlow already computes on others.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if name is None:
        with contextlib.suppress(RuntimeError):  # TensorFlow runs already: then it has what it has
            _let_grow(gpus)
        return
    match = re.fullmatch(r"(cpu|gpu)(?::(\d+))?", name.lower())
    number = int(match[2] or 0) if match else 0
    on_gpu = match is not None and match[1] == "gpu"
    if not match or number >= (len(gpus) if on_gpu else 1):
        names = ", ".join(["cpu", *(f"gpu:{i}" for i in range(len(gpus)))])
        raise KprobeError(f"there is no device {name!r} here; there is {names}")
    chosen = [gpus[number]] if on_gpu else []
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        _let_grow(chosen)
    except RuntimeError:
        raise KprobeError(
            f"device {name!r} can't be chosen any more: TensorFlow is already running",
            hint="choose it before anything is computed",
        ) from None


def set_threads(threads: int) -> None:
    """Choose how many threads work on one operation, for the rest of the process.

    TensorFlow takes the number once, when its context is made, which whatever computes first does:
    a weight of a model in memory is enough. Afterwards it refuses another ("Intra op parallelism
    cannot be modified after initialization", `Context.intra_op_parallelism_threads` in
    tensorflow/python/eager/context.py), whether the model is in memory or in a file. No option of
    a graph or of a call has its place: those that `tf.data` has are for its own operations.

    Raises:
        KprobeError: TensorFlow runs already, with another number.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        raise KprobeError(
            f"threads: {threads} can't be changed any more, TensorFlow is already running",
            hint="choose them before the model is made: "
            f"tf.config.threading.set_intra_op_parallelism_threads({threads})",
        ) from None


def _let_grow(gpus: Sequence[Any]) -> None:
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
