"""Search from the command line: what is found, what stands beside it, and what is kept for the next query."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dualenc import cli
from dualenc.data import collection
from dualenc.retrieval import candidates, search
from dualenc.runtime.errors import UserError
from dualenc.scorers import models
from dualenc.study import config

REPOSITORY = Path(__file__).parents[2]
QUERY = "how to write a handler that logs to a socket"


@pytest.fixture(scope="module")
def root(tiny, trained, tmp_path_factory):
    """A folder like the repository's, with a trained student and its teacher at the smoke scale."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copy(REPOSITORY / "params.yaml", root)
    results = root / "results" / "smoke"
    data = results / "data" / study().at.dataset
    shutil.copytree(tiny / "dataset", data)
    for run, kind in (("de-m3se", "dual-encoder"), ("de", "dual-encoder"), ("ca", "cross-attention")):
        shutil.copytree(trained[kind] / "model", results / "runs" / run / "seed-1" / "model")
    return root


def study():
    return config.load(REPOSITORY / "params.yaml", {"scale": "smoke"})


@pytest.fixture
def dualenc(root, monkeypatch, capsys):
    """Call ``dualenc search --scale smoke``: exit status, what it prints, and its errors."""

    def run(*arguments):
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["dualenc", "search", "--scale", "smoke", *arguments])
        monkeypatch.setattr(os, "environ", dict(os.environ))
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return run


def test_what_is_found(root, dualenc):
    status, printed, _ = dualenc("--experiment", "de-m3se", "--top", "7", "--json", QUERY)
    found = json.loads(printed)
    assert status == 0 and found["query"] == QUERY and (found["run"], found["teacher"]) == ("de-m3se", "ca")
    results = root / "results" / "smoke"
    passages = collection.passages(results / "data" / "pydocs-stdlib")
    model = models.load(results / "runs" / "de-m3se" / "seed-1" / "model", "dual-encoder")
    scores = model.encode(passages.text.tolist()) @ model.encode(QUERY)
    lines = found["passages"]
    assert len(lines) == 7 and [line["rank"] for line in lines] == list(range(1, 8))
    np.testing.assert_allclose([line["score"] for line in lines], np.sort(scores)[::-1][:7], rtol=1e-4)
    rows = [list(passages.pid).index(line["pid"]) for line in lines]
    np.testing.assert_allclose([line["score"] for line in lines], scores[rows], rtol=1e-4)
    assert [line["text"] for line in lines] == passages.text[rows].tolist()


def test_what_stands_beside_it(root, dualenc):
    lines = json.loads(dualenc("--experiment", "de-m3se", "--top", "12", "--json", QUERY)[1])["passages"]
    results = root / "results" / "smoke"
    teacher = models.load(results / "runs" / "ca" / "seed-1" / "model", "cross-attention")
    scores = teacher.predict([(QUERY, line["text"]) for line in lines])
    np.testing.assert_allclose([line["teacher_score"] for line in lines], scores, rtol=1e-4)
    by_teacher = sorted(lines, key=lambda line: line["teacher_rank"])
    assert [line["teacher_rank"] for line in by_teacher] == list(range(1, 13))
    assert np.all(np.diff([line["teacher_score"] for line in by_teacher]) <= 0)
    passages = collection.passages(results / "data" / "pydocs-stdlib")
    bm25 = study().at.bm25.model_dump()
    pids = pa.array(passages.pid.tolist())
    run = candidates.bm25(pids, passages.text, {QUERY: QUERY}, depth=len(passages), **bm25).run
    ranks = {pid: rank for rank, pid in enumerate(run[QUERY].pids, 1)}
    assert [line["bm25_rank"] for line in lines] == [ranks.get(line["pid"]) for line in lines]


def test_a_run_without_a_teacher_and_a_query_without_known_words(dualenc):
    lines = json.loads(dualenc("--experiment", "de", "--json", "zzzz")[1])["passages"]
    assert len(lines) == 10
    assert all(line[key] is None for line in lines for key in ("bm25_rank", "teacher_rank", "teacher_score"))


def test_for_a_reader(dualenc):
    status, printed, _ = dualenc("--experiment", "de-m3se", "--top", "3", QUERY)
    lines = printed.splitlines()
    assert status == 0 and "de-m3se (seed 1, smoke)" in lines[0] and "ca's order" in lines[0]
    ranks = [line for line in lines if "BM25" in line]
    assert [line.split()[0] for line in ranks] == ["1", "2", "3"] and all(" ca " in line for line in ranks)
    assert max(map(len, lines)) <= 160


def test_embeddings_are_made_once_for_a_model(root, dualenc):
    folder = root / "scratch" / "embeddings"
    shutil.rmtree(folder, ignore_errors=True)
    first = dualenc("--experiment", "de", "--json", QUERY)
    (file,) = folder.iterdir()
    changed = np.load(file)
    changed[5] = 1000 * changed[5]
    np.save(file, changed)
    again = dualenc("--experiment", "de", "--json", QUERY)
    assert "Encoding" in first[2] and "Encoding" not in again[2] and first[1] != again[1]
    weights = root / "results" / "smoke" / "runs" / "de" / "seed-1" / "model" / "3_LayerNorm" / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    other = dualenc("--experiment", "de", "--json", QUERY)
    weights.write_bytes(before)
    assert "Encoding" in other[2] and len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--experiment", "de-m3s", QUERY], ["--experiment = 'de-m3s' is unknown", "did you mean de-m3se?"]),
        (["--experiment", "de-m3se.small-1-17", QUERY], ["'small-1-17' is unknown", "did you mean small-1-16?"]),
        (
            ["--experiment", "de-mse", QUERY],
            ["de-mse is not trained yet at scale smoke", "snakemake --cores 2 --config"],
        ),
        (["--experiment", "ca", QUERY], ["ca is a cross-attention model, which has no dense vectors", "de-m3se"]),
        (["--experiment", "de", "  "], ["query is empty"]),
    ],
)
def test_wrong_inputs(dualenc, arguments, words):
    status, printed, error = dualenc(*arguments)
    assert (status, printed) == (2, "") and error.startswith("dualenc: ") and error.count("\n") == 1
    assert all(word in error for word in words), error


def test_the_command_that_would_train_a_run_names_its_file(root):
    with pytest.raises(UserError) as error:
        search.search(study(), "de-mse", QUERY, 3, Path("results"), root / "scratch")
    target = str(error.value).rpartition("-- ")[2].rstrip("`.")
    assert target == "results/smoke/runs/de-mse/seed-1/model/model.safetensors"


def test_any_kind_of_teacher_scores_texts(trained):
    texts = ["a handler that writes to a socket", "the sum of two numbers", "a"]
    for kind, folder in trained.items():
        model = models.load(folder / "model", kind)
        scores = search.score_texts(model, QUERY, texts)
        alone = [search.score_texts(model, QUERY, [text])[0] for text in texts]
        assert scores.shape == (3,) and len(set(scores)) == 3
        np.testing.assert_allclose(scores, alone, rtol=1e-4)
