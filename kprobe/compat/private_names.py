"""How the private names of other libraries are written down, and looked up when they are needed.

A name that a library doesn't promise may be gone with its next release. Each that kprobe touches
stands in `tensorflow_names` or `keras_names`, with what it is for, and nowhere else. Nothing is
imported before it is looked up.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.compat.patching import patched
from kprobe.errors import KprobeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

# What kprobe is tested with.
TESTED = {"keras": "3.15", "tensorflow": "2.21", "tf_keras": "2.21"}
_ABSENT = object()


@dataclass(frozen=True)
class PrivateName:
    """Something in a module of a library that isn't public.

    Attributes:
        module: The module's name inside the library, e.g. "src.saving.saving_lib".
        name: The name in the module, with dots for what is in a class.
        purpose: What kprobe does with it; ends the sentence "It ...".
        libraries: The libraries that have it.
    """

    module: str
    name: str
    purpose: str
    libraries: tuple[str, ...] = ("tensorflow",)

    def find(self, library: ModuleType | None = None) -> Any:
        """Give what has the name, as it is at this moment.

        Args:
            library: The library, where several have it; None for the first of them.

        Raises:
            KprobeError: The library doesn't have it, in the release that is installed.
        """
        return self._look_up(library)[1]

    def patched(
        self, value: Any, library: ModuleType | None = None, *, also: Sequence[Any] = ()
    ) -> AbstractContextManager[None]:
        """Let the name mean something else inside the block.

        Args:
            value: What it is to mean.
            library: As for `find`.
            also: Other modules that have it under the same name, in public.

        Raises:
            KprobeError: As for `find`.
        """
        owner, _ = self._look_up(library)
        return patched(self.name.rpartition(".")[2], value, owner, *also)

    def _look_up(self, library: ModuleType | None) -> tuple[Any, Any]:
        """Give what has the name, and the module or class that it is in."""
        chosen = self.libraries[0] if library is None else library.__name__
        try:
            owner: Any = None
            module = f"{chosen}.{self.module}"
            # Names are looked up for every batch, and an import takes several microseconds.
            found: Any = sys.modules.get(module) or importlib.import_module(module)
            for step in self.name.split("."):
                owner, found = found, getattr(found, step)
        except (ImportError, AttributeError) as error:
            place = f"{chosen}.{self.module}.{self.name}"
            raise _explain(chosen, place, self.purpose) from error
        return owner, found


@dataclass(frozen=True)
class PrivateAttribute:
    """An attribute that objects of a library have, and that isn't public.

    Attributes:
        name: Its name.
        owner: What has it, in a few words.
        purpose: What kprobe does with it; ends the sentence "It ...".
        libraries: The libraries whose objects have it.
    """

    name: str
    owner: str
    purpose: str
    libraries: tuple[str, ...] = ("tensorflow",)

    def find(self, owner: Any) -> Any:
        """Give the attribute of an object that must have it.

        Raises:
            KprobeError: The object doesn't have it, in the release that is installed.
        """
        found = getattr(owner, self.name, _ABSENT)
        if found is _ABSENT:
            home = type(owner).__module__.partition(".")[0]
            library = home if home in self.libraries else self.libraries[0]
            raise _explain(library, f"{self.name} of {self.owner}", self.purpose)
        return found

    def read(self, owner: Any, default: Any = None) -> Any:
        """Give the attribute of an object that may have it, or else the default."""
        return getattr(owner, self.name, default)

    def write(self, owner: Any, value: Any) -> None:
        """Set the attribute of an object."""
        setattr(owner, self.name, value)

    def patched(self, owner: Any, value: Any) -> AbstractContextManager[None]:
        """Let the attribute of an object be another inside the block."""
        return patched(self.name, value, owner)

    def is_in(self, owner: Any) -> bool:
        """Tell whether an object has the attribute."""
        return hasattr(owner, self.name)


def _explain(library: str, place: str, purpose: str) -> KprobeError:
    version = getattr(sys.modules.get(library), "__version__", "as it is installed")
    return KprobeError(
        f"{library} {version} has no {place}: kprobe needs it: it {purpose}",
        hint=f"install {library} {TESTED[library]}, which kprobe is tested with",
    )
