"""Which code and versions a result is said to come from."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from dualenc.runtime import provenance
from dualenc.runtime.provenance import PACKAGE, UNHASHED, code

MODELS = ["training.trainer", "miniatures.pretraining", "scorers.scoring", "scorers.models"]
RUNS_MODELS = [*MODELS, "losses", "encoders.batches", "encoders.tokens"]


def names(module):
    """Names of the modules in the code of ``module``."""
    return {".".join(path.resolve().relative_to(PACKAGE).with_suffix("").parts) for path in code(module)}


def plumbing(name):
    """Whether no edit of the module can change a result."""
    return f"{name.replace('.', '/')}.py".startswith(UNHASHED)


def test_code_is_a_module_and_all_that_it_imports():
    assert names("data.runs") == {"data.runs", "data.text"}
    measured = {"evaluation.metrics", "evaluation.statistics", "paper.measures", "data.runs", "data.text"}
    assert names("evaluation.metrics") == measured
    assert set(RUNS_MODELS) <= names("steps.train") | names("steps.pretrain")
    assert names("training.trainer") < names("steps.train") and "miniatures.pretraining" not in names("steps.train")
    assert {"figures.drawing", "figures.fig1"} <= names("figures.fig1")
    data = PACKAGE / "paper" / "reported.yaml"
    assert data in map(Path.resolve, code("tables.tab1"))
    assert data not in map(Path.resolve, code("evaluation.metrics"))


def test_a_folder_that_is_imported_is_all_its_modules():
    kinds = {f"data.kinds.{path.stem}" for path in (PACKAGE / "data" / "kinds").glob("[a-z]*.py")}
    assert len(kinds) >= 4 and kinds < names("steps.dataset") and kinds < names("steps.candidates")


def test_a_module_that_does_not_exist_has_no_code():
    for name in ("training", "steps.trian", "figures"):
        with pytest.raises(ModuleNotFoundError, match=name):
            code(name)


def test_code_is_relative_to_a_working_directory_around_it(monkeypatch, tmp_path):
    monkeypatch.chdir(PACKAGE.parents[1])
    assert PACKAGE.relative_to(PACKAGE.parents[1]) / "data" / "runs.py" in code("evaluation.metrics")
    monkeypatch.chdir(tmp_path)
    assert PACKAGE / "data" / "runs.py" in code("evaluation.metrics")


def test_code_leaves_out_what_cannot_change_a_result():
    modules = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")]
    for module in modules:
        assert not any(map(plumbing, names(module)))
    assert all((PACKAGE / place).exists() for place in UNHASHED)


@pytest.mark.parametrize("first", ["steps.evaluate", "steps.candidates", "steps.lists", "tables.tab1", "figures.fig1"])
def test_nothing_that_a_module_loads_is_missing(first):
    """Against the modules that Python itself has loaded after importing it."""
    loaded = f"import sys, dualenc.{first}; print(*[name for name in sys.modules if name.startswith('dualenc.')])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, encoding="utf-8", check=True)
    modules = {name.removeprefix("dualenc.") for name in done.stdout.split()}
    assert first in modules
    assert not any(name in modules for name in MODELS)
    by_config = {"losses", "paper.naming", "paper.measures"} | names("data.datasets")  # what params.yaml may hold
    folders = {name for name in modules if PACKAGE.joinpath(*name.split(".")).is_dir()}
    assert {name for name in modules - folders - by_config if not plumbing(name)} <= names(first)


def test_environment():
    found = provenance.environment(["numpy", "torch"])
    assert found["numpy"] == metadata.version("numpy") and found["torch"] == metadata.version("torch")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(found) == {"commit", "python", "machine", "processor", "mkl_cbwr", "numpy", "torch"} and found["commit"]
    assert found["mkl_cbwr"] == os.environ["MKL_CBWR"]
    assert not any("/" in value for value in found.values())  # no place of this machine
