"""Which code and versions a result is said to come from."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from dualenc import provenance
from dualenc.provenance import PACKAGE, PLUMBING, code

RUNS_MODELS = ["training", "pretraining", "scoring", "models", "losses", "batches", "tokens"]


def names(module):
    """Names of the modules in the code of ``module``."""
    parts = [path.resolve().relative_to(PACKAGE).with_suffix("").parts for path in code(module)]
    return {".".join(part for part in path if part != "__init__") for path in parts}


def test_code_is_a_module_and_all_that_it_imports():
    assert names("runs") == {"runs", "text"}
    assert names("evaluation") == {"evaluation", "measures", "runs", "statistics", "text"}
    assert set(RUNS_MODELS) <= names("steps.train") | names("steps.pretrain")
    assert names("training") < names("steps.train") and "pretraining" not in names("steps.train")
    assert {"figures", "figures.fig1"} <= names("figures.fig1")
    data = PACKAGE / "paper.yaml"
    assert data in map(Path.resolve, code("tables.tab1")) and data not in map(Path.resolve, code("evaluation"))


def test_code_is_relative_to_a_working_directory_around_it(monkeypatch, tmp_path):
    monkeypatch.chdir(PACKAGE.parents[1])
    assert PACKAGE.relative_to(PACKAGE.parents[1]) / "runs.py" in code("evaluation")
    monkeypatch.chdir(tmp_path)
    assert PACKAGE / "runs.py" in code("evaluation")


def test_code_leaves_out_what_cannot_change_a_result():
    modules = [path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")]
    for module in modules:
        assert not names(".".join(module.parts)) & PLUMBING
    assert {f"{name}.py" for name in PLUMBING} <= {path.name for path in PACKAGE.glob("*.py")}


@pytest.mark.parametrize("first", ["steps.evaluate", "steps.candidates", "steps.lists", "tables.tab1", "figures.fig1"])
def test_nothing_that_a_module_loads_is_missing(first):
    """Against the modules that Python itself has loaded after importing it."""
    loaded = f"import sys, dualenc.{first}; print(*[name for name in sys.modules if name.startswith('dualenc.')])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, encoding="utf-8", check=True)
    modules = {name.removeprefix("dualenc.") for name in done.stdout.split()}
    assert first in modules
    by_config = {"losses"}  # for the names of their parameters
    assert modules - PLUMBING - by_config - {"steps"} <= names(first)
    assert not any(name in modules for name in RUNS_MODELS[:4])


def test_environment():
    found = provenance.environment(["numpy", "torch"])
    assert found["numpy"] == metadata.version("numpy") and found["torch"] == metadata.version("torch")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(found) == {"commit", "python", "machine", "processor", "mkl_cbwr", "numpy", "torch"} and found["commit"]
    assert found["mkl_cbwr"] == os.environ["MKL_CBWR"]
    assert not any("/" in value for value in found.values())  # no place of this machine
