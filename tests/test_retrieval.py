"""Full retrieval: exact, over the whole collection, without the first stage."""

import shutil

import numpy as np
import pytest

from dualenc import models, retrieval, scoring
from dualenc.errors import UserError
from dualenc.retrieval import retrieve, search
from dualenc.runs import ranked, read_run
from dualenc.steps import inputs
from dualenc.steps.retrieval import retrieval as step

DEPTH = 7


def blocks(passages, size):
    return (passages[start : start + size] for start in range(0, len(passages), size))


@pytest.mark.parametrize("size", [1, 7, 40, 101, 1000])
def test_search_finds_what_comparing_all_finds(size):
    generator = np.random.default_rng(size)
    queries, passages = (generator.normal(size=(count, 12)).astype(np.float32) for count in (9, 101))
    scores, rows = search(queries, blocks(passages, size), DEPTH)
    every = queries @ passages.T
    expected = np.argsort(-every, axis=1)[:, :DEPTH]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(every, expected, 1), rtol=1e-5)


def test_more_passages_than_there_are():
    passages = np.eye(4, dtype=np.float32)
    scores, rows = search(passages, blocks(passages, 3), 4)
    assert sorted(rows[0]) == [0, 1, 2, 3] and scores[:, 0].tolist() == [1, 1, 1, 1]
    with pytest.raises(UserError, match=r"5 passages are to be found among 4: lower .* retrieval_depth"):
        search(passages, blocks(passages, 3), 5)


@pytest.fixture(scope="module")
def found(tiny, trained, tmp_path_factory):
    """The run of the step, made where there are no candidates, lists or evaluation sets."""
    root = tmp_path_factory.mktemp("alone")
    for name in ("dataset", "tokens"):
        shutil.copytree(tiny / name, root / name)
    output = root / "retrieval" / "de" / "seed-1"
    step(root / "dataset", root / "tokens", trained["dual-encoder"] / "model", DEPTH, 4096, output)
    return read_run(output / "test.run.gz")


def test_every_passage_is_a_candidate_of_every_query(tiny, trained, found):
    texts = inputs.data(tiny / "dataset", tiny / "tokens", 4096)
    model = models.load(trained["dual-encoder"] / "model", "dual-encoder")
    pids, candidates = list(texts.passage_rows), read_run(tiny / "evaluation" / "test.run.gz")
    assert set(found) == set(texts.query_rows["test"])
    beyond = 0
    for qid, row in list(texts.query_rows["test"].items())[:20]:
        all_rows = np.arange(len(pids))
        scores = scoring.score(model, texts.sources["test"], np.full(len(pids), row), all_rows)
        best = ranked(qid, pids, scores)
        np.testing.assert_allclose(found[qid].scores, best.scores[:DEPTH], rtol=1e-4)  # the same but for near ties
        np.testing.assert_allclose(found[qid].scores, [scores[pids.index(pid)] for pid in found[qid].pids], rtol=1e-4)
        beyond += len(set(found[qid].pids) - set(candidates[qid].pids))
    assert beyond > 20


def test_small_blocks_find_the_same(tiny, trained, found, monkeypatch):
    monkeypatch.setattr(retrieval, "PASSAGES_AT_ONCE", 50)
    texts = inputs.data(tiny / "dataset", tiny / "tokens", 4096)
    model = models.load(trained["dual-encoder"] / "model", "dual-encoder")
    ids = list(texts.query_rows["test"]), list(texts.passage_rows)
    assert len(ids[1]) > 200
    again = retrieve(model, texts.sources["test"], *ids, DEPTH)
    for qid in found:
        np.testing.assert_allclose(again[qid].scores, found[qid].scores, rtol=1e-4)
