"""The groups of options: each option once, and one for every setting of a job."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from kprobe.cli.command_class import Command
from kprobe.cli.main import cli
from kprobe.cli.options.comparison import comparison_options
from kprobe.cli.options.compute import compute_options
from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.model import model_options
from kprobe.cli.options.output import output_options
from kprobe.cli.options.samples import sample_options
from kprobe.cli.options.selection import selection_options
from kprobe.dumps.output import OutputSpec
from kprobe.engines.compute import Compute
from kprobe.image_options import ImageOptions
from kprobe.inputs.spec import SampleSpec
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.comparing.spec import DiffSpec
from kprobe.preprocessing import Preprocessing
from kprobe.subgraph.selection import Selection

GROUPS = (
    selection_options,
    sample_options,
    output_options,
    compute_options,
    model_options,
    comparison_options,
)


def names_of(part, **others):
    """Give the names of a part's settings, with those that options say in another way."""
    names = {field.name for field in fields(part) if field.init}
    for name, options in others.items():
        names.remove(name)
        names |= options
    return names


@pytest.mark.parametrize(
    ("group", "names"),
    [
        # The method of maps is an option of the command that makes them.
        (selection_options, names_of(Selection, cam=set()) | {"every"}),
        (
            sample_options,
            names_of(
                SampleSpec,
                seed=set(),  # the one of `Compute`
                allow=set(),  # the one of `ModelSpec`
                images=names_of(ImageOptions),
                preprocessing=names_of(Preprocessing),
            ),
        ),
        (output_options, names_of(OutputSpec, path={"output"})),
        (compute_options, names_of(Compute)),
        (model_options, names_of(ModelSpec, model=set())),
        (comparison_options, names_of(DiffSpec)),
    ],
    ids=lambda value: value.title if isinstance(value, OptionGroup) else "",
)
def test_a_group_has_an_option_for_every_setting_of_its_part(group, names):
    assert set(group.options) == names


def test_no_two_groups_have_an_option_in_common():
    flags = Counter(flag for g in GROUPS for option in g.options.values() for flag in option.flags)
    names = Counter(name for g in GROUPS for name in g.options)
    assert {*flags.values()} == {*names.values()} == {1}


@pytest.mark.parametrize("command", cli.list_commands(click.Context(cli)))
def test_no_command_has_two_options_of_one_name(command):
    flags = Counter(
        flag for param in cli.get_command(click.Context(cli), command).params for flag in param.opts
    )
    assert {*flags.values()} == {1}


@pytest.mark.parametrize("command", ["dump", "bench"])
def test_the_help_has_a_section_for_each_group(command):
    told = CliRunner().invoke(cli, [command, "--help"]).stdout
    titles = [line[:-1] for line in told.splitlines() if line[:1].isalpha() and line[-1:] == ":"]
    assert titles == ["Layers", "Samples", "Output", "Computing", "Model", "Options"]


FRUIT = OptionGroup(
    "Fruit",
    {
        "pears": declare("--pears", type=int, help="How many pears."),
        "plums": declare("--plum", type=int, multiple=True, help="A plum's weight."),
    },
)


def run_command(group, *arguments):
    @click.command(cls=Command)
    @group
    @click.option("--loud", is_flag=True, help="Shout.")
    def eat(**values):
        print(sorted(values.items()))

    return CliRunner().invoke(eat, arguments)


def test_a_group_gives_its_values_by_their_names():
    done = run_command(FRUIT, "--plum", "3", "--plum", "4", "--loud")
    assert done.stdout == "[('loud', True), ('pears', None), ('plums', (3, 4))]\n"


def test_a_part_of_a_group_is_had_by_name():
    for part in (FRUIT.only("plums"), FRUIT.without("pears")):
        assert run_command(part, "--plum", "3").exit_code == 0
        assert "no such option" in run_command(part, "--pears", "3").output.lower()
    with pytest.raises(KeyError, match="peaches"):
        FRUIT.only("peaches")
    with pytest.raises(KeyError, match="peaches"):
        FRUIT.without("peaches")


def test_an_option_may_mean_less_in_a_command():
    told = run_command(FRUIT.saying(pears="Pears, peeled."), "--help").stdout
    assert "Pears, peeled." in told
    assert "How many pears." not in told
    assert "How many pears." in run_command(FRUIT, "--help").stdout


def test_options_of_no_group_stand_in_a_section_of_their_own():
    lines = run_command(FRUIT, "--help").stdout.splitlines()
    assert lines.index("Fruit:") < lines.index("Options:")
    after = [line.split()[0] for line in lines[lines.index("Options:") + 1 :]]
    assert after == ["--loud", "--help"]
