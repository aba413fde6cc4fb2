"""What runs again after a change of params.yaml or of the code: what it decides and what depends on that.

Snakemake is asked with a dry run on the finished copy; a job is known by the message that it prints.
"""

import re

import pytest


def artefacts(study, shown):
    """Messages of the artefacts that show one of these runs."""
    verbs = {"table": "Making", "figure": "Drawing"}
    return {
        f"{verbs[artefact.kind]} {name}"
        for name, artefact in study.artefacts.items()
        if not shown.isdisjoint(study.runs(name))
    }


def runs(study, need=None):
    """Names of the runs of all artefacts, or of those with this need."""
    return {run for name, one in study.artefacts.items() if need in (None, *one.needs) for run in study.runs(name)}


def retrieval(study, names):
    """Messages of the jobs of full retrieval with those of these runs that take part in it."""
    searching = {run for run in names & runs(study, "retrieval") if study.run(run).model == "dual-encoder"}
    messages = {f"Searching all passages with {run}, seed 1" for run in searching}
    return messages | {f"Evaluating the retrieval of {run}/seed-1" for run in searching}


@pytest.fixture(scope="module")
def jobs(study):
    """Messages of the jobs at the smoke scale, by kind, but for dataset, tokenizer and tokens."""
    shown = runs(study)
    bm25 = {"Evaluating the retrieval of bm25"} if runs(study, "retrieval") else set()
    return {
        "candidates": {"Retrieving BM25 candidates", "Making training lists", "Making evaluation sets"},
        "pretrain": {f"Pre-training {study.run(run).encoder}" for run in shown},
        "train": {f"Training {run}, seed 1" for run in shown}
        | {f"Training {run}, seed 1, again up to its checkpoints" for run in runs(study, "checkpoints")},
        "teacher": {
            f"Scoring the training lists with {study.run(run).teacher}" for run in shown if study.run(run).teacher
        },
        "evaluate candidates": {"Evaluating bm25", "Evaluating random", *bm25},
        "evaluate": {f"Evaluating {run}/seed-1" for run in shown}
        | {message for message in retrieval(study, shown) if message.startswith("Evaluating")},
        "retrieve": {message for message in retrieval(study, shown) if message.startswith("Searching")},
        "artefacts": artefacts(study, shown),
    }


@pytest.fixture
def pending(finished, snakemake):
    """Ask for the messages of all jobs that would run."""

    def ask():
        result = snakemake("-n", "--config", "scale=smoke")
        assert result.returncode == 0, result.stdout
        return set(re.findall(r"^Job \d+: (.*)$", result.stdout, flags=re.MULTILINE))

    return ask


@pytest.fixture
def append(finished, edit):
    """Append a comment to a file of the copy for the time of one test."""
    return lambda name: edit(name, (finished / name).read_text() + "# a comment\n")


def union(jobs, *kinds):
    """Messages of the jobs of these kinds."""
    return set().union(*(jobs[kind] for kind in kinds))


def test_nothing_after_changes_that_decide_nothing(append, pending, set_params, study):
    set_params({"threads": study.params.threads + 1})  # and all else written anew, without comments
    append("src/dualenc/errors.py")
    append("src/dualenc/progress.py")
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
    expected = {"Training de-mse, seed 1", "Evaluating de-mse/seed-1"}
    assert pending() == expected | retrieval(study, {"de-mse"}) | artefacts(study, {"de-mse"})


def test_evaluation_trains_nothing(jobs, pending, set_params):
    set_params({"evaluation.resamples": 100})
    assert pending() == union(jobs, "evaluate candidates", "evaluate", "artefacts")


def test_bm25_leaves_the_dataset_and_the_encoders(jobs, pending, set_params, study):
    set_params({"scales.smoke.bm25": study.at.bm25.model_dump() | {"b": 0.5}})
    kinds = ["candidates", "train", "teacher", "evaluate candidates", "evaluate", "retrieve", "artefacts"]
    assert pending() == union(jobs, *kinds)


def test_pretraining_leaves_the_data(jobs, pending, set_params):
    set_params({"scales.smoke.pretraining.steps": 30})
    assert pending() == union(jobs, "pretrain", "train", "teacher", "evaluate", "retrieve", "artefacts")


def test_an_artefact_with_one_more_experiment_needs_only_its_runs(pending, set_params, study):
    set_params({"artefacts.fig1.experiments": [*study.artefacts["fig1"].experiments, "de-mse"]})
    new = {"Training de-mse.small-1-16, seed 1", "Evaluating de-mse.small-1-16/seed-1"}
    assert pending() == new | {"Drawing fig1"}


def test_code_of_a_table_concerns_the_table(append, pending):
    append("src/dualenc/tables/tab1.py")
    assert pending() == {"Making tab1"}


def test_losses_concern_trainings(append, jobs, pending):
    append("src/dualenc/losses.py")
    assert pending() == union(jobs, "train", "teacher", "evaluate", "retrieve", "artefacts")


def test_the_depth_of_retrieval_trains_nothing(pending, set_params, study):
    set_params({"scales.smoke.retrieval_depth": 15})
    changed = retrieval(study, runs(study, "retrieval"))
    shown = {name for name, one in study.artefacts.items() if "retrieval" in one.needs}
    assert changed and pending() == changed | {
        message for message in artefacts(study, runs(study)) if message.split()[1] in shown
    }
