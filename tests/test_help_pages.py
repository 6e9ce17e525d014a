"""The manual: `kprobe help` shows it, all its commands work, and it tells what there is."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from pasting import (
    check_claims,
    check_printed,
    make_environment,
    paste_all,
    read_blocks,
    write_command,
)

import kprobe
from kprobe.cli.main import cli

ROOT = Path(__file__).parent.parent
PATHS = {path.stem: path for path in sorted((ROOT / "kprobe" / "help").glob("*.md"))}
PAGES = {name: path.read_text() for name, path in PATHS.items()}
README = (ROOT / "README.md").read_text()
BLOCKS = {name: read_blocks(path) for name, path in PATHS.items()}


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Paste the blocks of a page in their order; give the folder, and what each showed.

    Each page has a folder of its own, where sample_models lies as in the repository.
    """
    command = f"{shlex.quote(sys.executable)} -m kprobe"
    folder = write_command(tmp_path_factory.mktemp("bin"), "kprobe", command)
    env = make_environment(folder, PYTHONPATH=str(ROOT))
    done = {}

    def run(name):
        if name not in done:
            place = tmp_path_factory.mktemp(name) / "kprobe"
            place.mkdir()
            (place / "sample_models").symlink_to(ROOT / "sample_models")
            done[name] = place, paste_all(BLOCKS[name], place, env, Path(sys.executable))
        return done[name]

    return run


