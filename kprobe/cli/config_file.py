"""--config: the command line as a file, read and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.options.values import File
from kprobe.errors import DumpError, KprobeError
from kprobe.naming import name_nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of these one excludes the other: given on the command line, it puts aside the file's.
_RIVALS = (
    ("layers", "every"),
    ("inputs", "random"),
    ("inputs", "random_shape"),
    ("random", "random_shape"),
)


def config_option(command: Any) -> Any:
    """Add --config to a command: where its options and arguments are given as TOML."""
    return click.option(
        "--config",
        metavar="JOB.toml",
        type=File(),
        is_eager=True,
        expose_value=False,
        callback=_take_config,
        help="Take options from a TOML file, by their long names (batch-size = 64), and the "
        "model's name from `model`; those given here win. `kprobe show DUMP --as-config` writes "
        "one.",
    )(command)


def put_rivals_aside(ctx: click.Context, options: dict[str, Any]) -> None:
    """Let an option of the command line replace one of the file that it excludes."""
    given, filed = click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.DEFAULT_MAP
    for pair in _RIVALS:
        for name, rival in (pair, pair[::-1]):
            sources = ctx.get_parameter_source(name), ctx.get_parameter_source(rival)
            if sources == (given, filed):
                options[rival] = type(options[rival])() if rival != "random" else None


def write_config(command: click.Command, job: Mapping[str, Any]) -> str:
    """Write a job as a file for --config.

    Args:
        command: The command that takes it.
        job: The values of its options and arguments, by the names that the command's function
            knows them by; those of preprocessing, images and arguments as `record_job` has them.

    Raises:
        DumpError: Something has no option.
    """
    names = {param.name: name for name, param in _find_params(command).items()}
    values = name_options(job)
    if values.get("layers", ()) is None:
        del values["layers"]
        values["every"] = True
    if unknown := values.keys() - names.keys():
        raise DumpError(f"no option sets {', '.join(sorted(unknown))}")
    lines = [f"{names[name]} = {_write(value)}" for name, value in values.items()]
    for line in lines:
        if not line.isascii() and any("\ud800" <= letter <= "\udfff" for letter in line):
            shown = line.encode("utf-8", "backslashreplace").decode()
            raise DumpError(f"{shown}: isn't UTF-8, and can't be written as TOML")
    return "\n".join(lines)


def name_options(job: Mapping[str, Any]) -> dict[str, Any]:
    """Give a job with what is said for each input, and for code, as the values of options."""
    values = dict(job)
    if "arguments" in values:
        values["arguments"] = [f"{key}={text}" for key, text in values["arguments"].items()]
    if "random_shape" in values:
        values["random_shape"] = [
            f"{owner}={text}" if owner else text
            for owner, sizes in values["random_shape"].items()
            for text in [",".join(map(str, sizes))]
        ]
    for name, between in (("preprocessing", ","), ("images", "x")):
        for owner, choices in values.pop(name, {}).items():
            for option, choice in choices.items():
                parts = choice if isinstance(choice, list) else [choice]
                text = between.join(map(str, parts))
                values.setdefault(option, []).append(f"{owner}={text}" if owner else text)
    return values


def _take_config(ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
    if path is None or ctx.resilient_parsing:
        return
    import tomllib

    try:
        with Path(path).open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise KprobeError(f"--config {path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KprobeError(f"--config {path} isn't TOML: {error}") from None
    params = _find_params(ctx.command)
    defaults, faults = {}, []
    for key, value in values.items():
        if key not in params:
            near = name_nearest(key, params) or name_nearest(key.replace("_", "-"), params)
            meant = f"; {near}" if near else ""
            faults.append(f"--config {path}: {key} is no option{meant}")
        elif (fault := _find_fault(params[key], value)) is not None:
            faults.append(f"--config {path}: {key}: {fault}, received {value!r}")
        else:
            defaults[params[key].name] = _read(params[key], value)
    if faults:
        raise KprobeError(*faults)
    ctx.default_map = defaults


def _find_params(command: click.Command) -> dict[str, click.Parameter]:
    """Give the options and arguments that a file may hold, by their long names."""
    params = {}
    for param in command.params:
        long = next((name[2:] for name in param.opts if name.startswith("--")), param.opts[0])
        if long != "config":
            params[long] = param
    return params


def _find_fault(param: click.Parameter, value: Any) -> str | None:
    if isinstance(param, click.Option) and param.is_flag:
        return None if isinstance(value, bool) else "expected true or false"
    several = isinstance(value, list) and param.multiple
    for part in value if several else [value]:
        if isinstance(part, bool) or not isinstance(part, str | int | float):
            return "expected a text or a number" + (", or several" if param.multiple else "")
    return None


def _read(param: click.Parameter, value: Any) -> Any:
    """Give a value as the command line would, which is text but for flags."""
    if isinstance(value, bool):
        return value
    if param.multiple:
        return [str(part) for part in (value if isinstance(value, list) else [value])]
    return str(value)


def _write(value: Any) -> str:
    """Write a value as TOML; its strings are JSON's, but for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
