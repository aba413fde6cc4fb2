"""What a command imports before its step begins: seconds of every job that is not forked."""

import json
import subprocess
import sys

import pytest

from dualenc.orchestration import slices
from dualenc.study import config, shown

STUDY = config.load("params.yaml", {"scale": "smoke"})
HEAVY = ("torch", "transformers", "sentence_transformers", "matplotlib")
PROGRAM = """
import sys
from dualenc import cli
sys.argv = sys.argv[1:]
try:
    cli.main()
except BaseException as error:
    print(type(error).__name__, *sys.modules)
"""
EMPTY = {
    "candidates": ["dataset"],
    "lists": ["dataset", "candidates"],
    "evaluation-sets": ["dataset", "candidates"],
    "evaluate": ["evaluation", "runs"],
    "table": ["root"],
    "figure": ["root"],
    "claim": ["root"],
}
WRITTEN = {"figure": ["data", "pdf", "png"]}
WORDS = {"evaluate": ["--splits", "test"], "table": ["tab1"], "figure": ["fig1"], "claim": ["C1"]}


def slice_of(command):
    if command in ("table", "figure", "claim"):
        return shown.artefact(STUDY, WORDS[command][0])
    if command == "evaluate":
        return shown.evaluation(STUDY)
    return getattr(slices, command.replace("-", "_"))(STUDY)


def test_help_names_the_steps_and_imports_none():
    done = subprocess.run([sys.executable, "-c", PROGRAM, "dualenc", "--help"], capture_output=True, encoding="utf-8")
    modules = done.stdout.splitlines()[-1].split()
    assert "score-matrix" in done.stdout and "Score blocks of queries and passages" in done.stdout
    assert {name for name in modules if name.startswith("dualenc.steps.")} == {"dualenc.steps.arguments"}
    assert not {*HEAVY, "pydantic"} & set(modules)


@pytest.mark.parametrize("command", EMPTY)
def test_steps_without_models_import_no_model_library(command, tmp_path):
    """Their folders are empty, so they end at the first look into them, with all imports behind them."""
    folders = []
    for name in EMPTY[command]:
        (tmp_path / name).mkdir()
        folders += [f"--{name}", str(tmp_path / name)]
    folders += [
        word for name in WRITTEN.get(command, ["output"]) for word in (f"--{name}", str(tmp_path / "new" / name))
    ]
    arguments = [command, *WORDS.get(command, []), "--params", json.dumps(slice_of(command)), *folders]
    done = subprocess.run([sys.executable, "-c", PROGRAM, "dualenc", *arguments], capture_output=True, encoding="utf-8")
    error, *modules = done.stdout.split()
    assert error in ("SystemExit", "FileNotFoundError"), done.stderr
    assert "Usage" not in done.stderr
    assert set(modules) & set(HEAVY) <= ({"matplotlib"} if command == "figure" else set())