def run_here(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(cli, arguments)


# What the pages show.


@pytest.mark.pages
@pytest.mark.parametrize("name", [name for name in PAGES if any(b.is_run for b in BLOCKS[name])])
def test_a_page_can_be_pasted(name, walk):
    _, shown = walk(name)
    for block, told in shown.items():
        if block.language == "sh":
            check_printed(block, told)
        else:
            check_claims(block, told)


def test_few_blocks_are_only_shown():
    blocks = [block for found in BLOCKS.values() for block in found]
    shown = [block for block in blocks if not block.is_run]
    assert all(block.language in ("sh", "python") for block in blocks if block.is_run)
    assert 3 * len(shown) <= len(blocks)
    # Of what could run, only what needs files that no one has here.
    assert [b.place.partition(":")[0] for b in shown if b.language in ("sh", "python")] == [
        "code.md",
        "models.md",
    ]


@pytest.mark.parametrize("name", PAGES)
def test_no_block_escapes_the_tests(name):
    text = re.sub(r"^```.*?^```$", "", PAGES[name], flags=re.DOTALL | re.MULTILINE)
    assert "```" not in text
    assert not re.search(r"^(?: {4}|\t)", text, re.MULTILINE)  # which would be a block, too


@pytest.mark.pages
def test_a_dump_is_made_again_from_what_it_says(walk):
    place, _ = walk("command-line")
    (config,) = [block for block in BLOCKS["command-line"] if block.language == "toml"]
    assert (place / "job.toml").read_text() == config.text
    assert tomllib.loads(config.text)["batch-size"] == 32
    with kprobe.open_dump(place / "few.h5") as few, kprobe.open_dump(place / "acts.h5") as dump:
        # Fewer samples in a batch move the last bits.
        np.testing.assert_allclose(few["conv5_3"], dump["conv5_3"][:8], rtol=0, atol=1e-5)


@pytest.mark.pages
def test_the_blocks_about_gradients_work(walk):
    place, _ = walk("gradients")
    with kprobe.open_dump(place / "gradients.h5") as dump:
        assert dump["features:gradient"].shape == dump["features"].shape == (20, 64)
    with kprobe.open_dump(place / "maps.h5") as dump:
        assert dump["cam"].shape == (20, 4, 4)
    assert len([*(place / "maps").iterdir()]) == 20


@pytest.mark.pages
def test_what_a_layer_computes_follows_what_is_fed_inside_it(walk):
    place, _ = walk("feeding")
    with kprobe.open_dump(place / "roi.h5") as dump, kprobe.open_dump(place / "moved.h5") as moved:
        boxes, scores = dump["ROI[0]"][:], dump["ROI[1]"][:]
        found = (scores > 0)[..., np.newaxis]
        assert found.any()
        np.testing.assert_allclose(moved["ROI[0]"][:], np.where(found, boxes + 4, 0), atol=1e-4)
        np.testing.assert_array_equal(moved["ROI[1]"][:], scores)


@pytest.mark.pages
def test_h5py_reads_rows_of_different_shapes(walk):
    place, _ = walk("dumps")
    (block,) = [block for block in BLOCKS["dumps"] if "import h5py" in block.text]
    rows = set()
    reading = "import h5py\n" + block.text[block.text.index("with ") :]
    with kprobe.open_dump(place / "kept.h5") as dump, contextlib.chdir(place):
        for row in range(dump.rows):
            names = {}
            text = reading.replace("5:7", f"{row}:{row + 2}").replace("[5]", f"[{row}]")
            exec(compile(text, block.place, "exec"), names)
            np.testing.assert_array_equal(names["row"], dump["kept"][row])
            rows.add(names["row"].shape)
    assert len(rows) > 1


@pytest.mark.pages
def test_gates_and_cell_states_are_there_at_every_step(walk):
    place, _ = walk("addresses")
    with kprobe.open_dump(place / "gates.h5") as dump:
        values = {name: dump[name][:] for name in dump.columns}
    assert list(values) == ["input", "forget", "output", "cell", "lstm"]
    assert all(values[name].shape == (4, 7, 5) for name in list(values)[:4])
    last = values["output"][:, -1] * np.tanh(values["cell"][:, -1])
    np.testing.assert_allclose(values["lstm"], last, rtol=1e-5, atol=1e-6)


@pytest.mark.pages
def test_code_with_the_weights_of_a_model_is_that_model(walk):
    made, loaded = walk("code")[0] / "code.h5", walk("dumps")[0] / "acts.h5"
    with kprobe.open_dump(loaded) as file, kprobe.open_dump(made) as code:
        np.testing.assert_allclose(code["conv5_3"][:], file["conv5_3"][:], rtol=1e-5, atol=1e-5)


@pytest.mark.pages
def test_the_folders_of_images_are_their_labels(walk):
    place, _ = walk("images")
    numbers = np.load(ROOT / "sample_models" / "digits_labels.npy")
    with kprobe.open_dump(place / "labelled.h5") as dump:
        names = [int(Path(name).stem) for name in dump.sample]
        assert sorted(names) == list(range(12))
        assert dump.label.tolist() == [str(numbers[number]) for number in names]


@pytest.mark.pages
def test_the_exact_example_disturbs_nothing(walk):
    place, _ = walk("computing")
    with kprobe.open_dump(place / "exact.h5") as dump:
        assert dump.attrs["audit_ulps"] == 0


@pytest.mark.pages
def test_resuming_where_there_is_nothing_begins(walk):
    place, shown = walk("resuming")
    (printed,) = shown.values()
    assert "kprobe: features.h5: 360 samples" in printed
    with h5py.File(place / "features.h5") as file:
        assert file["complete"][()] == 1


def list_errors(error):
    return [error, *(each for child in error.__subclasses__() for each in list_errors(child))]


def test_all_exit_codes_are_told():
    told = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["exit-codes"], re.MULTILINE)]
    # Beside those of errors: done, done with samples left out, a bug, and a closed pipe.
    codes = {error.exit_code for error in list_errors(kprobe.KprobeError)} | {0, 3, 70, 141}
    assert told == sorted(codes)


# What the pages tell.


def list_flags():
    ctx = click.Context(cli)
    return {
        flag
        for command in [cli, *(cli.get_command(ctx, name) for name in cli.list_commands(ctx))]
        for param in command.params
        if isinstance(param, click.Option)
        for flag in (*param.opts, *param.secondary_opts)
        if flag.startswith("--")
    } | {"--help"}


def test_every_flag_that_is_told_of_is_there():
    others = {"--logdir", "--dist"}  # TensorBoard's and pytest's
    for name, page in {**PAGES, "README": README}.items():
        told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page))
        assert not told - others - list_flags(), name


def test_every_page_that_is_told_of_is_there():
    for name, page in {**PAGES, "README": README}.items():
        told = set(re.findall(r"kprobe help ([a-z-]+)", page))
        assert told <= PAGES.keys(), name


