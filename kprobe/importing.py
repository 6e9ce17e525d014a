"""Import the user's own Python: files, and modules of the working directory too."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.errors import KprobeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# What users name as a module, and no script that it would run.
_MODULE = re.compile(r"(?!.*__)[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z", re.ASCII)
# A file or a module, and what of it is meant.
_NAMED = re.compile(r"(.+\.py|[^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)", re.DOTALL)
_LONGEST = 200
_LIBRARIES = frozenset({"builtins", "keras", "numpy", "tensorflow", "tf_keras", "typing"})


def is_of_library(module: str) -> bool:
    """Tell whether a module is of Python itself, of TensorFlow, NumPy or a Keras."""
    package = module.partition(".")[0]
    return package in _LIBRARIES or package in sys.stdlib_module_names


def is_importable(module: str) -> bool:
    """Tell whether a module's package is there, without importing anything.

    Args:
        module: Whatever text.
    """
    if len(module) > _LONGEST or not _MODULE.match(module):
        return False
    with looking_beside(module), contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    return False


def split_source(text: str) -> tuple[str, str | None]:
    """Split `FILE.py:NAME`, or `package.module:NAME`, into its two parts; without a name, None."""
    match = _NAMED.fullmatch(text)
    return (match[1], match[2]) if match else (text, None)


def locate_module(module: str) -> ModuleSpec | None:
    """Find where a module is, of the working directory too, without importing anything.

    Returns:
        None where it isn't there.
    """
    first, *parts = module.split(".")
    with looking_beside(module), contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(first) if first else None
        name = first
        for part in parts:
            if spec is None or spec.submodule_search_locations is None:
                return None
            name = f"{name}.{part}"
            spec = PathFinder.find_spec(name, spec.submodule_search_locations)
        return spec
    return None


def import_source(source: str) -> ModuleType:
    """Import a file, which ends with `.py`, or a module, of the working directory too.

    What its code raises passes through.

    Raises:
        KprobeError: There is no such file.
    """
    if not source.endswith(".py"):
        with looking_beside(source):
            return importlib.import_module(source)
    path = Path(source).resolve()
    if not path.is_file():
        raise KprobeError(f"there is no file {source}")
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
