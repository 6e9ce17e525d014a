"""`kprobe ls`: what a model file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.computing import begin_computing
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.model import loading_options, model_argument
from kprobe.cli.options.samples import building_options
from kprobe.cli.options.sandbox import sandbox_option
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.model import say_untold, show_model, show_operations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.errors import Setting


@click.command(cls=Command)
@model_argument
@click.argument("pattern", required=False)
@click.option("--type", "class_name", metavar="CLASS", help="Only layers of this class.")
@json_option("Print a JSON array.")
@click.option(
    "--ops", is_flag=True, help="The operations inside the layers instead. Loads the model."
)
@building_options
@loading_options
@sandbox_option
@verbose_option
def ls(
    model: str,
    pattern: str | None,
    class_name: str | None,
    as_json: bool,
    ops: bool,
    verbose: bool,
    **loading: Any,
) -> None:
    """List the layers of a model, each call with its address.

    Of a SavedModel without a Keras model it lists the signatures.

    PATTERN narrows the list: a name, a path, or globs such as 'block*_conv?' and '**/bn'.
    Of a model file nothing is loaded, neither TensorFlow nor the weights, unless --ops asks for
    the operations: then PATTERN is the address of layers, or of operations such as
    'ROI//*Suppression*'. A model given as code, FILE.py:CALLABLE, is always loaded, and so is one
    whose file doesn't tell all its layers, where --custom-objects gives the code that does.
    """
    from kprobe.pipeline.inspect import (
        find_needed,
        find_untold_layers,
        list_model,
        list_model_operations,
        needs_loading,
    )

    loaded = needs_loading(model, **loading)
    if ops or loaded:
        begin_computing(verbose)
    if ops:
        show_operations(list_model_operations(model, pattern, class_name, **loading), as_json)
        return
    listed = list_model(model, pattern, class_name, **loading)
    if loaded:
        show_model(listed, as_json, None)
        return
    needed = (word for setting in find_needed(model, **loading) for word in _spell(setting))
    show_model(listed, as_json, [model, *_spell_loading(**loading), *needed])
    say_untold(*find_untold_layers(model, **loading))


def _spell(setting: Setting) -> list[str]:
    flag = f"--{setting.name.replace('_', '-')}"
    return [flag] if setting.value is True else [flag, str(setting.value)]


def _spell_loading(
    *,
    custom_objects: Sequence[str],
    keras: int | None,
    allow: Sequence[str],
    unsafe: bool,
    **_others: Any,
) -> Iterator[str]:
    """Spell the options that a command needs to load the same file."""
    for given in custom_objects:
        yield from ("--custom-objects", given)
    if keras is not None:
        yield from ("--keras", str(keras))
    for kind in allow:
        yield from ("--allow", kind)
    if unsafe:
        yield "--unsafe"
