"""Wrong inputs, as a user meets them: one sentence that names what is wrong, nothing half-written."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dualenc.orchestration import slices

REPOSITORY = Path(__file__).parents[2]


def refused(result, *words):
    """Check that a call failed and that its last line is one sentence with all these words."""
    assert result.returncode != 0
    assert "Traceback" not in result.stdout, result.stdout
    assert 'File "' not in result.stdout, result.stdout
    sentence = result.stdout.strip().splitlines()[-1]
    assert sentence.endswith((".", "?")), result.stdout
    for word in words:
        assert word in sentence, result.stdout
    return sentence


def refused_by_dualenc(result, *words):
    """As ``refused``, and nothing else is printed."""
    sentence = refused(result, *words)
    assert result.stdout.strip() == sentence, result.stdout
    assert sentence.startswith("dualenc: ")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"experiments.de-m3se.loss": "m3es"},
            ["params.yaml: experiments.de-m3se.loss", "'m3es'", "did you mean m3se?"],
        ),
        (
            {"scales.smoke.experiments.lists.list_size": 17},
            ["experiments.lists.list_size = 17", "16", "scales.smoke.list_length"],
        ),
        (
            {"scales.smoke.artefacts.tab99": {"experiments": ["ca"]}},
            ["scales.smoke.artefacts = 'tab99' is unknown", "tab1"],
        ),
    ],
    ids=["unknown-loss", "list-larger-than-what-is-kept", "no-module"],
)
def test_params_are_refused_before_anything_runs(values, words, set_params, snakemake):
    set_params(values)
    refused(snakemake("-n", "--config", "scale=smoke"), *words)


def test_an_encoder_of_another_shape(set_params, snakemake):
    folder = REPOSITORY / "miniatures/small-2-24"
    set_params({"encoders.small-1-32": {"folder": str(folder), "layers": 1, "width": 24, "heads": 2}})
    refused(snakemake("-n", "--config", "scale=smoke"), "encoders.small-1-32", "config.json", "has layers 2", "says 1")


def test_unknown_scale(snakemake):
    refused(snakemake("-n", "--config", "scale=min"), "'min'", "smoke", "did you mean mini?")


@pytest.fixture
def dataset(finished, study, tmp_path):
    """A copy of the dataset folder, to be broken."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in (finished / "results/smoke/data" / study.at.dataset).iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return folder


def without_queries(folder):
    file = folder / "queries.test.parquet"
    pd.read_parquet(file).head(0).to_parquet(file)
    return ["queries.test.parquet", "no queries"]


def with_a_pid_twice(folder):
    file = folder / "passages.parquet"
    passages = pd.read_parquet(file)
    passages.loc[7, "pid"] = passages.pid[3]
    passages.to_parquet(file)
    return ["passages.parquet", f"pid '{passages.pid[3]}'", "more than once"]


def with_an_unknown_pid(folder):
    file = folder / "qrels.validation.tsv"
    qid, _, pid, _ = file.read_text(encoding="utf-8").splitlines()[0].split()
    file.write_text(
        file.read_text(encoding="utf-8").replace(f"{qid} 0 {pid} 1", f"{qid} 0 nowhere 1", 1), encoding="utf-8"
    )
    return ["qrels.validation.tsv", "pid 'nowhere'", "passages.parquet"]


def with_a_query_without_a_positive(folder):
    file = folder / "qrels.train.tsv"
    first, *others = file.read_text(encoding="utf-8").splitlines(keepends=True)
    assert first.endswith(" 1\n") and not any(line.startswith(first.split()[0] + " ") for line in others)
    file.write_text("".join([first.replace(" 1\n", " 0\n"), *others]), encoding="utf-8")
    return ["qrels.train.tsv", f"qid '{first.split()[0]}'", "rel >= 1"]


@pytest.mark.parametrize(
    "broken",
    [without_queries, with_a_pid_twice, with_an_unknown_pid, with_a_query_without_a_positive],
)
def test_candidates_refuse_a_broken_dataset(broken, dataset, dualenc, study, tmp_path):
    words = broken(dataset)
    params = slices.as_json(slices.candidates(study))
    output = tmp_path / "candidates"
    refused_by_dualenc(dualenc("candidates", "--params", params, "--dataset", dataset, "--output", output), *words)
    assert not output.exists()


