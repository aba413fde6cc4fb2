"""What runs again after a change of params.yaml or of the code: what it decides and what depends on that.

Snakemake is asked with a dry run on the finished copy; a job is known by the message that it prints.
"""

import os
import re

import pytest

from dualenc.orchestration.workflow import files


def artefacts(study, shown):
    """Messages of the artefacts that show one of these runs, and of what is made of all artefacts."""
    verbs = {"table": "Making", "figure": "Drawing", "claim": "Judging"}
    found = [name for name in study.artefacts if not shown.isdisjoint(study.runs(name))]
    return {f"{verbs[study.artefacts[name].kind]} {name}" for name in found} | pages(study, found)


def pages(study, changed):
    """Messages of the pages that are made of these artefacts."""
    claims = any(study.artefacts[name].kind == "claim" for name in changed)
    return {"Making the report"} | ({"Collecting the verdicts on claims"} if claims else set())


ROOMS = {  # of results/<scale>: which jobs fill it
    "retrieval": ["Searching all passages with {}, seed 1", "Evaluating the retrieval of {}/seed-1"],
    "checkpoints": ["Re-ranking with {}, seed 1, step-0", "Re-ranking with {}, seed 1, step-{early}"],
    "score-matrices": ["Scoring blocks of queries and passages with {}, seed 1"],
    "score-updates": ["Stepping on single pairs with {}, seed 1"],
}


def looks(study, runs):
    """Messages of the jobs that look at the models of these runs, where an artefact needs them."""
    needed = {file.parts[:2] for name in study.artefacts for file in files(study, name)}
    return {
        message.format(run, early=study.at.early)
        for room, run in needed
        if room in ROOMS and run in runs
        for message in ROOMS[room]
    }


@pytest.fixture(scope="module")
def jobs(study):
    """Messages of the jobs at the smoke scale, by kind, but for dataset, tokenizer and tokens."""
    runs = {run for artefact in study.artefacts for run in study.runs(artefact)}
    teachers = {study.run(run).teacher for run in runs} - {None}
    looked = looks(study, runs)
    evaluating = {message for message in looked if message.startswith("Evaluating")}
    return {
        "candidates": {"Retrieving BM25 candidates", "Making training lists", "Making evaluation sets"},
        "corpus": {"Making lists to pre-train on from pydocs-stdlib"},
        "pretrain": {f"Pre-training {study.run(run).encoder}" for run in runs},
        "train": {f"{doing} {run}, seed 1" for run in runs for doing in ("Training", "Re-ranking with")},
        "teacher": {f"Scoring the training lists with {teacher}" for teacher in teachers},
        "evaluate candidates": {"Evaluating bm25", "Evaluating random", "Evaluating the retrieval of bm25"},
        "evaluate": {f"Evaluating {run}/seed-1" for run in runs} | evaluating,
        "look": looked - evaluating,
        "artefacts": artefacts(study, runs),
    }


@pytest.fixture
def pending(finished, snakemake):
    """Ask for the messages of all jobs that would run."""

    def ask():
        result = snakemake("-n", "--config", "scale=smoke")
        assert result.returncode == 0, result.stdout
        messages = set(re.findall(r"^Job \d+: (.*)$", result.stdout, flags=re.MULTILINE))
        return {
            message for message in messages if not message.startswith(("Hashing the code", "Writing the experiment"))
        }

    return ask


@pytest.fixture
def append(finished, edit):
    """Append a comment to a file of the copy for the time of one test."""
    return lambda name: edit(name, (finished / name).read_text(encoding="utf-8") + "# a comment\n")


def union(jobs, *kinds):
    """Messages of the jobs of these kinds."""
    return set().union(*(jobs[kind] for kind in kinds))


def test_nothing_after_changes_that_decide_nothing(append, pending, set_params, study):
    set_params({"threads": study.params.threads + 1})  # and all else written anew, without comments
    append("src/dualenc/runtime/errors.py")
    append("src/dualenc/runtime/progress.py")
    assert pending() == set()


@pytest.mark.parametrize(
    "values",
    [
        {"experiments.de-mse.learning_rate": 5e-4},
        {"scales.smoke.experiments.de-mse": {"learning_rate": 5e-4}},
    ],
    ids=["experiment", "experiment-at-scale"],
)
def test_one_learning_rate_concerns_one_experiment(values, pending, set_params, study):
    set_params(values)
    expected = {"Training de-mse, seed 1", "Re-ranking with de-mse, seed 1", "Evaluating de-mse/seed-1"}
    assert pending() == expected | looks(study, {"de-mse"}) | artefacts(study, {"de-mse"})


def test_evaluation_trains_nothing(jobs, pending, set_params):
    set_params({"evaluation.resamples": 100})
    without_runs = {"Drawing figS3", "Judging P3"}
    assert pending() == union(jobs, "evaluate candidates", "evaluate", "artefacts") | without_runs


def test_bm25_leaves_the_dataset(jobs, pending, set_params, study):
    set_params({"scales.smoke.bm25": study.at.bm25.model_dump() | {"b": 0.5}})
    trained = union(jobs, "train", "teacher", "look", "evaluate", "artefacts")
    assert pending() == union(jobs, "candidates", "evaluate candidates", "corpus", "pretrain") | trained


def test_pretraining_leaves_the_data(jobs, pending, set_params):
    set_params({"scales.smoke.pretraining.steps": 30})
    assert pending() == union(jobs, "pretrain", "train", "teacher", "look", "evaluate", "artefacts")


def test_an_artefact_with_another_experiment_needs_only_its_runs(pending, set_params, study):
    shown = study.artefacts["fig1"].experiments
    other = ["de-mse" if name == "de-m3se" else name for name in shown]
    set_params({"scales.smoke.artefacts.fig1": {"experiments": other}})
    new = {
        "Training de-mse.small-1-16, seed 1",
        "Re-ranking with de-mse.small-1-16, seed 1",
        "Evaluating de-mse.small-1-16/seed-1",
    }
    assert pending() == new | {"Drawing fig1", "Making the report"}


def test_code_of_a_table_concerns_the_table(append, pending):
    append("src/dualenc/tables/tab1.py")
    assert pending() == {"Making tab1", "Making the report"}


def test_code_of_a_claim_concerns_the_claim(append, pending):
    append("src/dualenc/claims/C5.py")
    assert pending() == {"Judging C5", "Collecting the verdicts on claims", "Making the report"}


def test_code_counts_even_if_it_is_older_than_the_results(append, finished, pending):
    append("src/dualenc/tables/tab1.py")
    os.utime(finished / "src/dualenc/tables/tab1.py", (0, 0))  # as `rsync -a` leaves it
    assert pending() == {"Making tab1", "Making the report"}


def test_the_look_of_the_report_concerns_the_report(append, pending):
    append("workflow/report/artefact.rst")
    assert pending() == {"Making the report"}


def test_losses_concern_trainings(append, jobs, pending):
    append("src/dualenc/losses.py")
    trained = union(jobs, "train", "teacher", "look", "evaluate", "artefacts")
    assert pending() == trained | {"Judging P3", "Drawing figS3"}  # which look at no run, but at the losses
