"""Shell completion: of commands, options, files and layer names."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

SIAMESE = "sample_models/siamese.keras"


@pytest.fixture
def complete(kprobe_process):
    """Ask for completions as bash does: the words so far, the last of them unfinished."""

    def run(*words: str) -> list[str]:
        done = kprobe_process(
            env={
                "_KPROBE_COMPLETE": "bash_complete",
                "COMP_WORDS": " ".join(["kprobe", *words]),
                "COMP_CWORD": str(len(words)),
            }
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    return run


def plain(*words):
    return [f"plain,{word}" for word in words]


def test_a_command_is_completed(complete):
    assert complete("du") == plain("dump")


def test_an_option_is_completed(complete):
    assert complete("dump", SIAMESE, "--dr") == plain("--dry-run")


@pytest.mark.parametrize("option", [[], ["m.h5", "--input"], ["m.h5", "-o"]])
def test_files_are_left_to_the_shell(complete, option):
    assert complete("dump", *option, "sam") == ["file,sam"]


def test_layers_are_completed_from_the_file(complete):
    assert complete("dump", SIAMESE, "--layers", "encoder@1/c") == plain(
        "encoder@1/conv1", "encoder@1/conv2"
    )
    assert complete("dump", SIAMESE, "-l", "same", "-q", "-l", "sa") == plain("same")


def test_the_last_layer_of_a_list_is_completed(complete):
    assert complete("dump", SIAMESE, "--layers", "same,di") == plain("same,difference")


@pytest.mark.parametrize("before", [[], ["nothing.keras"], ["sample_models/digits.npz"]])
def test_without_a_model_no_layer_is_completed(complete, before):
    assert complete("dump", *before, "--layers", "enc") == []


@pytest.mark.parametrize(
    ("shell", "position", "answer"),
    [
        ("zsh", "4", ["plain", "same,difference", "_"]),
        ("fish", "same,di", ["plain,same,difference"]),
    ],
)
def test_other_shells_are_answered_in_their_way(kprobe_process, shell, position, answer):
    words = ["kprobe", "dump", SIAMESE, "--layers", *(["same,di"] if shell == "zsh" else [])]
    done = kprobe_process(
        env={
            "_KPROBE_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": position,
        }
    )
    assert done.stdout.split("\n")[: len(answer)] == answer


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(kprobe_process, shell):
    done = kprobe_process(env={"_KPROBE_COMPLETE": f"{shell}_source"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_KPROBE_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="bash isn't installed")
def test_bash_itself_completes_a_layer(folder):
    (folder / "kprobe").write_text(f'#!/bin/sh\nexec {sys.executable} -m kprobe "$@"\n')
    (folder / "kprobe").chmod(0o755)
    script = f"""
        PATH=$PWD:$PATH
        eval "$(_KPROBE_COMPLETE=bash_source kprobe)"
        COMP_WORDS=(kprobe dump {SIAMESE} --layers encoder@0/emb)
        COMP_CWORD=4
        _kprobe_completion kprobe
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("encoder@0/embedding\n", "")
