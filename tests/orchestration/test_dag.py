"""The jobs that plans and stages are made of are Snakemake's own."""

import shutil
from pathlib import Path

import pytest

from dualenc.orchestration import dag
from dualenc.runtime.errors import UserError
from dualenc.study import config

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study():
    return config.load(REPOSITORY / "params.yaml", {"scale": "smoke"})


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """What the DAG is read from, in a folder of its own."""
    for name in ("Snakefile", "params.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    for name in ("benchmarks", "profiles", "src"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    shutil.copytree(REPOSITORY / "workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def jobs(study, copy):
    return dag.read(study)


def test_a_job_comes_after_those_that_make_its_inputs(jobs, copy):
    place = {job: number for number, job in enumerate(dag.in_order(jobs))}
    assert len(place) == len(jobs) > 100
    for job in jobs:
        assert all(place[maker] < place[job] for maker in job.makers.values())
        assert set(job.makers) <= {file.path for file in job.inputs}
        made_here = [file.path for file in job.inputs if file.path.startswith("results/")]
        assert set(made_here) <= set(job.makers), job.rule
    assert not (copy / "results").exists()


def test_a_rule_has_patterns_where_no_function_named_the_file(jobs):
    (job,) = (one for one in jobs if one.rule.startswith("train") and one.wildcards == {"run": "ca", "seed": "1"})
    assert job.outputs[0] == (
        "results/smoke/runs/ca/seed-1/model/config.json", "results/smoke/runs/{run}/seed-{seed}/model/config.json", None
    )  # fmt: skip
    by_functions = {file.name for file in job.inputs if file.pattern is None}
    assert by_functions == {"encoder", "lists", "experiment"}
    assert job.makers["results/smoke/code/train"].wildcards == {"step": "train"}


def test_candidates_are_named_by_a_function_even_where_a_pattern_names_them_too(jobs):
    (job,) = (one for one in jobs if one.rule == "evaluate" and one.wildcards == {"run": "bm25"})
    runs = [file for file in job.inputs if file.name == "runs"]
    assert [file.path for file in runs] == [f"results/smoke/evaluation/{name}.run.gz" for name in ("train", "test")]
    assert {file.pattern for file in runs} == {None}


def test_what_an_artefact_needs_ends_where_nothing_is_made(jobs):
    (job,) = (one for one in jobs if one.rule == "figure" and one.wildcards["artefact"] == "fig4")
    needed = list(job.with_what_it_needs())
    assert len(needed) == len(set(needed))
    assert {"figure", "train_with_checkpoints", "tokens", "dataset", "code"} <= {one.rule for one in needed}
    assert not {"retrieval", "claim"} & {one.rule for one in needed}


def test_what_keeps_snakemake_from_planning_is_one_sentence(study, copy):
    (copy / "workflow" / "report" / "style.css").unlink()
    with pytest.raises(UserError, match=r"Missing input files for rule report: .*style\.css") as caught:
        dag.read(study)
    assert "\n" not in str(caught.value)
    (copy / "params.yaml").write_text("scale: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"^params\.yaml is not YAML"):
        dag.read(study)
    (copy / "Snakefile").unlink()
    with pytest.raises(UserError, match=r"^Snakefile does not exist: run this in its folder"):
        dag.read(study)
