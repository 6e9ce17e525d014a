"""How a model is computed, as asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import index
from typing import Literal

from kprobe.checks import check_choice, check_count, check_switch
from kprobe.errors import KprobeError

_DEVICE = re.compile(r"cpu|gpu(:\d+)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Compute:
    """How a model is computed.

    Attributes:
        exact: Whether results must be those of the layers run one by one, bit for bit, at the cost
            of speed; else they are within 1e-5 of the tensor's largest magnitude.
        training: Whether the layers behave as in training: dropout active, batch statistics.
        stateful: Whether the model's state is carried on from batch to batch.
        eager: Whether to run the model eagerly instead of tracing it: for those whose Python can't
            be traced. Operations have no addresses then, and nothing inside can be fed.
        precision: What the model may compute in: "bfloat16" is faster on some processors.
        seed: What random numbers follow from, with the number of samples run before.
        batch_size: In samples; None to choose one.
        streams: How many batches are computed at a time; None to choose.
        threads: How many threads work on one operation; None for what TensorFlow has. It takes the
            number once for a process, before anything is computed: where a model is in memory,
            another number than it has is refused.
        device: "cpu", "gpu" or "gpu:N"; None for TensorFlow's choice.
        audit: Whether to compare the model's outputs with the fetches and without.
        max_activation_bytes: How many bytes a tensor of a batch may take, 1 or more: what is known
            of shapes is looked at before anything is run. None for the memory of the machine.
        fail_on: "nan" to end the run at the first tensor that holds NaN or infinity.

    Raises:
        KprobeError: A value that can't be, or two that don't go together; all are reported.
    """

    exact: bool = False
    training: bool = False
    stateful: bool = False
    eager: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    batch_size: int | None = None
    streams: int | None = None
    threads: int | None = None
    device: str | None = None
    audit: bool = False
    fail_on: Literal["nan"] | None = None
    max_activation_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        faults = [
            fault
            for name in ("exact", "training", "stateful", "eager", "audit")
            for fault in check_switch(name, getattr(self, name))
        ]
        faults += check_choice("precision", self.precision, ("float32", "bfloat16"))
        faults += check_choice("fail_on", self.fail_on, ("nan", None))
        faults += check_count("seed", self.seed, least=0, optional=False)
        for name in ("batch_size", "streams", "threads", "max_activation_bytes"):
            faults += check_count(name, getattr(self, name))
        if self.device is not None and not (
            isinstance(self.device, str) and _DEVICE.fullmatch(self.device)
        ):
            faults.append(f"device: expected 'cpu', 'gpu' or 'gpu:N', received {self.device!r}")
        if self.precision == "bfloat16" and (self.exact or self.eager):
            rival = "exact" if self.exact else "eager"
            faults.append(
                f"precision: expected 'float32' together with {rival}, received 'bfloat16'"
            )
        if self.eager and self.audit:
            faults.append("audit: a model that runs eagerly has no graph to be audited")
        if faults:
            raise KprobeError(*faults)
        for name in ("seed", "batch_size", "streams", "threads", "max_activation_bytes"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, index(value))  # of numpy, too
