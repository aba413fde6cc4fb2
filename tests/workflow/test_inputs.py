"""What a job reads is an input of its rule: given its inputs and nothing else, it makes the same files again.

One job of each rule, and one for each kind of model, is repeated in a folder that has links to its inputs alone.
"""

import csv
import io
import re
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from dualenc.study import config

REPOSITORY = Path(__file__).parents[2]
STUDY = config.load(REPOSITORY / "params.yaml", {"scale": "smoke"})
LONG = pytest.mark.long
MODEL = "model/model.safetensors"
OF_MODELS = [
    *("rerank", "rerank_checkpoint", "score_matrix", "score_updates", "teacher_scores"),
    *("train", "train_with_checkpoints"),
]
OTHERS = [
    *("candidates", "claims", "code", "corpus", "dataset", "evaluate", "evaluate_retrieval", "evaluation_sets"),
    *("experiment", "lists", "pretrain", "retrieval", "texts", "tokenizer", "tokens"),
]
SLOW = ("dataset", "pretrain")
ARTEFACTS = ("claim", "figure", "table")
NOT_BY_INPUTS = {"report"}  # Snakemake makes it, of all that it knows of the workflow
DIFFERENT = ["provenance.json"]  # names the commit, and a copy has none


class Job(NamedTuple):
    """A job as Snakemake's summary has it."""

    rule: str
    inputs: frozenset[str]
    command: str
    outputs: tuple[str, ...]


@pytest.fixture(scope="module")
def jobs(finished, snakemake):
    """All jobs of the finished copy."""
    printed = snakemake("--detailed-summary", "--config", "scale=smoke").stdout
    table = printed[printed.index("output_file\t") :]
    found = {}
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["plan"] is not None:
            inputs = frozenset(filter(None, row["input-file(s)"].split(",")))
            found.setdefault((row["rule"], inputs, row["shellcmd"]), []).append(row["output_file"])
    return [Job(*about, tuple(outputs)) for about, outputs in found.items()]


@pytest.fixture
def again(finished, dualenc, tmp_path, monkeypatch):
    """Repeat a job among its inputs; returns the outputs that are not what they were."""

    def run(job):
        for name in job.inputs:
            # A model is a folder that one job puts in place as a whole; which files it has depends on its kind.
            whole = (finished / name).parent.rglob("*") if name.endswith(MODEL) else [finished / name]
            for path in whole:
                link = tmp_path / path.relative_to(finished)
                if path.is_file() and not link.exists():
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(path)
        command = job.command.partition(" > logs/")[0]
        for name in job.outputs:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(tmp_path)
        if command.startswith("dualenc "):
            result = dualenc(*shlex.split(command)[1:])
        else:
            options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False}
            result = subprocess.run(["bash", "-c", job.command.partition(" 2> ")[0]], **options)
        assert not result.returncode, f"{command}\n{result.stdout}"
        names = [name for name in job.outputs if Path(name).name not in DIFFERENT]
        return [name for name in names if (tmp_path / name).read_bytes() != (finished / name).read_bytes()]

    return run


def test_every_rule_is_tried(jobs):
    assert {job.rule for job in jobs} == {*OF_MODELS, *OTHERS, *ARTEFACTS, *NOT_BY_INPUTS}


@pytest.mark.parametrize("rule", [pytest.param(rule, marks=LONG if rule in SLOW else ()) for rule in OTHERS])
def test_a_job_needs_nothing_but_its_inputs(rule, jobs, again):
    assert again(next(job for job in jobs if job.rule == rule)) == []


@pytest.mark.parametrize("rule", OF_MODELS)
@pytest.mark.parametrize("run", ["de", pytest.param("ca", marks=LONG), pytest.param("colbert", marks=LONG)])
def test_a_job_of_a_model_needs_nothing_but_its_inputs(rule, run, jobs, again):
    named = re.compile(rf"/{run}/|/{run}\.")
    of_run = (job for job in jobs if job.rule == rule and any(map(named.search, job.outputs)))
    job = next(of_run, None)
    if job is None:
        pytest.skip(f"no artefact of the smoke scale needs {rule} of {run}")
    assert again(job) == []


@LONG
@pytest.mark.parametrize("name", STUDY.artefacts)
def test_an_artefact_is_made_of_what_it_needs(name, jobs, again):
    kind = STUDY.artefacts[name].kind
    made = (job for job in jobs if job.rule == kind and any(Path(output).stem == name for output in job.outputs))
    assert again(next(made)) == []
