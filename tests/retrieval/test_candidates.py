"""BM25 against its formula, and the candidates of a study."""

import json
import math
import unicodedata

import bm25s
import numpy as np
import pyarrow as pa
import pytest
import Stemmer
from bm25s.tokenization import Tokenizer

import tiny_study
from dualenc.data import collection
from dualenc.data.runs import read_run
from dualenc.retrieval import candidates
from dualenc.retrieval.candidates import bm25
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from dualenc.steps.candidates import candidates as step
from dualenc.steps.evaluation_sets import evaluation_sets
from dualenc.study.settings import Candidates, EvaluationSets

PLAIN = {"k1": 0.9, "b": 0.4, "stop_words": "none", "stemmer": "none"}
PASSAGES = {
    "cats": "cats chase mice and cats sleep",
    "dogs": "dogs chase cats",
    "long": "mice fear cats dogs and owls while birds fear cats only",
    "other": "nothing here matches",
}
PIDS = pa.array(list(PASSAGES))


def formula(query, k1, b, passages=PASSAGES):
    """BM25 with Lucene's idf, log(1 + (N - n + .5) / (n + .5)), of the passages with a term of the query."""
    texts = {pid: text.split() for pid, text in passages.items()}
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
    run = bm25(PIDS, PASSAGES.values(), queries, depth=4, **PLAIN | {"k1": k1, "b": b}).run
    for qid, query in queries.items():
        expected = formula(query, k1, b)
        assert dict(zip(run[qid].pids, run[qid].scores, strict=True)) == pytest.approx(expected, rel=1e-5)
        assert np.all(np.diff(run[qid].scores) <= 0)


HINDI = {
    "a": "विद्यार्थी किताबें पढ़ते हैं और पानी पीते हैं",
    "b": "किताबें दिल्ली में हैं",
    "c": "पहाड़ी नदी का पानी ठंडा है",
    "d": "गाड़ी सड़क पर है",
}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_words_with_vowel_signs_are_whole_in_either_form(forms):
    query, *texts = (
        unicodedata.normalize(form, text)
        for form, text in zip(
            [forms[0], *[forms[1]] * len(HINDI)], ["किताबें पढ़ते विद्यार्थी", *HINDI.values()], strict=True
        )
    )
    run = bm25(pa.array(list(HINDI)), texts, {"1": query}, depth=4, **PLAIN).run
    expected = formula("किताबें पढ़ते विद्यार्थी", 0.9, 0.4, HINDI)
    assert dict(zip(run["1"].pids, run["1"].scores, strict=True)) == pytest.approx(expected, rel=1e-5)
    assert run["1"].pids == ["a", "b"]


def test_depth_cuts_to_the_best():
    texts = PIDS, PASSAGES.values(), {"1": "mice and cats"}
    whole, two = (bm25(*texts, depth=depth, **PLAIN).run["1"] for depth in (4, 2))
    assert len(whole.pids) == 3 and two.pids == whole.pids[:2]
    np.testing.assert_array_equal(two.scores, whole.scores[:2])


def test_a_query_without_a_known_term_has_no_candidates():
    run = bm25(PIDS, PASSAGES.values(), {"1": "zebras", "2": "?!"}, depth=2, **PLAIN).run
    assert run["1"].pids == run["2"].pids == []


def test_no_queries():
    assert bm25(PIDS, PASSAGES.values(), {}, depth=2, **PLAIN).run == {}


def test_stems_and_stop_words():
    queries = {"1": "cat", "2": "and"}
    texts = PIDS, PASSAGES.values(), queries
    plain = bm25(*texts, depth=4, **PLAIN).run
    english = bm25(*texts, depth=4, **PLAIN | {"stop_words": "english", "stemmer": "english"}).run
    assert (plain["1"].pids, len(plain["2"].pids)) == ([], 2)
    assert (len(english["1"].pids), english["2"].pids) == (3, [])


def test_more_candidates_than_passages():
    with pytest.raises(UserError, match="asked for 5 candidates out of 4 passages: lower the scale's depth"):
        bm25(PIDS, PASSAGES.values(), {"1": "cats"}, depth=5, **PLAIN)


@pytest.fixture(scope="module")
def texts(tiny):
    """Passages and queries of the tiny study, one passage without a term and one query without any."""
    passages, queries = collection.passages(tiny / "dataset"), collection.queries(tiny / "dataset", "train")
    asked = dict(zip(queries.qid, queries.text, strict=True)) | {"nothing": "?!"}
    return pa.array([*passages.pid, "empty"]), [*passages.text, "?!"], asked


