"""Change attributes of other libraries for a while, and put them back as they were.

Every change that kprobe makes to TensorFlow, to a Keras or to an object of theirs goes through
here, so that undoing is written once.
"""

from __future__ import annotations

import contextlib
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABSENT = object()


@contextlib.contextmanager
def patched(name: str, value: Any, *owners: Any) -> Iterator[None]:
    """Give an attribute another value inside the block.

    When the block is left, in whatever way, the attribute is what it was, and isn't there where
    it wasn't. Blocks may lie in each other, and those of several threads may overlap: what the
    last of them leaves is what the first of them found.

    Args:
        name: The attribute's name.
        value: What it is to be.
        *owners: The modules, classes or objects that it is changed in. An object's own way of
            setting attributes is passed by: a Keras layer would track what it is given. Only a
            property is set as it says itself, which may be for each thread by itself.
    """
    with contextlib.ExitStack() as stack:
        for owner in owners:
            change = _Change(owner, name)
            # First, so that an interruption on the way is undone as well.
            stack.callback(change.undo)
            change.make(value)
        yield


# Changes that are made and not undone, by attribute, in the order in which they were made.
_standing: dict[tuple[int, str], list[_Change]] = {}
_lock = threading.Lock()


class _Change:
    """One attribute's change."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name
        self._before: Any = _ABSENT
        # What a property gives may be each thread's own, and isn't for others to put back.
        place = (id(self), "") if _has_property(owner, name) else (id(owner), name)
        self._place = place

    def make(self, value: Any) -> None:
        with _lock:
            self._before = _read(self._owner, self._name)
            _standing.setdefault(self._place, []).append(self)
            try:
                _write(self._owner, self._name, value)
            except Exception:  # an owner that can't be changed
                self._forget()
                raise

    def undo(self) -> None:
        with _lock:
            changes = _standing.get(self._place, [])
            if self not in changes:
                return
            later = changes[changes.index(self) + 1 :]
            if later:
                # Another thread changed it meanwhile, and is to leave what was there before both.
                later[0]._before = self._before
            else:
                _write(self._owner, self._name, self._before)
            self._forget()

    def _forget(self) -> None:
        _standing[self._place].remove(self)
        if not _standing[self._place]:
            del _standing[self._place]


def _has_property(owner: Any, name: str) -> bool:
    return not isinstance(owner, type | ModuleType) and hasattr(
        getattr(type(owner), name, None), "__set__"
    )


def _read(owner: Any, name: str) -> Any:
    """Give what an owner itself holds, not what it inherits."""
    if isinstance(owner, ModuleType) or _has_property(owner, name):
        return getattr(owner, name, _ABSENT)
    return vars(owner).get(name, _ABSENT)


def _write(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, type | ModuleType):
        put, remove = setattr, delattr
    else:
        put, remove = object.__setattr__, object.__delattr__
    if value is _ABSENT:
        remove(owner, name)
    else:
        put(owner, name, value)
