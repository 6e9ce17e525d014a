"""Say why a library can't load a model file: the cause, which Keras puts last."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kprobe.errors import Hint, ModelError, Setting
from kprobe.escaping import cut_middle
from kprobe.gate.names.judge_code import list_files
from kprobe.gate.names.tell import hint_at_custom
from kprobe.gate.names.walk import walk_objects
from kprobe.models.checked import KEEP_INSIDE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from kprobe.models.file import ModelFile

# How the libraries name what they don't find.
_MISSING = re.compile(
    r"(?:Unknown [a-z ]{1,40}|Could not locate \w{1,20}|Could not interpret [a-z ]{1,40}"
    r"identifier):? '?(?:\w{1,100}>)?(\w{1,100})"
)
# What stands in front of a cause, with all of a layer's config, and behind it.
_CAUSE = "Exception encountered: "
_LAYER = re.compile(r"using config=\{'name': '([^']{1,200})'")
_BEHIND = re.compile(
    r" (Please ensure you are using a `keras\.utils\.custom_object_scope`"
    r"|Make sure custom classes (and functions )?are decorated|Full object config:"
    r"|List of objects that could not be loaded:|Target variable: <)"
)
# Characters of a cause, and of a layer's name: beside the file and what to do, a line has no more.
_LONGEST, _LONGEST_NAME = 120, 40
# Characters in which what is missing is looked for.
_SEARCHED = 1000


def describe_cause(error: Exception, names: Mapping[str, str] | None = None) -> str:
    """Give the class of an error, the layer that it is about, and what is wrong with it.

    Args:
        error: What a library raised.
        names: What is called otherwise, by what the library calls it.
    """
    around, cause = _find_cause(error)
    for name, other in (names or {}).items():
        cause = cause.replace(name, other)
    layers = _LAYER.findall(around)
    where = f"layer {cut_middle(layers[-1], _LONGEST_NAME)!r}: " if layers else ""
    # Where the cause isn't marked, it is at either end.
    return f"{type(error).__name__}: {where}{cut_middle(cause, _LONGEST)}"


def _find_cause(error: Exception) -> tuple[str, str]:
    """Find what an error says around its cause, and the cause."""
    around, _, cause = " ".join(str(error).split()).rpartition(_CAUSE)
    return around, _BEHIND.split(cause, maxsplit=1)[0]


def explain_load(error: Exception, file: ModelFile, library: ModuleType, given: str) -> ModelError:
    """Make an error for the user of what a library raised.

    Args:
        error: What it raised.
        file: What was to be loaded.
        library: keras or tf_keras.
        given: Under which name the library was given it.
    """
    cause = describe_cause(error, dict.fromkeys((given, file.name), str(file.path)))
    fault = f"{file.path} can't be loaded by {library.__name__} {library.__version__}: {cause}"
    if names := dict.fromkeys(_MISSING.findall(_find_cause(error)[1][:_SEARCHED])):
        return ModelError(fault, hint=hint_at_custom([*names], "what is missing"))
    said = str(error)
    if "Not allowed: H5 file with" in said:
        return ModelError(fault, hint=KEEP_INSIDE)
    if any(path in said for item in walk_objects(file.objects) for path in list_files(item.value)):
        return ModelError(
            fault,
            hint="put that file there, or save the model again as .keras, which keeps "
            "vocabularies in it",
        )
    if isinstance(error, EOFError | ValueError) and any(
        sign in said for sign in ("bad marshal data", "EOF read where object expected")
    ):
        return ModelError(
            f"{file.path} has a function as bytecode of another version of Python",
            hint=Hint(
                "load it in the Python that saved it, or pass ",
                Setting("custom_objects", "FILE.py", python='{"Lambda": ...}'),
                " with a class of the layer's class name, such as Lambda, that takes its place",
            ),
        )
    if file.saved is not None:
        runs = Hint(
            "`",
            Setting("signature", "NAME"),
            "` runs one of its signatures, without layers",
        )
        return ModelError(fault, hint=runs)
    if library.__name__ == "keras" and (file.keras_version or "").startswith("3"):
        # tf_keras reads nothing that Keras 3 wrote.
        made = Hint(
            "make the model by code, FILE.py:CALLABLE, and give it the file's weights with `",
            Setting("weights", str(file.path)),
            "`",
        )
        return ModelError(fault, hint=made)
    other = 2 if library.__name__ == "keras" else 3
    return ModelError(fault, hint=Hint("`", Setting("keras", other), "` tries the other Keras"))
