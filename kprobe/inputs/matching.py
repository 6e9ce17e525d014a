"""Which source feeds which input of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.errors import InputError
from kprobe.inputs.concatenated import Concatenated, list_parts
from kprobe.inputs.container import Container
from kprobe.inputs.faults import Faults, list_names, suggest_name
from kprobe.inputs.files import open_location
from kprobe.inputs.image_options import ImageOptions
from kprobe.inputs.images import ImageRows
from kprobe.inputs.locating import Location, parse_location
from kprobe.inputs.npy_stream import NpyStream
from kprobe.inputs.source import UNKNOWN_ROWS, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kprobe.inputs.model_input import ModelInput


class Matches:
    """The sources found so far, by the name of the input they feed.

    Nothing is ever matched by its position. Several sources of one input are read one after
    another, in the order in which they came.

    Attributes:
        faults: What is wrong with what was given.
    """

    def __init__(
        self,
        inputs: Sequence[ModelInput],
        faults: Faults,
        *,
        named_only: Collection[str] = (),
        images: Mapping[str, ImageOptions] | None = None,
    ) -> None:
        """Begin without sources.

        Args:
            inputs: The model's inputs.
            faults: Takes what is wrong.
            named_only: The inputs that only a source with their name is for.
            images: How images become rows, by input; under "" for all inputs.
        """
        self._images = images or {}
        self.faults = faults
        self._open_to_all = [i.name for i in inputs if i.name not in named_only]
        self._inputs = {model_input.name: model_input for model_input in inputs}
        self._sources: dict[str, list[Source]] = {}
        self._given: set[str] = set()  # the inputs that something was meant for, even with a fault
        self._unmatched = False  # whether anything was given that may be what an input lacks
        self._stdin_taken = False

    def add_text(self, text: str) -> None:
        """Open `SRC` or `NAME=SRC` and match what is there."""
        location = parse_location(text, self._inputs)
        known = location.name is None or self._check_name(location.name, text)
        try:
            opened = self._open(location)
            if not known:
                opened.close()
            elif isinstance(opened, Container):
                self._add_container(opened, location)
            else:
                self.add_source(location.name, opened, text)
        except InputError as error:
            self.faults.take(error)
            self._note(location.name)

    def add_source(self, name: str | None, source: Source, text: str) -> None:
        """Match a source to an input.

        Args:
            name: The input, or None if the user didn't say; then the model must have one only.
            source: The rows.
            text: What messages call it: what the user gave.
        """
        if name is None:
            if len(self._open_to_all) != 1:
                source.close()
                self._unmatched = True
                self.faults.add(
                    f"{text}: expected NAME=FILE, as the model has {len(self._inputs)} inputs: "
                    f"{self._list_inputs()}",
                    f"say which, e.g. {next(iter(self._inputs), 'NAME')}={text}",
                )
                return
            name = self._open_to_all[0]
        if not self._check_name(name, text):
            source.close()
        else:
            self._given.add(name)
            self._sources.setdefault(name, []).append(source)

    def complete(self) -> dict[ModelInput, Source]:
        """Give the sources in the order of the model's inputs, and note which have none."""
        missing = [name for name in self._inputs if name not in self._given]
        if missing and not self._unmatched:
            self.faults.add(
                f"expected a source for every input, received none for "
                f"{list_names(str(self._inputs[name]) for name in missing)}",
                "add " + " ".join(f"--input {name}=FILE" for name in missing),
            )
        fitted = {}
        for name, model_input in self._inputs.items():
            with self.faults.taken():
                if name in self._sources:
                    fitted[model_input] = self._fit(model_input)
        for name in self._images:
            of_all = not (name and self._check_name(name, "how images are resized"))
            rows = [source for i, source in fitted.items() if of_all or i.name == name]
            parts = [part for source in rows for part in list_parts(source)]
            if rows and not any(isinstance(part, ImageRows) for part in parts):
                labels = list_names(source.label for source in rows)
                self.faults.add(f"--resize and the like are for images, received {labels}")
        return fitted

    def close(self) -> None:
        """Close what was opened."""
        for sources in self._sources.values():
            for source in sources:
                source.close()

    def _fit(self, model_input: ModelInput) -> Source:
        """Put what was given for an input in a row, and make it into what that takes."""
        sources = self._sources[model_input.name]
        source = sources[0]
        if len(sources) > 1:
            for part in sources:
                if part.rows == UNKNOWN_ROWS or isinstance(part, NpyStream):
                    why = "is a pipe" if part.rows < UNKNOWN_ROWS else "has no known end"
                    raise InputError(
                        f"input '{model_input.name}': {part.label} {why}, and can't be put in a "
                        "row with other sources"
                    )
            source = Concatenated(sources, list_names(source.label for source in sources))
        options = self._images.get(model_input.name) or self._images.get("") or ImageOptions()
        fitted = source.fit_to(model_input, options)
        self._sources[model_input.name] = [fitted]
        return fitted

    def _open(self, location: Location) -> Source | Container:
        if location.text in ("", f"{location.name}="):
            raise InputError(
                f"--input {location.text}".rstrip() + " expects a file, received nothing"
            )
        if location.path is None:
            if self._stdin_taken:
                raise InputError(f"{location.text}: standard input feeds one input only")
            self._stdin_taken = True
        opened = open_location(location)
        if location.key is not None and isinstance(opened, Source):
            opened.close()
            raise InputError(
                f"{location.text}: {location.label} is one array, without keys such as "
                f"'{location.key}'"
            )
        return opened

    def _add_container(self, container: Container, location: Location) -> None:
        """Match one array of a file, or those that are named like inputs."""
        name, text = location.name, location.text
        if location.key is not None:
            self.add_source(name, container.open(location.key), text)
            return
        keys = container.keys()
        wanted = [name] if name is not None else self._open_to_all
        found = [key for key in wanted if key in keys]
        if found:
            for key in found:
                self.add_source(key, container.open(key), f"{text}:{key}")
        elif len(keys) == 1 and len(wanted) == 1:
            self.add_source(wanted[0], container.open(keys[0]), text)
        elif not keys:
            raise InputError(f"{text}: expected arrays, received a file without any")
        else:
            named = f"arrays named {list_names(wanted)}"
            if len(wanted) == 1:
                named = f"one array, or one named {wanted[0]}"
            raise InputError(
                f"{text}: expected {named}, received {list_names(keys)}",
                hint=f"say which, e.g. {wanted[0]}={location.source}:{keys[0]}",
            )

    def _check_name(self, name: str, text: str) -> bool:
        if name in self._inputs:
            return True
        self.faults.add(
            f"{text}: no input '{name}'; the model's inputs: {self._list_inputs()}",
            suggest_name(name, self._inputs, "{}=..."),
        )
        self._unmatched = True
        return False

    def _list_inputs(self) -> str:
        return list_names(str(model_input) for model_input in self._inputs.values())

    def _note(self, name: str | None) -> None:
        if name is None and len(self._inputs) == 1:
            name = next(iter(self._inputs))
        if name in self._inputs:
            self._given.add(name)
        else:
            self._unmatched = True
