"""Full retrieval: exact, over the whole collection, without the first stage, whatever the blocks and shards."""

import shutil

import numpy as np
import pytest

from dualenc.data import collection
from dualenc.data.runs import ranked, read_run
from dualenc.retrieval import dense
from dualenc.retrieval.dense import search, shard
from dualenc.runtime.errors import UserError
from dualenc.scorers import models, reading, scoring, vectors
from dualenc.steps.encode import encode
from dualenc.steps.retrieval import retrieval as step
from dualenc.study.settings import Encode, Retrieval

DEPTH = 7
BLOCK = 50


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


@pytest.mark.parametrize("size", [1, 3, 16, 60])
def test_equal_scores_are_in_the_order_of_the_rows(size):
    generator = np.random.default_rng(size)
    queries, passages = (generator.integers(-1, 2, size=(count, 4)).astype(np.float32) for count in (30, 60))
    scores, rows = search(queries, blocks(passages, size), 60)
    every = queries @ passages.T
    np.testing.assert_array_equal(rows, np.argsort(-every, axis=1, kind="stable"))
    np.testing.assert_array_equal(scores, np.take_along_axis(every, rows, 1))


def test_more_passages_than_there_are():
    passages = np.eye(4, dtype=np.float32)
    scores, rows = search(passages, blocks(passages, 3), 4)
    assert sorted(rows[0]) == [0, 1, 2, 3] and scores[:, 0].tolist() == [1, 1, 1, 1]
    with pytest.raises(UserError, match=r"the search is asked for 5 out of 4 passages: lower .* retrieval_depth"):
        search(passages, blocks(passages, 3), 5)


@pytest.mark.parametrize("count", [1, 49, 50, 51, 500, 1234])
@pytest.mark.parametrize("shards", [1, 2, 3, 8, 40])
def test_shards_are_all_rows_in_whole_blocks(count, shards, monkeypatch):
    monkeypatch.setattr(dense, "PASSAGES_AT_ONCE", BLOCK)
    parts = [shard(count, shards, number) for number in range(shards)]
    assert [row for part in parts for row in part] == list(range(count))
    assert all(part.start % BLOCK == 0 for part in parts if part)
    assert max(map(len, parts)) - min(map(len, parts)) <= BLOCK


@pytest.fixture(scope="module")
def alone(tiny, trained, tmp_path_factory):
    """A folder without candidates, lists or evaluation sets."""
    root = tmp_path_factory.mktemp("alone")
    for name in ("dataset", "tokens"):
        shutil.copytree(tiny / name, root / name)
    shutil.copytree(trained["dual-encoder"] / "model", root / "model")
    return root


@pytest.fixture(scope="module")
def found(alone):
    """The run of the step that encodes and searches."""
    return retrieved(alone, [], "de")


def retrieved(root, embeddings, run):
    output = root / "retrieval" / run / "seed-1"
    params = Retrieval(model="dual-encoder", retrieval_depth=DEPTH, tokens_per_batch=4096)
    step(params, root / "dataset", root / "tokens", root / "model", output, embeddings)
    return read_run(output / "test.run.gz")


def every_score(root):
    """qid -> pid -> the model's own score, of the first test queries with all passages."""
    source, model = reading.texts(root / "tokens", "test", 4096), models.load(root / "model", "dual-encoder")
    pids = collection.ids(root / "dataset", "passages").to_pylist()
    rows = np.arange(len(pids))
    for row, qid in enumerate(collection.ids(root / "dataset", "test").to_pylist()[:20]):
        yield qid, pids, scoring.score(model, source, np.full(len(pids), row), rows)


def test_every_passage_is_a_candidate_of_every_query(tiny, alone, found):
    candidates = read_run(tiny / "evaluation" / "test.run.gz")
    assert list(found) == collection.ids(alone / "dataset", "test").to_pylist()
    beyond = 0
    for qid, pids, scores in every_score(alone):
        best = ranked(qid, pids, scores)
        np.testing.assert_allclose(found[qid].scores, best.scores[:DEPTH], rtol=1e-4)  # the same but for near ties
        np.testing.assert_allclose(found[qid].scores, [scores[pids.index(pid)] for pid in found[qid].pids], rtol=1e-4)
        beyond += len(set(found[qid].pids) - set(candidates[qid].pids))
    assert beyond > 20


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(dense, "PASSAGES_AT_ONCE", BLOCK)


def test_small_blocks_find_the_same(alone, found, small_blocks):
    assert len(collection.ids(alone / "dataset", "passages")) > 4 * BLOCK
    again = retrieved(alone, [], "small-blocks")
    for qid in found:
        np.testing.assert_allclose(again[qid].scores, found[qid].scores, rtol=1e-4)


def encoded(root, shards):
    files = [root / "embeddings" / f"{number}-of-{shards}.npy" for number in range(shards)]
    for number, file in enumerate(files):
        params = Encode(shards=shards, tokens_per_batch=4096)
        encode(params, root / "tokens", root / "model", number, root / "scratch", file)
    return files


def test_the_number_of_shards_has_no_influence_on_any_bit(alone, small_blocks):
    embeddings, runs = [], []
    for shards in (1, 2, 3, 9):
        files = encoded(alone, shards)
        embeddings.append(np.concatenate([np.load(file) for file in files]))
        runs.append(retrieved(alone, files, "shards"))
    assert embeddings[0].dtype == np.float16
    for other, run in zip(embeddings[1:], runs[1:], strict=True):
        np.testing.assert_array_equal(other, embeddings[0])
        for qid, ranking in runs[0].items():
            assert run[qid].pids == ranking.pids
            np.testing.assert_array_equal(run[qid].scores, ranking.scores)


def test_float16_changes_scores_by_less_than_a_thousandth_of_the_lengths(alone, small_blocks):
    found = retrieved(alone, encoded(alone, 2), "half")
    source, model = reading.texts(alone / "tokens", "test", 4096), models.load(alone / "model", "dual-encoder")
    lengths = [
        np.linalg.norm(vectors.embed(model, column, np.arange(len(column.lengths())), source), axis=1)
        for column in (source.queries, source.passages)
    ]
    for row, (qid, pids, scores) in enumerate(every_score(alone)):
        at = [pids.index(pid) for pid in found[qid].pids]
        assert np.all(np.abs(found[qid].scores - scores[at]) < 1e-3 * lengths[0][row] * lengths[1][at])
        assert found[qid].scores[-1] > np.sort(scores)[-DEPTH] - 1e-3 * lengths[0][row] * lengths[1].max()
