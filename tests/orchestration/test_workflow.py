"""What the Snakefile is told: the files that an artefact needs, and the slices of jobs."""

import re
from pathlib import PurePosixPath

import pytest

from dualenc.orchestration import slices, workflow
from dualenc.study import config, shown
from dualenc.study.schema import Artefact
from params import PARAMS


def study(**artefact):
    """A study with one artefact, which need not be one that fig1 can show, and two seeds."""
    wanted = {"kind": "figure", "experiments": ["ca", "de", "de-m3se", "colbert"], "seeds": "all"} | artefact
    smoke = PARAMS["scales"]["smoke"] | {"seeds": [1, 2], "early": 7, "artefacts": {}}
    found = config.study(PARAMS | {"scales": {"smoke": smoke}})
    found.artefacts = {"fig1": Artefact(**wanted)}
    return found


def files(*needs, **changes):
    return [str(path) for path in workflow.files(study(needs=list(needs), **changes), "fig1")]


def test_metrics_are_those_of_the_runs_with_their_seeds_and_of_untrained_orders():
    found = files("metrics")
    folders = [
        "random",
        "bm25",
        *(f"{run}/seed-{seed}" for run in ("ca", "de", "de-m3se", "colbert") for seed in (1, 2)),
    ]
    assert found == [f"runs/{folder}/{name}" for folder in folders for name in ("metrics.json", "per_query.parquet")]
    assert files("metrics", seeds="first") == [name for name in found if "seed-2" not in name]
    assert found == files() + files("metrics") and files() == []


@pytest.mark.parametrize(
    ("need", "some", "count"),
    [
        ("runs", "runs/de/seed-2/train.run.gz", 4 + 8 * 2),
        ("curves", "runs/colbert/seed-1/curve.csv", 8),
        ("retrieval", "retrieval/de-m3se/seed-1/metrics.json", 2 + 2 * 2),
        ("checkpoints", "checkpoints/ca/seed-1/step-7/model/model.safetensors", 8 * 2 * 9),
        ("lists", "supervision/ca/lists.parquet", 2),
        ("text", "data/pydocs-stdlib/queries.train.parquet", 7),
        ("models", "runs/ca/seed-1/model/config.json", 8 * 7 + 1),
    ],
)
def test_every_need_is_a_set_of_files(need, some, count):
    found = files(need)
    assert some in found and len(found) == len(set(found)) == count


def test_only_dual_encoders_search():
    searched = {PurePosixPath(name).parts[1] for name in files("retrieval")}
    assert searched == {"bm25", "de", "de-m3se"}


def test_needs_add_up():
    assert files("curves", "text") == files("curves") + files("text")


def test_the_slice_of_an_artefact():
    slice_ = shown.artefact(
        study(experiments=["ca", "de-smoothing-10"], encoders="deep", seeds="first", options={"pairs": 4}), "fig1"
    )
    assert slice_["seeds"] == [1] and slice_["options"] == {"pairs": 4} and slice_["checkpoints"] == [0, 7]
    names = ["ca.small-1-16", "ca", "de-smoothing-10.small-1-16", "de-smoothing-10"]
    assert [run["name"] for run in slice_["runs"]] == names
    run = slice_["runs"][2]
    assert run["experiment"] == "de-smoothing-10" and run["width"] == 16 and run["model"] == "dual-encoder"


@pytest.mark.parametrize("need", ["checkpoints", "score-updates"])
def test_early_models_are_kept_where_an_artefact_looks_at_them(need):
    def kept(run, seed, seeds="first"):
        return slices.train(study(needs=[need], experiments=["ca"], seeds=seeds), run, seed)["checkpoints"]

    assert kept("ca", 1) == [0, 7] == kept("ca", 2, seeds="all")
    assert kept("ca", 2) == kept("de", 1) == []
    assert slices.train(study(needs=["curves"]), "ca", 1)["checkpoints"] == []


def test_a_constraint_has_the_values_and_no_more():
    assert re.fullmatch(workflow.any_of(["ca.small-1-16", "de"]), "ca.small-1-16")
    assert not re.fullmatch(workflow.any_of(["ca.small-1-16", "de"]), "ca-small-1-16")
    assert not re.fullmatch(workflow.any_of([]), "")


def test_train_and_test_are_probed_where_curves_are_shown():
    def curves(run, seed):
        return slices.train(study(needs=["curves"], experiments=["ca"], seeds="first"), run, seed)["curves"]

    assert curves("ca", 1) and not curves("ca", 2) and not curves("de", 1)
