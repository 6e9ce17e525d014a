"""Import the user's own classes and functions, and find those that a model may be made of."""

from __future__ import annotations

import functools
import importlib.util
from collections import Counter
from types import FunctionType
from typing import TYPE_CHECKING, Any

from kprobe.errors import Hint, KprobeError, ModelError, Setting
from kprobe.gate.names.allowed_tensorflow import allows_activation
from kprobe.gate.names.walk import list_owners
from kprobe.importing import import_source, is_of_library, looking_beside, split_source
from kprobe.models.custom import make_missing_error, read_custom_objects
from kprobe.models.custom_names import describe_missing
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

    from kprobe.gate.names.walk import Checked
    from kprobe.models.custom import CustomObjects, GivenObjects

# What Python calls every function that has no name, and what older files keep of one.
_NAMELESS = "<lambda>"

# What the import of each module put into a Keras's registry, by the names there. A second import
# puts nothing there.
_put_in: dict[tuple[str, str], dict[str, Any]] = {}


def find_custom_objects(
    given: GivenObjects | CustomObjects,
    library: ModuleType | None = None,
    wanted: Collection[str] = (),
) -> dict[str, Any]:
    """Import Python files and modules, and collect the classes and functions that are given.

    Args:
        given: What the user gave.
        library: The Keras whose registry counts: with what is given is what the imports put there.
        wanted: What a model names. A module that makes its parts when it is asked for them is asked
            for these, as far as it lists them itself, and they are no modules.

    Returns:
        The classes and functions by every name that a model may know them under: a loader that
        is given these need not find the module that they were saved from.

    Raises:
        ModelError: A file or module can't be imported.
    """
    objects: dict[str, Any] = {}
    for part in read_custom_objects(given).parts:
        objects |= _find_objects(part, library, wanted) if isinstance(part, str) else part
    return objects


def find_aliases(library: ModuleType, wanted: Collection[str]) -> dict[str, Any]:
    """Give the functions that files name otherwise than the Keras that is to find them.

    Args:
        library: The Keras.
        wanted: What a model names.
    """
    import tensorflow as tf

    aliases = {
        "log_softmax_v2": tf.nn.log_softmax,
        "softmax_v2": tf.nn.softmax,
        "swish": library.activations.get("swish"),
    }
    return {name: function for name, function in aliases.items() if name in wanted}


def find_lambda(given: CustomObjects, model_file: Checked) -> dict[str, Any]:
    """Give the function that a file means which names a lambda, by the name it has there.

    Args:
        given: What the user gave, which was imported.
        model_file: The file.

    Raises:
        ModelError: The file names one, and several are given.
    """
    owners = list_owners(model_file, _NAMELESS)
    said = any(not isinstance(part, str) and _NAMELESS in part for part in given.parts)
    if not owners or said:
        return {}
    found: dict[int, tuple[Any, str]] = {}  # by identity: one may have several names
    for part in given.parts:
        for name, value in _list_own(part).items() if isinstance(part, str) else ():
            if getattr(value, "__name__", None) == _NAMELESS and _may_be_meant(name, value):
                code = getattr(value, "__code__", None)
                line = "" if code is None else f":{code.co_firstlineno}"
                found.setdefault(id(value), (value, f"{name} ({part}{line})"))
    if len(found) > 1:
        raise ModelError(
            f"{list_names(owners, 8)} of the model has a function that its file calls only "
            f"{_NAMELESS}, and the custom objects have {len(found)} of them: "
            f"{list_names([place for _, place in found.values()], 8)}",
            hint=Hint(
                "give the one that is meant alone, in a file of its own, or write the others with "
                "`def`: ",
                Setting("custom_objects", "FILE.py", python=f'{{"{_NAMELESS}": ...}}'),
            ),
        )
    functions = [function for function, _ in found.values()]
    return {_NAMELESS: functions[0]} if functions else {}


def _list_own(text: str) -> dict[str, Any]:
    """List what a source has, or what of it is meant, by the names there."""
    source, wanted = split_source(text)
    found = vars(_import_source(source))
    return {name: value for name, value in found.items() if wanted in (None, name)}


def _find_objects(text: str, library: ModuleType | None, wanted: Collection[str]) -> dict[str, Any]:
    """Give the classes and functions of a source, or the one that is meant of it."""
    source, name = split_source(text)
    if name is None:
        return _find_all(source, library, wanted)
    objects = _find_all(source, library, {*wanted, name})
    if name not in objects:
        known = vars(_import_source(source)).items()
        own = [each for each, value in known if _may_be_meant(each, value)]
        raise ModelError(describe_missing(source, name, own))
    return {each: value for each, value in objects.items() if value is objects[name]}