@pytest.mark.parametrize("language", ["english", "none"])
def test_scores_are_those_of_the_library(texts, language):
    pids, passages, queries = texts
    options = {"stopwords": "en" if language == "english" else None, "show_progress": False}
    options["stemmer"] = Stemmer.Stemmer("english") if language == "english" else None
    index = bm25s.BM25(k1=0.9, b=0.4)
    index.index(bm25s.tokenize(passages, **options), show_progress=False)
    languages = {"stop_words": language, "stemmer": language}
    run = bm25(pids, passages, queries, depth=len(pids), **PLAIN | languages).run
    rows = {pid: row for row, pid in enumerate(pids.to_pylist())}
    asked = bm25s.tokenize(list(queries.values()), **options, return_ids=False)
    for ranking, words in zip(run.values(), asked, strict=True):
        expected = index.get_scores(words) if words else np.zeros(len(pids))
        assert len(ranking.pids) == np.count_nonzero(expected)
        np.testing.assert_array_equal(ranking.scores, expected[[rows[pid] for pid in ranking.pids]])


@pytest.mark.parametrize(("size", "blocks"), [(20, 1), (20, 5), (100, 1), (250, 1)])
def test_parts_have_no_influence_on_any_bit(texts, size, blocks, monkeypatch):
    pids, passages, queries = texts
    some = dict(list(queries.items())[-30:])
    whole = {depth: bm25(pids, passages, some, depth=depth, **PLAIN).run for depth in (3, 20, len(pids))}
    monkeypatch.setattr(candidates, "PASSAGES_IN_BLOCK", size)
    monkeypatch.setattr(candidates, "BLOCKS_IN_PART", blocks)
    monkeypatch.setattr(candidates, "TEXTS_AT_ONCE", 30)
    assert len(pids) > 250
    for depth, one in whole.items():
        run = bm25(pids, passages, some, depth=depth, **PLAIN).run
        for qid, ranking in one.items():
            np.testing.assert_array_equal(run[qid].scores, ranking.scores)
            inside = ranking.scores > (ranking.scores[-1] if len(ranking.pids) == depth else 0)
            assert run[qid].pids[: inside.sum()] == ranking.pids[: inside.sum()]  # but for ties at the end of the list


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_have_no_influence_on_any_bit(texts, threads, monkeypatch):
    pids, passages, queries = texts
    for name, size in (("PASSAGES_IN_BLOCK", 20), ("BLOCKS_IN_PART", 4), ("TEXTS_AT_ONCE", 7), ("QUERIES_AT_ONCE", 3)):
        monkeypatch.setattr(candidates, name, size)
    one, several = (bm25(pids, passages, queries, depth=20, threads=some, **PLAIN).run for some in (1, threads))
    assert list(one) == list(several)
    for qid, ranking in one.items():
        assert several[qid].pids == ranking.pids
        np.testing.assert_array_equal(several[qid].scores, ranking.scores)


