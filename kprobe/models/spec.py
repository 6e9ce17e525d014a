"""Which model is meant, and how it is to be loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.checks import check_count, check_switch
from kprobe.errors import Hint, KprobeError, ModelError, Setting, merge_errors
from kprobe.gate.kinds import read_kinds
from kprobe.models.code import Code, describe_kind, find_code, is_model
from kprobe.models.custom import CustomObjects, read_custom_objects
from kprobe.saved_signature import SavedSignature

if TYPE_CHECKING:
    from kprobe.models.custom import GivenObjects

# What says how a model is read or made, and means nothing for one that stands ready in memory.
_OF_LOADING = (
    "keras",
    "signature",
    "custom_objects",
    "allow",
    "unsafe",
    "max_model_bytes",
    "arguments",
)
# Of these, what says how weights are read that are given by themselves, too.
_OF_WEIGHTS = ("allow", "unsafe", "max_model_bytes")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model as the user asks for it, before anything of it is opened or run.

    Attributes:
        model: A model file, a SavedModel directory or a JSON file of an architecture; code,
            `FILE.py:CALLABLE` or `package.module:CALLABLE`; or a model of keras or tf_keras, or
            a signature, that is in memory.
        weights: A `.weights.h5`, `.weights.json`, `.keras` or old HDF5 file, or a checkpoint of
            TensorFlow, instead of the model's own weights.
        random_weights: Whether layers may go without weights.
        arguments: What the code is called with, by keyword.
        keras: The major version to load with, 2 (tf_keras) or 3; None for the file's own.
        signature: Which signature of a SavedModel; None for the Keras model in it, or where it
            holds none for "serving_default" or the only one.
        custom_objects: Python files or modules whose classes and functions the model uses, or one
            of a file, "FILE.py:NAME"; or these classes and functions by name, as Keras takes
            them; or a sequence of both.
        allow: What the file may hold that files mostly have no business with: kinds of
            `kprobe.gate.rules.KINDS`, such as "lambda"; several with commas between, or a
            sequence.
        unsafe: Whether the file may run code of its own.
        max_model_bytes: How large the file may be, or all files of a directory; and those of
            `weights`, too. None for any size.
        code: What `model` names if that is code, else None.
        custom: What `custom_objects` gives.
        allowed: The kinds that `allow` gives.
    """

    model: str | os.PathLike[str] | Any
    weights: str | os.PathLike[str] | None = None
    random_weights: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    keras: int | None = None
    signature: str | None = None
    custom_objects: GivenObjects = ()
    allow: str | Sequence[str] = ()
    unsafe: bool = False
    max_model_bytes: int | None = None
    code: Code | None = field(init=False, default=None)
    custom: CustomObjects = field(init=False, default=CustomObjects())
    allowed: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        """Check what can be checked without opening anything.

        Raises:
            ModelError: Something is neither of what it may be, or doesn't go with the rest; all
                faults are reported.
        """
        errors: list[KprobeError] = [ModelError(fault) for fault in self._find_faults()]
        for name, read in (
            ("custom", lambda: read_custom_objects(self.custom_objects)),
            ("allowed", lambda: read_kinds(self.allow)),
            ("code", lambda: None if self.in_memory else find_code(self.model)),
        ):
            try:
                object.__setattr__(self, name, read())
            except KprobeError as error:
                errors.append(error)
        if not errors:
            errors += self._find_misfits()
        if errors:
            raise merge_errors(errors)

    @property
    def in_memory(self) -> bool:
        """Whether the model is there already, and neither read from a file nor made by code."""
        return not isinstance(self.model, str | os.PathLike)

    @property
    def name(self) -> str:
        """What a dump of it is called by default, without an ending.

        Of "shapes_rpn.h5" it is "shapes_rpn", of "build.py:make_model" "make_model".
        """
        if not isinstance(self.model, str | os.PathLike):
            return str(self.model.name)
        if self.code is not None:
            return self.code.name
        path = Path(self.model)
        if path.name == "saved_model.pb":
            path = path.parent
        # `.` and `..` say no name themselves.
        return path.stem if path.stem.strip(".") else path.resolve().stem

    def _find_faults(self) -> list[str]:
        """Find what is wrong with each value alone."""
        faults = []
        model = self.model
        if self.in_memory and not (is_model(model) or isinstance(model, SavedSignature)):
            faults.append(
                "model: expected a model file, code such as FILE.py:CALLABLE, or a built model of "
                f"keras or tf_keras, received {describe_kind(model)}"
            )
        elif not self.in_memory and not os.fspath(model):
            faults.append("model: expected a model file or code, received an empty text")
        if self.weights is not None and not isinstance(self.weights, str | os.PathLike):
            faults.append(f"weights: expected a file, received {describe_kind(self.weights)}")
        if self.keras is not None and (self.keras not in (2, 3) or isinstance(self.keras, float)):
            faults.append(f"keras: expected 2 or 3, received {self.keras!r}")
        if self.signature is not None and not isinstance(self.signature, str):
            faults.append(f"signature: expected a name, received {self.signature!r}")
        faults += check_switch("random_weights", self.random_weights)
        faults += check_switch("unsafe", self.unsafe)
        faults += check_count("max_model_bytes", self.max_model_bytes)
        if not isinstance(self.arguments, Mapping):
            faults.append(
                f"arguments: expected values by keyword, received {describe_kind(self.arguments)}"
            )
        else:
            faults += [
                f"arguments: expected keywords, received {key!r}"
                for key in self.arguments
                if not (isinstance(key, str) and key.isidentifier())
            ]
        return faults

    def _find_misfits(self) -> list[ModelError]:
        """Find what doesn't go with the kind of model."""
        given = {name: value for name in _OF_LOADING if (value := getattr(self, name))}
        if self.allowed <= {"external"}:  # which samples may be meant by, too
            given.pop("allow", None)
        if self.weights is not None:
            given = {name: value for name, value in given.items() if name not in _OF_WEIGHTS}
        if self.in_memory:
            errors = [
                ModelError(
                    f"{name}: says how a model is loaded or made, and this one is in memory",
                    hint=Hint("leave ", Setting(name), " out"),
                )
                for name in given
            ]
            if isinstance(self.model, SavedSignature) and self.weights is not None:
                errors.append(
                    ModelError(
                        "a signature of a SavedModel has weights of its own",
                        hint=Hint("leave ", Setting("weights"), " out"),
                    )
                )
            return errors
        if self.code is None:
            if not self.arguments:
                return []
            fault = f"{os.fspath(self.model)} is a model file, which takes no arguments"
            return [ModelError(fault, hint=Hint("leave ", Setting("arguments"), " out"))]
        errors = []
        if self.signature is not None:
            errors.append(
                ModelError(
                    f"{self.code} is code, which has no signature {self.signature!r}",
                    hint=Hint("leave ", Setting("signature"), " out"),
                )
            )
        if self.custom.names:
            errors.append(
                ModelError(
                    f"{self.code} is code, which makes its layers itself: expected files or "
                    f"modules to import, received {', '.join(self.custom.names)}",
                    hint="let the code import what it uses",
                )
            )
        return errors