def test_the_tokenizer_refuses_a_broken_dataset(dataset, dualenc, study, tmp_path):
    words = with_an_unknown_pid(dataset)
    params = slices.as_json(slices.tokenizer(study))
    output = tmp_path / "tokenizer"
    refused_by_dualenc(dualenc("tokenizer", "--params", params, "--dataset", dataset, "--output", output), *words)
    assert not output.exists()


def test_snakemake_shows_the_sentence_where_it_fails(call_in, dataset, finished, study, tmp_path):
    words = with_a_pid_twice(dataset)
    copy = tmp_path / "copy"
    data = copy / "results/smoke/data" / study.at.dataset
    data.parent.mkdir(parents=True)
    dataset.rename(data)
    for name in ("Snakefile", "params.yaml", "benchmarks", "profiles", "src", "workflow"):
        (copy / name).symlink_to(finished / name)
    target = (data / "candidates/metrics.json").relative_to(copy)
    result = call_in(copy, "snakemake", "--cores", "1", "--config", "scale=smoke", "--", target)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout, result.stdout
    sentence = re.search(r"^dualenc: .*$", result.stdout, flags=re.MULTILINE)
    assert sentence and all(word in sentence.group() for word in words), result.stdout
    assert written(data / "candidates") == []


@pytest.fixture
def paths(finished, study):
    """Folders of the finished run that commands take."""
    root = finished / "results/smoke"
    data = root / "data" / study.at.dataset
    return {
        "dataset": data,
        "tokens": data / "tokens",
        "candidates": data / "candidates",
        "evaluation": root / "evaluation",
        "encoder": root / "encoders" / study.run("de-mse").encoder,
        "lists": root / "supervision/ca/lists.parquet",
        "model": root / "runs/ca/seed-1/model",
    }


def options(paths, *names):
    """Command line options with these paths."""
    return [word for name in names for word in (f"--{name}", paths[name])]


def train(dualenc, paths, study, folder):
    """Train de-mse; all that is written goes below ``folder``."""
    return dualenc(
        "train",
        *("--params", slices.as_json(slices.train(study, "de-mse", 1)), "--seed", "1"),
        *options(paths, "dataset", "tokens", "encoder", "lists", "evaluation"),
        *("--checkpoints", folder / "checkpoints", "--scratch", folder / "scratch", "--output", folder / "run"),
    )


def written(folder):
    """Names of the files below a folder, but for the lock of a state folder."""
    return [path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


def test_lists_longer_than_the_candidates(dualenc, paths, tmp_path):
    params = slices.as_json({"list_length": 50, "train_lists": 300})
    output = tmp_path / "lists/lists.parquet"
    result = dualenc("lists", "--params", params, *options(paths, "dataset", "candidates"), "--output", output)
    refused_by_dualenc(result, "50 candidates", "list_length", "depth")
    assert written(tmp_path) == []


def test_a_teacher_score_that_is_not_a_number(dualenc, paths, study, tmp_path):
    lists = pd.read_parquet(paths["lists"])
    scores = np.stack(lists.teacher_scores)
    scores[11, 2] = np.nan
    broken = tmp_path / "in/lists.parquet"
    broken.parent.mkdir()
    lists.assign(teacher_scores=list(scores)).to_parquet(broken)
    result = train(dualenc, paths | {"lists": broken}, study, tmp_path / "out")
    refused_by_dualenc(result, f"'{lists.qid[11]}'", f"'{lists.pids[11][2]}'", "nan", "finite")
    assert written(tmp_path / "out") == []


def copy_without(folder, name, target):
    """Copy a model folder, but for one file."""
    shutil.copytree(folder, target)
    (target / name).unlink()
    return target


def test_an_encoder_without_its_config(dualenc, paths, study, tmp_path):
    encoder = copy_without(paths["encoder"], "config.json", tmp_path / "in/encoder")
    result = train(dualenc, paths | {"encoder": encoder}, study, tmp_path / "out")
    refused_by_dualenc(result, "in/encoder/config.json is missing")
    assert written(tmp_path / "out") == []


def test_a_teacher_without_its_weights(dualenc, paths, study, tmp_path):
    model = copy_without(paths["model"], "model.safetensors", tmp_path / "in/model")
    params = slices.as_json(slices.teacher_scores(study, "ca"))
    given = options(paths | {"model": model}, "dataset", "tokens", "model", "lists")
    written = ["--scratch", tmp_path / "scratch", "--output", tmp_path / "out/lists.parquet"]
    result = dualenc("teacher-scores", "--params", params, *given, *written)
    refused_by_dualenc(result, "in/model/model.safetensors is missing")
    assert not (tmp_path / "out").exists()
