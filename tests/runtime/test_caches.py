"""A home directory that cannot be written is no reason to fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dualenc.runtime import caches
from dualenc.runtime.errors import UserError

NOWHERE = "/proc/nothing"  # where root cannot make a folder either
USES = """
from dualenc import cli
cli.options(threads=1)
import ir_datasets, matplotlib.pyplot
from datasets import Dataset
Dataset.from_dict({"position": range(3)})
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working directory and a home beside it, with none of the variables set."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in (*caches.VARIABLES, "HF_HOME"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def variables():
    return {name: os.environ[name] for name in (*caches.VARIABLES, "HF_HOME") if name in os.environ}


def test_a_home_that_can_be_written_is_used():
    caches.settle()
    assert variables() == {} and not list(Path.cwd().iterdir())


def test_without_one_caches_are_in_scratch_but_for_those_that_are_set(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", NOWHERE)
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "mine"))
    caches.settle()
    home = Path.cwd() / "scratch" / "home"
    expected = {"XDG_CACHE_HOME": home / ".cache", "MPLCONFIGDIR": home / ".config/matplotlib"}
    expected["IR_DATASETS_HOME"] = tmp_path / "mine"
    assert variables() == {name: str(folder) for name, folder in expected.items()}


@pytest.mark.parametrize("name", [*caches.VARIABLES, "HF_HOME"])
def test_a_variable_that_is_wrong(monkeypatch, name):
    monkeypatch.setenv(name, NOWHERE)
    with pytest.raises(UserError, match=f"^{name} is {NOWHERE}, which cannot be made .*: set it to a folder .*[.]$"):
        caches.settle()


def test_the_libraries_do_not_miss_a_home():
    environment = os.environ | {"HOME": NOWHERE}
    done = subprocess.run(
        [sys.executable, "-c", USES], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
