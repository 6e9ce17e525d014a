"""Which source feeds which input of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.errors import Hint, InputError, Setting
from kprobe.image_options import ImageOptions
from kprobe.inputs.concatenated import Joined, list_parts
from kprobe.inputs.files import open_location
from kprobe.inputs.images.rows import ImageRows
from kprobe.inputs.locating import Location, locate, parse_location
from kprobe.inputs.sources.container import Container
from kprobe.inputs.sources.model_input import ModelInput
from kprobe.inputs.sources.source import Source, Unfitted, fit_rows
from kprobe.naming import list_names, suggest_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kprobe.inputs.parsing import Given
    from kprobe.inputs.sources.fault_list import Faults

# What the only input of a model is called where neither the model nor the user names it.
ONLY_INPUT = "inputs"


class Pairing:
    """The sources found so far, by the name of the input they feed.

    Nothing is matched by its position but the inputs of batches that have no names, as in training.
    Several sources of one input are read one after another, in the order in which they were given.

    Attributes:
        faults: What is wrong with what was given.
    """

    def __init__(
        self,
        inputs: Sequence[ModelInput] | None,
        faults: Faults,
        *,
        named_only: Collection[str] = (),
        images: Mapping[str, ImageOptions] | None = None,
        keep_all: bool = False,
        follow_links: bool = False,
        external: bool = False,
    ) -> None:
        """Begin without sources.

        Args:
            inputs: The model's inputs; None where it doesn't say them, and the sources do.
            faults: Takes what is wrong.
            named_only: The inputs that only a source with their name is for.
            images: How images become rows, by input; under "" for all inputs.
            keep_all: Whether files that are called images and hold none keep their rows.
            follow_links: Whether links in a folder that lead out of it are followed.
            external: Whether values may lie in other files that an HDF5 file names.
        """
        self._images = images or {}
        self._keep_all = keep_all
        self._follow_links = follow_links
        self._external = external
        self.faults = faults
        self._says = inputs is not None
        self._inputs = {model_input.name: model_input for model_input in inputs or ()}
        self._open_to_all = [name for name in self._inputs if name not in named_only]
        self._opened: dict[str, list[Source | Unfitted]] = {}
        self._stdin_taken = False

    def add(self, given: Given) -> None:
        """Open what was given, and match what is there."""
        if given.are_texts and not self._are_samples(given):
            for each in given.split():
                self.add(each)
            return
        with self.faults.taken():
            if given.text is None:
                self._check_name(given.name, given.describe())
                opened: Source | Unfitted | Container = given.open(
                    lambda key: self._find_rank(given.name, key)
                )
                self._place(opened, given.name, None, given.describe())
                return
            location = (
                parse_location(given.text, self._inputs)
                if given.may_name
                else locate(given.text, given.name)
            )
            self._check_name(location.name, location.text)
            self._place(self._open(location), location.name, location, location.text)

    def add_rows(self, name: str, rows: Source) -> None:
        """Match rows to the input that they were made for."""
        self._opened.setdefault(name, []).append(rows)

    def complete(self) -> dict[ModelInput, Source]:
        """Make the sources into what the inputs take, in the order of the model's inputs."""
        fitted: dict[ModelInput, Source] = {}
        for name in self._inputs if self._says else list(self._opened):
            with self.faults.taken():
                if name in self._opened:
                    source = self._fit(name)
                    fitted[self._inputs.get(name) or _describe(name, source)] = source
        for name in self._images:
            if name and name not in {i.name for i in fitted}:
                self._check_known(name, "how images are resized", self._inputs or self._opened)
                continue
            rows = [source for i, source in fitted.items() if name in ("", i.name)]
            parts = [part for source in rows for part in list_parts(source)]
            if rows and not any(isinstance(part, ImageRows) for part in parts):
                labels = list_names(source.label for source in rows)
                self.faults.add(f"resizing is for images, received {labels}")
        return fitted

    def close(self) -> None:
        """Close what was opened."""
        for sources in self._opened.values():
            for source in sources:
                source.close()

    def _fit(self, name: str) -> Source:
        """Put what was given for an input in a row, and make it into what that takes."""
        opened = self._opened[name]
        joined = opened[0]
        if len(opened) > 1:
            joined = Joined(opened, list_names(source.label for source in opened))
        options = self._images.get(name) or self._images.get("") or ImageOptions()
        fitted = fit_rows(joined, self._inputs.get(name), options)
        self._opened[name] = [fitted]
        return fitted

    def _open(self, location: Location) -> Source | Unfitted | Container:
        if location.text in ("", f"{location.name}="):
            where = f"inputs: {location.name}" if location.name else "inputs"
            raise InputError(f"{where}: expected a source, received nothing")
        if location.path is None:
            if self._stdin_taken:
                raise InputError(f"{location.text}: standard input feeds one input only")
            self._stdin_taken = True
        try:
            opened = open_location(
                location,
                keep_all=self._keep_all,
                follow_links=self._follow_links,
                external=self._external,
            )
        except InputError as error:
            if error.remedy is None and location.written:
                raise InputError(*error.faults, hint=self._suggest_texts(location.name)) from None
            raise
        if location.key is not None and not isinstance(opened, Container):
            opened.close()
            raise InputError(
                f"{location.text}: {location.label} is one array, without keys such as "
                f"'{location.key}'"
            )
        return opened

    def _suggest_texts(self, name: str | None) -> Hint | None:
        """Say how texts are given, where an input takes some: one that names no file may be one."""
        for each in self._inputs.values():
            if each.dtype == "string" and name in (None, each.name):
                how = Setting(
                    "inputs", f"{each.name}=LINES.txt:text", python=f'{{"{each.name}": [...]}}'
                )
                return Hint("texts have the name of their input: ", how)
        return None

    def _place(
        self,
        opened: Source | Unfitted | Container,
        name: str | None,
        location: Location | None,
        text: str,
    ) -> None:
        """Match what was opened: rows, one array of a file, or those that are named like inputs."""
        if not isinstance(opened, Container):
            self._add(name, opened, text)
        elif location is not None and location.key is not None:
            self._add(name, opened.open(location.key), text)
        elif self._says:
            self._add_matching(opened, name, location, text)
        else:
            self._add_all(opened, name, text)

    def _add(self, name: str | None, rows: Source | Unfitted, text: str) -> None:
        if name is None and not self._says:
            name = ONLY_INPUT
        if name is None:
            name = self._only_input
            if name is None:
                rows.close()
                first = next(iter(self._inputs), "NAME")
                raise InputError(
                    f"{text}: expected the name of an input with it, as the model has "
                    f"{len(self._inputs)}: {self._list_inputs()}",
                    hint=Hint(
                        "say which, for example ",
                        Setting("inputs", f"{first}={text}", python=f'{{"{first}": ...}}'),
                    ),
                )
        self._opened.setdefault(name, []).append(rows)

    @property
    def _only_input(self) -> str | None:
        """The input that samples without a name are for: the only one that can't be left out."""
        must = [name for name in self._open_to_all if not self._inputs[name].optional]
        for names in (self._open_to_all, must):
            if len(names) == 1:
                return names[0]
        return None

    def _add_matching(
        self, container: Container, name: str | None, location: Location | None, text: str
    ) -> None:
        """Match those arrays that are named like inputs, or the only one."""
        keys = container.keys()
        wanted = [name] if name is not None else self._open_to_all
        found = {key: key for key in wanted if key in keys}
        if container.by_place and len(keys) == len(wanted):
            found = dict(zip(wanted, keys, strict=True))
        elif not found and len(keys) == 1 and len(wanted) == 1:
            found = {wanted[0]: keys[0]}
        if not found:
            raise self._refuse(wanted, keys, location, text)
        for own, key in found.items():
            self._add(own, container.open(key), f"{text}:{key}")

    def _refuse(
        self, wanted: Sequence[str], keys: Sequence[str], location: Location | None, text: str
    ) -> InputError:
        if not keys:
            return InputError(f"{text}: expected arrays, received a file without any")
        named = f"arrays named {list_names(wanted)}"
        if len(wanted) == 1:
            named = f"one array, or one named {wanted[0]}"
        hint = None
        if location is not None and wanted:
            source = f"{wanted[0]}={location.source}:{keys[0]}"
            hint = Hint("say which, for example ", Setting("inputs", source))
        return InputError(f"{text}: expected {named}, received {list_names(keys)}", hint=hint)

    def _add_all(self, container: Container, name: str | None, text: str) -> None:
        """Take each array as an input of its own."""
        keys = container.keys()
        if not keys or (name is not None and len(keys) > 1):
            raise InputError(f"{text}: expected one array, received {list_names(keys)}")
        for key in keys:
            lone = container.by_place and len(keys) == 1
            self._add(name or (None if lone else key), container.open(key), f"{text}:{key}")

    def _are_samples(self, given: Given) -> bool:
        """Tell whether a list of texts is the samples of an input, rather than sources of it."""
        model_input = self._inputs.get(given.name or "")
        takes_texts = not self._says or (model_input is not None and model_input.dtype == "string")
        return takes_texts and not given.are_paths

    def _find_rank(self, name: str | None, key: str) -> int | None:
        """Give the number of axes of the input that an array would be for, None where not known."""
        if name is None and key in self._inputs:
            name = key
        elif name is None and key.isdecimal() and int(key) < len(self._open_to_all):
            name = self._open_to_all[int(key)]
        elif name is None:
            name = self._only_input
        model_input = self._inputs.get(name or "")
        return None if model_input is None else len(model_input.shape)

    def _check_name(self, name: str | None, text: str) -> None:
        if name is not None and self._says:
            self._check_known(name, text, self._inputs, raising=True)

    def _check_known(
        self, name: str, text: str, known: Collection[str], *, raising: bool = False
    ) -> None:
        if name in known:
            return
        listed = self._list_inputs() if self._says else list_names(known)
        fault = f"{text}: no input '{name}'; the model's inputs: {listed}"
        hint = suggest_name(name, known, "{}=...")
        if raising:
            raise InputError(fault, hint=hint)
        self.faults.add(fault, hint)

    def _list_inputs(self) -> str:
        return list_names(str(model_input) for model_input in self._inputs.values())


def _describe(name: str, source: Source) -> ModelInput:
    """Tell what a model takes after what it is given."""
    shape = (None, *(None if size == -1 else size for size in source.shape))
    return ModelInput(name, shape, "string" if source.dtype.kind in "OSU" else source.dtype.name)
