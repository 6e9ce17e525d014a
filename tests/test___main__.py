"""A Ctrl-C before the command line is imported is one line, too."""

import subprocess
import sys

import pytest

# Stands in the way of an import, and is interrupted there.
INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *others):
        if name == "kprobe.cli.error_boundary":
            os.kill(os.getpid(), signal.SIGINT)

if sys.argv[1] == "ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["kprobe", "--version"]
from kprobe.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("how", "code", "stderr"), [("handled", 75, "kprobe: stopped\n"), ("ignored", 0, "")]
)
def test_a_ctrl_c_during_the_imports_is_one_line(how, code, stderr):
    found = subprocess.run([sys.executable, "-c", INTERRUPTED, how], text=True, capture_output=True)
    assert (found.returncode, found.stderr) == (code, stderr)
