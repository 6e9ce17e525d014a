"""Which names the user's own Python gives a model: it is read, and not run."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.errors import ModelError
from kprobe.gate.names.allowed_tensorflow import allows_activation
from kprobe.importing import is_of_library, locate_module, split_source
from kprobe.models.custom import make_missing_error
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.models.custom import CustomObjects

_NAMED = 4
_STAR = "*"
# What puts a class into Keras's registry, and what gives the registry.
_REGISTERS, _REGISTRY = "register_keras_serializable", "get_custom_objects"


@dataclass(frozen=True)
class GivenNames:
    """What the user gives, as far as reading it tells.

    Attributes:
        names: The names of classes and functions.
        packages: The packages, whose import may give more than reading them tells: what a file says
            to be of one is taken to be there.
    """

    names: frozenset[str]
    packages: tuple[str, ...]


def read_given_names(custom: CustomObjects) -> GivenNames:
    """Read which names the user gives.

    Raises:
        ModelError: There is no such file or module, or it isn't Python; or it has no such name.
    """
    names, packages = {*custom.names}, []
    for source in custom.sources:
        own, is_package = _read_source(source)
        names.update(own)
        packages += [split_source(source)[0]] * is_package
    return GivenNames(frozenset(names), tuple(packages))


def describe_lacking(custom: CustomObjects, name: str) -> str:
    """Say that what the user gives has no such class or function: "own.py has no A (it has B)".

    Args:
        custom: What the user gave.
        name: What a model names.

    Returns:
        Nothing where no file and no module is given, or where one may have it.
    """
    known: list[str] = []
    for source in custom.sources:
        try:
            own, is_package = _read_source(source)
        except ModelError:  # whoever imports it tells better
            return ""
        if is_package or name in own:
            return ""
        known += [each for each in own if not each.startswith("_")]
    if not custom.sources:
        return ""
    has, it = ("have", "they") if len(custom.sources) > 1 else ("has", "it")
    told = list_names(dict.fromkeys(known), _NAMED)
    there = f"{it} {has} {told}" if known else f"{it} {has} none"
    return f"{list_names(custom.sources, _NAMED)} {has} no {name} ({there})"


def describe_missing(source: str, name: str, known: list[str]) -> str:
    """Say that a file or a module has no such name, of those it was asked for."""
    shown = [each for each in known if not each.startswith("_")]
    there = f" (it has {list_names(shown, _NAMED)})" if shown else ""
    return f"custom objects: {source} has no {name}{there}"


def _read_source(text: str) -> tuple[dict[str, None], bool]:
    """Read the names that a source gives, in their order, and tell whether it is a package."""
    source, name = split_source(text)
    path, is_package = _find_file(source)
    own = {} if path is None else _read_file(path, source, set())
    if name is None:
        return own, is_package
    if name not in own and not is_package:
        raise ModelError(describe_missing(source, name, [*own]))
    return {name: None}, False


def _find_file(source: str) -> tuple[Path | None, bool]:
    if source.endswith(".py"):
        if not Path(source).is_file():
            raise make_missing_error(source)
        return Path(source), False
    spec = locate_module(source)
    if spec is None:
        raise make_missing_error(source)
    path = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    # Of what isn't Python, reading tells nothing.
    return path, path is None or spec.submodule_search_locations is not None


def _read_file(path: Path, source: str, seen: set[Path]) -> dict[str, None]:
    seen.add(path)
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(
            f"custom objects: {source} can't be imported: {type(error).__name__}: {error}"
        ) from error
    names: dict[str, None] = {}
    for name in _list_defined(tree):
        if not name.startswith(_STAR):
            names[name] = None
            continue
        beside = path.parent.joinpath(*name.removeprefix(_STAR).split(".")).with_suffix(".py")
        if beside not in seen and beside.is_file():
            own = _read_file(beside, source, seen)
            names |= {each: None for each in own if not each.startswith("_")}
    return names


def _list_defined(node: ast.AST) -> Iterator[str]:
    """Yield what is defined, assigned, imported or registered, also under some condition.

    Of all names of a module that lies beside it, that module's, behind a star.
    """
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield each.name
            for decorator in each.decorator_list:
                yield from _list_registered(decorator)
        elif isinstance(each, ast.ImportFrom):
            yield from _list_imported(each)
        elif isinstance(each, ast.Name):
            if isinstance(each.ctx, ast.Store):
                yield each.id
        elif isinstance(each, ast.Subscript):
            if _is_call(each.value, _REGISTRY) and isinstance(each.slice, ast.Constant):
                yield str(each.slice.value)
        elif isinstance(each, ast.Call):
            yield from _list_registered(each)
        elif not isinstance(each, ast.Import):  # which gives modules
            yield from _list_defined(each)


def _list_imported(node: ast.ImportFrom) -> Iterator[str]:
    module = node.module or ""
    for alias in node.names:
        if node.level == 0 and is_of_library(module):
            # A model's config has no business with what is a library's own, such as `Popen`.
            if allows_activation(module, alias.name):
                yield alias.asname or alias.name
        elif alias.name != _STAR:
            yield alias.asname or alias.name
        elif node.level <= 1:
            yield f"{_STAR}{module}"


def _list_registered(node: ast.AST) -> Iterator[str]:
    """Yield the names under which a call registers something."""
    if not isinstance(node, ast.Call):
        return
    given: list[ast.AST | None] = []
    if _is_call(node, _REGISTERS):
        given = [*node.args[1:2], *(each.value for each in node.keywords if each.arg == "name")]
    elif isinstance(node.func, ast.Attribute) and _is_call(node.func.value, _REGISTRY):
        given = [key for each in node.args if isinstance(each, ast.Dict) for key in each.keys]
    for each in given:
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _is_call(node: ast.AST, name: str) -> bool:
    """Tell whether something is a call of a function of some name, whatever module it is of."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    own = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    return own == name