def test_the_readme_lists_all_pages():
    listed = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", README, re.MULTILINE)
    assert listed == [
        (name, page.partition("\n")[0].partition(": ")[2]) for name, page in PAGES.items()
    ]


def read_address_table(page):
    return page[page.index("| address |") :].partition("\n\n")[0]


def test_the_addresses_are_those_of_the_readme():
    assert read_address_table(README) == read_address_table(PAGES["addresses"])


def split_sentences(page):
    """Give the sentences of a page's paragraphs, without its blocks and tables."""
    text = re.sub(r"^```.*?^```$|^[|#].*?$", "", page, flags=re.DOTALL | re.MULTILINE)
    for paragraph in text.split("\n\n"):
        for sentence in re.split(r"(?<=[.:]) ", " ".join(paragraph.split())):
            if len(sentence.split()) > 5:
                yield sentence


def test_no_page_repeats_another():
    told = {name: set(split_sentences(page)) for name, page in {**PAGES, "README": README}.items()}
    for (one, sentences), (other, others) in itertools.combinations(told.items(), 2):
        both = sentences & others
        assert not both, (one, other)
    assert sum(map(len, told.values())) > 200


# How they are read.


def test_help_lists_the_subjects():
    lines = run_here("help").output.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(PAGES)]] == list(PAGES)
    assert all(
        line.endswith(page.partition("\n")[0].partition(": ")[2])
        for line, page in zip(lines[1:], PAGES.values(), strict=False)
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_with_what_it_tells(name):
    assert re.match(r"# [A-Z][\w ]+: .+\n\n", PAGES[name])


@pytest.mark.parametrize("name", PAGES)
def test_a_pipe_has_the_page_as_it_is(name):
    assert run_here("help", name).output == PAGES[name]


def test_a_misspelt_subject_is_answered_with_the_nearest():
    told = {
        "adresses": "there is no page 'adresses'; nearest: addresses",
        "sample": "there is no page 'sample'; nearest: samples",
        "dump": "there is no page 'dump'; `kprobe dump --help` describes the command",
        "zzz": f"there is no page 'zzz'; there are {', '.join(PAGES)}",
    }
    for subject, line in told.items():
        done = run_here("help", subject)
        assert (done.exit_code, done.stderr) == (2, f"kprobe: {line}\n")


def test_a_terminal_gets_a_pager(tmp_path):
    seen = tmp_path / "paged.md"
    leader, follower = pty.openpty()
    env = make_environment(PYTHONPATH=str(ROOT), PAGER=f"tee {seen}", TERM="xterm")
    command = [sys.executable, "-m", "kprobe", "help", "exit-codes"]
    done = subprocess.run(
        command, stdin=follower, stdout=follower, stderr=subprocess.PIPE, env=env, check=True
    )
    os.close(follower)
    os.close(leader)
    assert done.stderr == b""
    assert seen.read_text() == PAGES["exit-codes"]


def test_the_disk_being_full_is_no_bug():
    command = [sys.executable, "-m", "kprobe", "help", "samples"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            env=make_environment(PYTHONPATH=str(ROOT)),
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == b"kprobe: stdout can't be written: No space left on device\n"


@pytest.mark.parametrize("arguments", [("help",), ("help", "samples"), ("help", "adresses")])
def test_reading_them_imports_neither_tensorflow_nor_numpy(arguments):
    command = [sys.executable, "-X", "importtime", "-m", "kprobe", *arguments]
    env = make_environment(PYTHONPATH=str(ROOT))
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "kprobe.cli.rendering.printing" in imported
    assert not imported & {"tensorflow", "keras", "tf_keras", "numpy", "h5py"}


def test_the_shell_completes_subjects():
    words = {"_KPROBE_COMPLETE": "bash_complete", "COMP_WORDS": "kprobe help sa", "COMP_CWORD": "2"}
    env = make_environment(PYTHONPATH=str(ROOT), **words)
    command = [sys.executable, "-m", "kprobe"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = [line.partition(",")[2] for line in done.stdout.splitlines()]
    assert found == [name for name in PAGES if name.startswith("sa")]