def _find_all(source: str, library: ModuleType | None, wanted: Collection[str]) -> dict[str, Any]:
    """Give the classes and functions of a source, by every name a model may know them under."""
    before = _list_registered(library)
    module = _import_source(source)
    with looking_beside(source):
        found = {**vars(module), **_list_lazy(module, wanted)}
    registered = _list_registered(library)
    package = module.__name__.partition(".")[0]
    put_in = _put_in.setdefault((module.__name__, library.__name__ if library else ""), {})
    put_in |= {
        name: value
        for name, value in registered.items()
        # Whoever imported it before.
        if before.get(name) is not value or _name_owner(value).partition(".")[0] == package
    }
    names = {id(value): name for name, value in registered.items()}
    objects: dict[str, Any] = {}
    for name, value in found.items():
        if _may_be_meant(name, value):
            objects[name] = value
            objects.setdefault(names.get(id(value), name), value)
    short = Counter(name.rpartition(">")[2] for name in put_in)
    for name, value in put_in.items():
        if not _is_of_others(value):
            objects.setdefault(name, value)
            if short[name.rpartition(">")[2]] == 1:  # old files don't tell the package
                objects.setdefault(name.rpartition(">")[2], value)
    return objects


def _list_registered(library: ModuleType | None) -> dict[str, Any]:
    return dict(library.saving.get_custom_objects()) if library else {}


def _list_lazy(module: ModuleType, wanted: Collection[str]) -> dict[str, Any]:
    """List what a module makes when it is asked for it.

    A model's config may name whatever it likes. So what the module doesn't list isn't asked for,
    nor are modules in it, which would be imported.
    """
    here = vars(module)
    try:
        listed = {name for name in (*here.get("__all__", ()), *dir(module)) if name in wanted}
    except Exception:  # the module's own list is code, too
        return {}
    found = {}
    for name in sorted(listed - set(here)):
        if name.startswith("__") or _is_module_in(module, name):
            continue
        try:
            found[name] = getattr(module, name)
        except Exception:  # noqa: S112 - a part whose own needs aren't met
            continue
    return found


def _is_module_in(module: ModuleType, name: str) -> bool:
    """Tell whether a package has a module of some name, without importing it."""
    try:
        return importlib.util.find_spec(f"{module.__name__}.{name}") is not None
    except (ImportError, ValueError):  # it is no package
        return False


def _may_be_meant(name: str, value: Any) -> bool:
    return not name.startswith("__") and callable(value) and not _is_of_others(value)


def _is_of_others(value: Any) -> bool:
    """Tell what a module imported from a library: a model's config has no business with it."""
    while issubclass(type(value), functools.partial):
        value = value.func
    owner = _name_owner(value)
    # A config that names `Popen` would have it called with arguments from the file.
    return is_of_library(owner) and not (
        type(value) is FunctionType and allows_activation(owner, value.__name__)
    )


def _name_owner(value: Any) -> str:
    """Name the module that a class or a function is of; of an object, that of its class."""
    try:
        module = getattr(value, "__module__", None)
        if module is None:  # a method of an object, written in C
            module = type(getattr(value, "__self__", None)).__module__
    except Exception:  # an object that stands for another one, which can't be made
        return "builtins"
    return str(module)


def _import_source(source: str) -> ModuleType:
    try:
        return import_source(source)
    except KprobeError as error:
        raise ModelError(
            *(f"custom objects: {fault}" for fault in error.faults), hint=error.remedy
        ) from None
    except ModuleNotFoundError as error:
        if error.name and f"{source}.".startswith(f"{error.name}."):
            raise make_missing_error(source) from None
        raise _explain(source, error) from error
    except SystemExit as error:
        raise ModelError(
            f"custom objects: {source} ends the program when it is imported: "
            f"sys.exit({'' if error.code is None else repr(error.code)})",
            hint="put what a script does under `if __name__ == '__main__':`",
        ) from error
    except Exception as error:
        raise _explain(source, error) from error


def _explain(source: str, error: Exception) -> ModelError:
    return ModelError(
        f"custom objects: {source} can't be imported: {type(error).__name__}: {error}"
    )
