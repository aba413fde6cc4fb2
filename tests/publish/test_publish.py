"""What cards say of other data, encoders and teachers than those that a build of the small scales has."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from safetensors.torch import load_file, save_file

import tiny_study
from dualenc.data import datasets
from dualenc.publish import export
from dualenc.publish.card import card
from dualenc.publish.facts import Facts
from dualenc.runtime.errors import UserError
from dualenc.study import config

VALUES = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
MADE = {
    **{"inputs": {"ca/lists.parquet": "0" * 32}, "commit": "abc1234-dirty", "python": "3.11.7"},
    **{
        "processes": 1,
        "layers": {"training": "float32", "scoring": "float32"},
        "machine": "Linux x86_64",
        "processor": "a processor",
        "mkl_cbwr": "AUTO",
    },
    **{"sentence-transformers": "6.2.0"},
}
SUMMARY = {"mean": 0.5, "low": 0.4, "high": 0.6, "queries": 9}


def facts(run, data, **changes):
    study = config.study({**VALUES, **changes})
    experiment = study.run(run)
    splits = data.get("splits", dict.fromkeys(["train", "validation", "test"]))
    rows = {f"queries.{split}.parquet": {"rows": 9} for split in splits}
    return Facts(
        **{"name": "model", "study": study, "run": run, "seed": 1, "experiment": experiment, "folder": Path("none")},
        settings={"experiment": experiment.model_dump(), "lengths": study.at.lengths.model_dump(), "seed": 1},
        made=MADE,
        data={**data, "files": {"passages.parquet": {"rows": 1234}, **rows}},
        lists={"rows": 1000},
        metrics={("runs", split): {"MRR(rel=2)@10": SUMMARY} for split in splits},
        **{"others": {}, "parameters": 10, "steps": 20, "best": 10},
    )


def test_ms_marco_an_encoder_of_the_hub_and_published_scores():
    splits = VALUES["datasets"]["msmarco-passage"]["splits"]
    made = card(facts("de-m3se", {"kind": "ir_datasets", "version": "0.5", "splits": splits}, scale="paper"))
    assert made.data.base_model == "google/bert_uncased_L-6_H-768_A-12" and made.data.license == "other"
    assert {one.dataset_split for one in made.data.eval_results} == set(splits)
    assert {one.metric_type for one in made.data.eval_results} == {"mrr_rel_2_at_10"}
    assert "test: msmarco-passage/dev/small" in made.text and "non-commercial" in made.text
    assert "zenodo.org" in made.text and "nobody ever asked" not in made.text


def test_natural_questions():
    data = VALUES["datasets"]["natural-questions"]
    made = card(facts("ca", data, scale="paper-nq"))
    assert made.data.license == "other" and data["train"]["url"] in made.text
    assert made.data.base_model == "google-bert/bert-base-uncased"
    assert "re-ranking of the dataset's own candidates, at most 200 for a query" in made.text


def test_a_user_s_own_files_in_no_known_language():
    own = {**VALUES["datasets"]["arxiv-cs"]}
    scale = VALUES["scales"]["mini"]
    scale = {**scale, "dataset": "own", "bm25": {**scale["bm25"], "stop_words": "none", "stemmer": "none"}}
    changes = {"datasets": {**VALUES["datasets"], "own": own}, "scales": {**VALUES["scales"], "mini": scale}}
    made = card(facts("de", {"kind": "tsv", "splits": own["splits"]}, **changes))
    assert made.data.license == "other" and made.data.language is None and made.data.datasets == ["own"]
    assert "tab-separated files (train: train, validation: dev, test: test)" in made.text


@pytest.mark.parametrize(("commit", "lines"), [("unknown", 0), ("abc1234-dirty", 1), ("abc1234", 1)])
def test_the_commit(commit, lines):
    made = facts("de", {"kind": "pydocs", "source": "docstrings", "packages": {}})
    text = card(made._replace(made={**MADE, "commit": commit})).text
    assert text.count("git checkout abc1234\n") == lines
    assert ("changes that are not in this commit" in text) == commit.endswith("-dirty")


def test_a_run_that_no_artefact_shows_has_no_stage():
    data = {"kind": "pydocs", "source": "docstrings", "packages": {}}
    shown, other = (card(facts(run, data)).text for run in ("de-m3se", "de-mlm.small-2-24"))
    assert "dvc repro evaluate@de-m3se\n" in shown and "dvc repro" not in other
    assert "snakemake --cores 2 --config scale=mini -- results/mini/runs/de-mlm.small-2-24/seed-1/model" in other


def test_a_model_that_lacks_a_weight_is_not_exported(trained, tmp_path, monkeypatch):
    run = shutil.copytree(trained["dual-encoder"], tmp_path / "run")
    file = run / "model/3_LayerNorm/model.safetensors"
    save_file({"norm.bias": load_file(file)["norm.bias"]}, file)
    known = SimpleNamespace(folder=run, experiment=tiny_study.experiment())
    monkeypatch.setattr(export, "read", lambda *_: known)
    with pytest.raises(UserError, match=r"3_LayerNorm/model.safetensors has no norm.weight"):
        export.export(config.load("params.yaml"), "de", 1, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_each_kind_of_dataset_has_its_rights():
    for name, kind in datasets.KINDS.items():
        assert kind.__name__.endswith(f".{name}") and len(kind.RIGHTS) > 50, name
        assert callable(kind.build) and callable(kind.origin), name
        assert hasattr(kind, "packages") or (callable(kind.files) and callable(kind.places)), name
