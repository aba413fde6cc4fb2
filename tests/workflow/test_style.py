"""The form of the code and of the workflow, and that every artefact can be asked for by its name."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# Software comes from one lock for all rules, not from an environment for each.
ALLOWED_LINT = "Specify a conda environment or container for each rule."


@pytest.mark.parametrize(
    "command",
    [
        "ruff check --no-cache src tests benchmarks",
        "ruff format --no-cache --check src tests benchmarks",
        "snakefmt --check Snakefile workflow",
    ],
)
def test_form(call_in, command):
    result = call_in(REPOSITORY, *command.split())
    assert result.returncode == 0, result.stdout


def test_snakemake_has_nothing_to_say_but_one_thing(snakemake):
    result = snakemake("--lint", "--config", "scale=smoke")
    lints = re.findall(r"^    \* (.*):$", result.stdout, flags=re.MULTILINE)
    assert set(lints) == {ALLOWED_LINT}, result.stdout


def test_every_artefact_is_a_target(snakemake, study):
    result = snakemake("-n", "--config", "scale=smoke", "--", *study.artefacts)
    assert result.returncode == 0, result.stdout


def test_every_artefact_has_a_module(study):
    for name, artefact in study.artefacts.items():
        assert find_spec(f"dualenc.{artefact.kind}s.{name}"), name


def test_every_rule_says_what_it_does_and_leaves_a_log_and_its_time():
    rules = {}
    for file in [REPOSITORY / "Snakefile", *REPOSITORY.glob("workflow/rules/*.smk")]:
        rules |= dict(
            re.findall(r"^rule (\w+):\n((?: .*\n|\n)*)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        )
    assert {"dataset", "train", "table", "all"} <= rules.keys()
    for name, body in rules.items():
        if "shell:" in body and name not in ("code", "experiment"):  # which are the work of a moment
            for part in ("message", "log", "benchmark"):
                assert f"    {part}:\n" in body, f"rule {name} has no {part}"