def test_texts_are_read_as_threads_need_them(texts, monkeypatch):
    pids, passages, queries = texts
    begun, count = [], candidates._counts
    monkeypatch.setattr(candidates, "PASSAGES_IN_BLOCK", 10)
    monkeypatch.setattr(candidates, "_counts", lambda *given: begun.append(given) or count(*given))

    def stream():
        for number, text in enumerate(passages):
            assert number < 10 * (len(begun) + 4)  # a block for each of two threads, one waits, one is being read
            yield text

    bm25(pids, stream(), dict(list(queries.items())[:3]), depth=5, threads=2, **PLAIN)
    assert len(begun) == -(-len(pids) // 10)


STRANGE = [
    "naïve Café, CAFÉ; straße STRASSE",
    "ΟΔΥΣΣΕΥΣ and σίσυφος. Σ",
    "ısı \u212a \u212aelvin kelvin",
    "東京都 東 京 tokyo 東京都",
    "tab\tand\nline\x00nul\x1cfile a b c_d __ _ 1 12 x²y ½ ① 12½",
    "\ud800lone surrogate \u200bzero\u200bwidth spaces",
    "can't won't e-mail \u2019quoted\u2019 \u201cwords\u201d \U0001f600 \U0001d400\U0001d401",
    "",
    " ",
]


@pytest.mark.parametrize("language", ["english", "none"])
def test_the_terms_of_strange_texts_are_those_of_the_library(language):
    stemmer = Stemmer.Stemmer("english") if language == "english" else None
    tokenizer = Tokenizer(stopwords="en" if language == "english" else None, stemmer=stemmer)
    expected = list(tokenizer.streaming_tokenize(STRANGE, allow_empty=False))
    library = {number: term for term, number in tokenizer.get_vocab_dict().items()}
    vocabulary = candidates.Vocabulary(language, language)
    terms, lengths = candidates._terms(vocabulary, STRANGE)
    ours = {number: term for term, number in vocabulary.terms.items()}
    assert lengths.tolist() == [len(some) for some in expected]
    assert [ours[term] for term in terms.tolist()] == [library[term] for some in expected for term in some]


def test_the_candidates_of_a_study(tiny):
    metrics = json.loads((tiny / "candidates" / "metrics.json").read_text(encoding="utf-8"))
    for split in collection.SPLITS:
        run, qrels = (
            read_run(tiny / "candidates" / f"{split}.run.gz"),
            collection.qrels(tiny / "dataset", split),
        )
        found = [len(set(run[qid].pids) & set(qrels[qid])) if qid in run else 0 for qid in qrels]
        assert metrics[split][f"R@{tiny_study.DEPTH}"] == pytest.approx(np.mean(found))
        assert max(len(ranking.pids) for ranking in run.values()) == tiny_study.DEPTH
    assert 0.2 < metrics["test"]["MRR@10"] < 1


def test_few_train_queries_are_the_ones_that_models_are_evaluated_on(tiny, tmp_path):
    few = Candidates(bm25=tiny_study.BM25, depth=tiny_study.DEPTH, train_evaluation=30)
    step(few, tiny / "dataset", tmp_path / "few")
    sets = EvaluationSets(train_evaluation=30, depth=tiny_study.DEPTH)
    evaluation_sets(sets, tiny / "dataset", tmp_path / "few", tmp_path / "evaluation")
    for split in ("train", "validation", "test"):
        for name in (f"{split}.run.gz", f"{split}.qrels.tsv"):
            assert (tmp_path / "evaluation" / name).read_bytes() == (tiny / "evaluation" / name).read_bytes()
    assert len(read_run(tmp_path / "few" / "train.run.gz")) == 30


def written(folder, passages, asked, relevant):
    """A dataset of the ``passages`` and one query for each text of ``asked[split]``, whose answer is ``relevant``."""
    texts = {split: [(f"{split}-{at}", text) for at, text in enumerate(some)] for split, some in asked.items()}
    judged = {split: [(qid, relevant, 1) for qid, _ in some] for split, some in texts.items()}
    collection.write(folder, [(f"p{at}", text) for at, text in enumerate(passages)], texts, judged, {})
    return folder


WHOLE = {"train": ["cats and dogs"] * 3, "validation": ["cats"], "test": ["dogs", "cats"]}


def test_texts_without_a_term_are_counted(tmp_path, capsys):
    passages = ["dogs and cats", "?!", "cats", "the and"]
    folder = written(tmp_path / "data", passages, WHOLE | {"train": ["cats", "of the", "dogs", "?"]}, "p0")
    step(Candidates(bm25=tiny_study.BM25, depth=2), folder, tmp_path / "out")
    about = read_json(tmp_path / "out" / "metrics.json")["candidates"]
    assert about["without_terms"] == {"passages": 2, "train": 2, "validation": 0, "test": 0}
    assert "without a term: passages: 2, train: 2, validation: 0, test: 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("passages", "asked", "relevant", "message"),
    [
        (["dogs", "?", "the"], {}, "p0", "2 of 3 passages have no term"),
        (
            ["dogs"],
            {"test": ["dogs", "to be or not to be", "?"]},
            "p0",
            "2 of 3 queries of the test split have no term",
        ),
        (["我们 学习 汉语"], {}, "p0", "no query of the train split finds a passage: "),
        (["cats and dogs"], {"test": ["东京都政府"]}, "p0", "no query of the test split finds a passage: "),
        (
            ["cat", "cats and dogs"],
            {"validation": ["cat"]},
            "p1",
            "no query of the validation split finds a passage that is rel",
        ),
    ],
)
def test_a_split_in_which_nothing_is_found_ends_before_anything_is_written(
    tmp_path, passages, asked, relevant, message
):
    folder = written(tmp_path / "data", passages, WHOLE | asked, relevant)
    with pytest.raises(UserError, match=message):
        step(Candidates(bm25=tiny_study.BM25, depth=1), folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
