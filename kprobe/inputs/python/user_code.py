"""Code of the user's that gives samples: how it is found, and how it is called."""

from __future__ import annotations

import hashlib
import inspect
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kprobe.errors import InputError, KprobeError
from kprobe.importing import import_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


def call_user(label: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call code of the user's. All of it that gives samples is called here.

    Args:
        label: What messages call it.
        function: What is called.
        *arguments: With what.

    Raises:
        InputError: It raised, or wanted to end the program.
    """
    try:
        return function(*arguments)
    except InputError:
        raise
    # What ends the program would do so without a word.
    except (Exception, SystemExit) as error:
        text = f"{label} failed: {type(error).__name__}: {error}".rstrip(": ")
        raise InputError(" ".join(text.split())) from error


def iterate_user(label: str, iterator: Iterator[T]) -> Iterator[T]:
    """Give what an iterator of the user's gives.

    Raises:
        InputError: It raised.
    """
    end = object()
    while (item := call_user(label, next, iterator, end)) is not end:
        yield item


def find_callable(place: str, name: str, label: str) -> Callable[[], Any]:
    """Find what is called by its module, or its file, and its name.

    Raises:
        InputError: There is no such thing, or it can't be imported.
    """
    try:
        module = import_source(place)
    except KprobeError as error:
        raise InputError(
            *(f"{label}: {fault}" for fault in error.faults), hint=error.remedy
        ) from None
    except Exception as error:
        raise InputError(f"{label}: can't be imported: {type(error).__name__}: {error}") from error
    found: Any = vars(module).get(name)
    if not callable(found):
        what = "nothing" if found is None else type(found).__name__
        raise InputError(f"{label}: expected a function or class '{name}', received {what}")
    return found  # type: ignore[no-any-return] # nothing is known of the user's


def hash_place(place: str) -> dict[str, str]:
    """Tell the code of a module or a file that was imported: "sha256", where it has a file."""
    name = place if place.endswith(".py") else vars(sys.modules[place]).get("__file__")
    return _hash_file(name)


def describe_code(given: Any) -> dict[str, str]:
    """Describe code, or what it made, without running it.

    Returns:
        "type" (its name), and "sha256" of the file that it is written in, where there is one.
    """
    while isinstance(given, partial):
        given = given.func
    if inspect.isgenerator(given):
        return {"type": given.__qualname__, **_hash_file(given.gi_code.co_filename)}
    code = given if inspect.isroutine(given) or inspect.isclass(given) else type(given)
    told = {"type": f"{code.__module__}.{code.__qualname__}"}
    if inspect.isbuiltin(code):
        return told
    try:
        return {**told, **_hash_file(inspect.getsourcefile(code))}
    except (TypeError, OSError):  # built in, or typed into a console
        return told


def _hash_file(name: str | None) -> dict[str, str]:
    if name is None or not Path(name).is_file():
        return {}
    return {"sha256": hashlib.sha256(Path(name).read_bytes()).hexdigest()}
