"""Import the user's own classes and functions, for the loaders of models."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

_NOT_CUSTOM = {"keras", "tf_keras", "tensorflow", "numpy", "builtins", "typing", "None"}


def find_custom_objects(sources: Sequence[str]) -> dict[str, Any]:
    """Import Python files and modules, and find the classes and functions in them.

    Args:
        sources: Files, which end with `.py`, and modules, of the working directory too.

    Returns:
        The classes and functions by every name that a model may know them under: a loader that
        is given these need not find the module that they were saved from.

    Raises:
        ModelError: One can't be imported.
    """
    objects: dict[str, Any] = {}
    for source in sources:
        objects |= _find_objects(_import_source(source))
    return objects


def import_source(source: str) -> ModuleType:
    """Import a file, which ends with `.py`, or a module, of the working directory too.

    What its code raises passes through.

    Raises:
        ModelError: There is no such file.
    """
    if not source.endswith(".py"):
        with looking_beside(source):
            return importlib.import_module(source)
    path = Path(source).resolve()
    if not path.is_file():
        raise ModelError(f"there is no file {source}")
    return _import_file(path)


def find_file(source: str) -> Path | None:
    """Give the file of a source; that of a module is known once the module was imported."""
    if source.endswith(".py"):
        return Path(source)
    origin = getattr(sys.modules.get(source), "__file__", None)
    return Path(origin) if origin else None


@contextlib.contextmanager
def looking_beside(source: str) -> Iterator[None]:
    """Let code import what lies beside a file, or, of a module, in the working directory."""
    # The console script, other than `python -m`, doesn't look there by itself.
    folder = str(Path(source).resolve().parent if source.endswith(".py") else Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _import_source(source: str) -> ModuleType:
    try:
        return import_source(source)
    except ModelError as error:
        raise ModelError(f"custom objects: {error}") from None
    except SystemExit as error:
        raise ModelError(
            f"custom objects: {source} ends the program when it is imported: "
            f"sys.exit({'' if error.code is None else repr(error.code)})",
            hint="put what a script does under `if __name__ == '__main__':`",
        ) from error
    except Exception as error:
        raise ModelError(
            f"custom objects: {source} can't be imported: {type(error).__name__}: {error}"
        ) from error


def _import_file(path: Path) -> ModuleType:
    # Under its own name, as `import` would; but `json.py` mustn't become everyone's `json`.
    name = str(path) if _means_another(path) else path.stem
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with looking_beside(str(path)):
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _means_another(path: Path) -> bool:
    """Tell whether `import` of a file's name gives something else than the file."""
    if path.stem in sys.modules:
        origin = getattr(sys.modules[path.stem], "__file__", None)
    else:
        spec = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
        if spec is None:
            return False
        origin = spec.origin
    return origin is None or Path(origin).resolve() != path


def _find_objects(module: ModuleType) -> dict[str, Any]:
    """The classes and functions of a module, by every name a model may know them under."""
    objects: dict[str, Any] = {}
    for name, value in vars(module).items():
        owner = str(getattr(value, "__module__", None)).partition(".")[0]
        if name.startswith("_") or not callable(value) or owner in _NOT_CUSTOM:
            continue
        objects[name] = value
        registered = _registered_name(value)
        if registered:
            objects[registered] = value
    return objects


def _registered_name(value: Any) -> str | None:
    """What `register_keras_serializable` called it, in either Keras: "Package>Name"."""
    for library in ("keras", "tf_keras"):
        module = sys.modules.get(library)
        name = module.saving.get_registered_name(value) if module else None
        if name and ">" in name:
            return str(name)
    return None
