"""Models given as code: import it, call what makes the model, and take the model out of it."""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import re
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.errors import Hint, KprobeError, ModelCodeError, ModelError, Setting
from kprobe.importing import find_file, import_source, looking_beside
from kprobe.naming import list_names, name_nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

_NAMES = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_CODE = re.compile(rf"(.+\.py|{_NAMES}):({_NAMES})", re.DOTALL)
# Where an object such as a Mask R-CNN keeps its Keras model.
_HOLDERS = ("keras_model", "model")
_SHOWN_FRAMES = 6


@dataclass(frozen=True)
class Code:
    """What makes a model.

    Attributes:
        source: A Python file, which ends with `.py`, or a module.
        name: What is called in it, with dots for attributes.
    """

    source: str
    name: str

    def __str__(self) -> str:
        """The text it was given as, e.g. "build.py:make_model"."""
        return f"{self.source}:{self.name}"

    def find_file(self) -> Path | None:
        """Give its file; that of a module is known once the module was imported."""
        return find_file(self.source)


def find_code(text: str | os.PathLike[str]) -> Code | None:
    """Read `FILE.py:CALLABLE` or `package.module:CALLABLE`; what exists as a file is no code.

    Returns:
        None for any other text.

    Raises:
        ModelError: There is no such file, or the text names Python code without a callable.
    """
    text = os.fspath(text)
    match = _CODE.fullmatch(text)
    if text.endswith(".py"):
        names = _list_functions(Path(text))
        raise ModelError(
            f"{text} is Python code: expected {text}:CALLABLE, what makes the model",
            hint=f"it defines {list_names(names, 8)}" if names else None,
        )
    if match is None or Path(text).exists():
        return None
    code = Code(*match.groups())
    if code.source.endswith(".py"):
        if not Path(code.source).is_file():
            raise ModelError(f"{text}: there is no file {code.source}")
    elif Path(code.source).is_file():  # `model.h5:name` is no module
        return None
    return code


def _list_functions(path: Path) -> list[str]:
    """List the functions and classes of a file without running it."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [item.name for item in body if isinstance(item, kinds) and not item.name.startswith("_")]


def make_model(
    code: Code,
    arguments: Mapping[str, Any],
    around: Callable[[], AbstractContextManager[Any]] | None = None,
) -> Any:
    """Import code and make its model.

    Args:
        code: The code, which is trusted.
        arguments: What is passed by keyword.
        around: Gives a context to call it in, entered once the code is imported and with it the
            Keras that it uses.

    Returns:
        A `keras.Model` or `tf_keras.Model`: what was returned, or what that holds as its
        `keras_model` or `model`. Where the code names a model and no callable, that one.

    Raises:
        ModelCodeError: The code itself raised.
        ModelError: There is no such code, it needs other arguments, or makes something else.
    """
    # Code that is also a script may read the arguments, which aren't its own.
    own_arguments, sys.argv = sys.argv, [code.source]
    try:
        target = _find_target(code)
        model = _take_model(target)
        if model is None:
            if not callable(target):
                raise ModelError(
                    f"{code}: expected a callable, received {describe_kind(target)}",
                    hint="name a function or a class that makes the model",
                )
            _check_arguments(code, target, arguments)
            with around() if around else contextlib.nullcontext():
                made = _run(code, "raised", lambda: target(**arguments))
            model = _take_model(made)
            if model is None:
                raise _reject(code, made)
        elif arguments:
            raise ModelError(f"{code} is a model, which takes no arguments")
        return model
    finally:
        sys.argv = own_arguments


def _find_target(code: Code) -> Any:
    module = _run(code, "can't be imported:", lambda: import_source(code.source))
    try:
        return reduce(getattr, code.name.split("."), module)
    except AttributeError:
        names = [name for name, value in vars(module).items() if callable(value)]
        raise ModelError(
            f"{code}: {code.source} has no {code.name}",
            hint=name_nearest(code.name, names, 3),
        ) from None


def _run(code: Code, what: str, call: Callable[[], Any]) -> Any:
    """Run what is the user's own.

    Raises:
        ModelCodeError: It raised, or ended the program.
    """
    try:
        with looking_beside(code.source):
            return call()
    except KprobeError:
        raise
    except SystemExit as error:
        raise ModelCodeError(
            f"{code} {what} SystemExit: it ends the program",
            hint="put what a script does under `if __name__ == '__main__':`",
            excerpt=_shorten(error),
        ) from error
    except ModuleNotFoundError as error:
        if code.source == error.name or code.source.startswith(f"{error.name}."):
            raise ModelError(
                f"{code}: there is no module {error.name}",
                hint="it is looked for in the working directory and where Python is installed",
            ) from None
        raise _report(code, what, error) from error
    except Exception as error:  # whatever it likes
        raise _report(code, what, error) from error


def _report(code: Code, what: str, error: Exception) -> ModelCodeError:
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    return ModelCodeError(f"{code} {what} {text}", excerpt=_shorten(error))


def _shorten(error: BaseException) -> str | None:
    """Give the traceback through the user's own files, and its last step wherever that is."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_installed(frame.filename)]
    if not own:
        return None
    shown = [*own, frames[-1]] if frames[-1] is not own[-1] else own
    left_out = len(shown) - _SHOWN_FRAMES
    if left_out > 0:
        shown = [shown[0], *shown[left_out + 1 :]]
    lines = traceback.format_list(shown)
    if left_out > 0:
        lines.insert(1, f"  ... {left_out} more\n")
    return "Traceback (most recent call last; shortened):\n" + "".join(lines).rstrip("\n")


