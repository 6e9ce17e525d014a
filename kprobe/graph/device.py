"""Choose the processor that TensorFlow computes on."""

from __future__ import annotations

import re

import tensorflow as tf

from kprobe.errors import KprobeError


def select_device(name: str) -> None:
    """Let TensorFlow see one device only, for the rest of the process.

    Args:
        name: "cpu", "gpu" (the first) or "gpu:N".

    Raises:
        KprobeError: There is no such device here, or TensorFlow already computes on others.
    """
    gpus = tf.config.list_physical_devices("GPU")
    match = re.fullmatch(r"(cpu|gpu)(?::(\d+))?", name.lower())
    number = int(match[2] or 0) if match else 0
    on_gpu = match is not None and match[1] == "gpu"
    if not match or number >= (len(gpus) if on_gpu else 1):
        names = ", ".join(["cpu", *(f"gpu:{i}" for i in range(len(gpus)))])
        raise KprobeError(f"there is no device {name!r} here; there is {names}")
    chosen = [gpus[number]] if on_gpu else []
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for gpu in chosen:
            # Else TensorFlow takes all of its memory, whatever the model needs.
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        raise KprobeError(
            f"device {name!r} can't be chosen any more: TensorFlow is already running",
            hint="choose it before anything is computed",
        ) from None
