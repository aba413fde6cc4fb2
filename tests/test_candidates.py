"""BM25 against its formula, and the candidates of a study."""

import json
import math

import bm25s
import numpy as np
import pyarrow as pa
import pytest
import Stemmer

import tiny_study
from dualenc import candidates, datasets
from dualenc.candidates import bm25
from dualenc.errors import UserError
from dualenc.runs import read_run
from dualenc.steps.candidates import candidates as step
from dualenc.steps.evaluation_sets import evaluation_sets

PLAIN = {"k1": 0.9, "b": 0.4, "stop_words": "none", "stemmer": "none"}
PASSAGES = {
    "cats": "cats chase mice and cats sleep",
    "dogs": "dogs chase cats",
    "long": "mice fear cats dogs and owls while birds fear cats only",
    "other": "nothing here matches",
}
PIDS = pa.array(list(PASSAGES))


def formula(query, k1, b):
    """BM25 with Lucene's idf, log(1 + (N - n + .5) / (n + .5)), of the passages with a term of the query."""
    texts = {pid: text.split() for pid, text in PASSAGES.items()}
    mean_length = sum(len(words) for words in texts.values()) / len(texts)
    scores = {}
    for pid, words in texts.items():
        for term in query.split():
            having = sum(term in other for other in texts.values())
            frequency = words.count(term)
            saturated = frequency / (frequency + k1 * (1 - b + b * len(words) / mean_length))
            scores[pid] = scores.get(pid, 0) + saturated * math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
    return {pid: score for pid, score in scores.items() if score > 0}


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.5, 0.0), (1.2, 1.0)])
def test_scores_are_the_formula(k1, b):
    queries = {"1": "cats", "2": "mice chase dogs", "3": "cats cats birds"}
    run = bm25(PIDS, PASSAGES.values(), queries, depth=4, **PLAIN | {"k1": k1, "b": b})
    for qid, query in queries.items():
        expected = formula(query, k1, b)
        assert dict(zip(run[qid].pids, run[qid].scores, strict=True)) == pytest.approx(expected, rel=1e-5)
        assert np.all(np.diff(run[qid].scores) <= 0)


def test_depth_cuts_to_the_best():
    texts = PIDS, PASSAGES.values(), {"1": "mice and cats"}
    whole, two = bm25(*texts, depth=4, **PLAIN)["1"], bm25(*texts, depth=2, **PLAIN)["1"]
    assert len(whole.pids) == 3 and two.pids == whole.pids[:2]
    np.testing.assert_array_equal(two.scores, whole.scores[:2])


def test_a_query_without_a_known_term_has_no_candidates():
    run = bm25(PIDS, PASSAGES.values(), {"1": "zebras", "2": "?!"}, depth=2, **PLAIN)
    assert run["1"].pids == run["2"].pids == []


def test_stems_and_stop_words():
    queries = {"1": "cat", "2": "and"}
    texts = PIDS, PASSAGES.values(), queries
    plain = bm25(*texts, depth=4, **PLAIN)
    english = bm25(*texts, depth=4, **PLAIN | {"stop_words": "english", "stemmer": "english"})
    assert (plain["1"].pids, len(plain["2"].pids)) == ([], 2)
    assert (len(english["1"].pids), english["2"].pids) == (3, [])


def test_more_candidates_than_passages():
    with pytest.raises(UserError, match="asked for 5 candidates of 4 passages: lower the scale's depth"):
        bm25(PIDS, PASSAGES.values(), {"1": "cats"}, depth=5, **PLAIN)


@pytest.fixture(scope="module")
def texts(tiny):
    """Passages and queries of the tiny study, one passage without a term and one query without any."""
    passages, queries = datasets.passages(tiny / "dataset"), datasets.queries(tiny / "dataset", "train")
    asked = dict(zip(queries.qid, queries.text, strict=True)) | {"nothing": "?!"}
    return pa.array([*passages.pid, "empty"]), [*passages.text, "?!"], asked


@pytest.mark.parametrize("language", ["english", "none"])
def test_scores_are_those_of_the_library(texts, language):
    pids, passages, queries = texts
    options = {"stopwords": "en" if language == "english" else None, "show_progress": False}
    options["stemmer"] = Stemmer.Stemmer("english") if language == "english" else None
    index = bm25s.BM25(k1=0.9, b=0.4)
    index.index(bm25s.tokenize(passages, **options), show_progress=False)
    run = bm25(pids, passages, queries, depth=len(pids), **PLAIN | {"stop_words": language, "stemmer": language})
    rows = {pid: row for row, pid in enumerate(pids.to_pylist())}
    asked = bm25s.tokenize(list(queries.values()), **options, return_ids=False)
    for ranking, words in zip(run.values(), asked, strict=True):
        expected = index.get_scores(words) if words else np.zeros(len(pids))
        assert len(ranking.pids) == np.count_nonzero(expected)
        np.testing.assert_array_equal(ranking.scores, expected[[rows[pid] for pid in ranking.pids]])


@pytest.mark.parametrize("size", [20, 100, 250])
def test_parts_have_no_influence_on_any_bit(texts, size, monkeypatch):
    pids, passages, queries = texts
    some = dict(list(queries.items())[-30:])
    whole = {depth: bm25(pids, passages, some, depth=depth, **PLAIN) for depth in (3, 20, len(pids))}
    monkeypatch.setattr(candidates, "PASSAGES_AT_ONCE", size)
    monkeypatch.setattr(candidates, "PASSAGES_READ_AT_ONCE", 30)
    assert len(pids) > 250
    for depth, one in whole.items():
        run = bm25(pids, passages, some, depth=depth, **PLAIN)
        for qid, ranking in one.items():
            np.testing.assert_array_equal(run[qid].scores, ranking.scores)
            inside = ranking.scores > (ranking.scores[-1] if len(ranking.pids) == depth else 0)
            assert run[qid].pids[: inside.sum()] == ranking.pids[: inside.sum()]  # but for ties at the end of the list


def test_the_candidates_of_a_study(tiny):
    metrics = json.loads((tiny / "candidates" / "metrics.json").read_text())
    for split in datasets.SPLITS:
        run, qrels = (
            read_run(tiny / "candidates" / f"{split}.run.gz"),
            datasets.qrels(tiny / "dataset", split),
        )
        found = [len(set(run[qid].pids) & set(qrels[qid])) if qid in run else 0 for qid in qrels]
        assert metrics[split][f"R@{tiny_study.DEPTH}"] == pytest.approx(np.mean(found))
        assert max(len(ranking.pids) for ranking in run.values()) == tiny_study.DEPTH
    assert 0.2 < metrics["test"]["MRR@10"] < 1


def test_few_train_queries_are_the_ones_that_models_are_evaluated_on(tiny, tmp_path):
    step(tiny / "dataset", tiny_study.BM25, tiny_study.DEPTH, tmp_path / "few", train_queries=30)
    evaluation_sets(tiny / "dataset", tmp_path / "few", 30, tiny_study.DEPTH, tmp_path / "evaluation")
    for split in ("train", "validation", "test"):
        for name in (f"{split}.run.gz", f"{split}.qrels.tsv"):
            assert (tmp_path / "evaluation" / name).read_bytes() == (tiny / "evaluation" / name).read_bytes()
    assert len(read_run(tmp_path / "few" / "train.run.gz")) == 30