def _is_installed(filename: str) -> bool:
    paths = sysconfig.get_paths()
    ours = str(Path(__file__).parent.parent)
    return filename.startswith(
        (*(paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")), ours, "<frozen")
    )


def _check_arguments(code: Code, target: Any, arguments: Mapping[str, Any]) -> None:
    """Check that a call with the arguments is possible, before it is made.

    Raises:
        ModelError: It takes others; all faults are reported.
    """
    is_class = isinstance(target, type)
    try:
        # Keras's classes hide the parameters of their constructors behind `__new__`.
        signature = inspect.signature(target.__init__ if is_class else target)
    except (TypeError, ValueError):  # built-in functions needn't have one
        return
    parameters = list(signature.parameters.values())[is_class:]
    taken = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = [p.name for p in taken]
    missing = [p.name for p in taken if p.default is p.empty and p.name not in arguments]
    unknown = [name for name in arguments if name not in names]
    faults = []
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        takes = f"it takes {', '.join(names)}" if names else "it takes none"
        faults.append(f"{code} takes no argument {', '.join(unknown)}: {takes}")
    if missing:
        faults.append(f"{code} needs the argument {', '.join(missing)}")
    if faults:
        raise ModelError(*faults, hint=_hint_at_arguments(missing) if missing else None)


def _hint_at_arguments(names: Sequence[str]) -> Hint:
    python = ", ".join(f'"{name}": VALUE' for name in names)
    given = tuple(f"{name}=VALUE" for name in names)
    return Hint("give ", Setting("arguments", given, python=f"{{{python}}}"))


def _take_model(value: Any) -> Any:
    if is_model(value):
        return value
    held = (getattr(value, name, None) for name in _HOLDERS)
    return next((model for model in held if is_model(model)), None)


def is_model_of(library: str, value: Any) -> bool:
    """Tell whether something is a model of keras or of tf_keras, where that was imported."""
    return library in sys.modules and isinstance(value, sys.modules[library].Model)


def is_model(value: Any) -> bool:
    """Tell whether something is a model of either Keras."""
    return is_model_of("keras", value) or is_model_of("tf_keras", value)


def _reject(code: Code, made: Any) -> ModelError:
    hint = "return the model"
    if made is None:
        hint = "does it end with `return model`?"
    elif isinstance(made, tuple | list) and any(is_model(item) for item in made):
        hint = "return the model alone"
    elif type(made).__module__.startswith("tensorflow.python.keras"):
        hint = "import `tensorflow.keras`: tensorflow.python.keras is TensorFlow's own copy"
    return ModelError(
        f"{code}: expected a model of keras or tf_keras, or an object that holds one as "
        f"{' or '.join(f'.{name}' for name in _HOLDERS)}, received {describe_kind(made)}",
        hint=hint,
    )


def describe_kind(value: Any) -> str:
    """Say what was received where something else was expected."""
    return "None" if value is None else f"an object of type {type(value).__name__}"
