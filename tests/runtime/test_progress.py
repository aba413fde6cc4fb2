"""No long work is silent: lines with rate and time left."""

import numpy as np
import pyarrow as pa
import pytest

from dualenc.analysis import score_updates
from dualenc.data.collection import read_qrels
from dualenc.data.kinds import pydocs
from dualenc.data.runs import read_run
from dualenc.retrieval.candidates import bm25
from dualenc.runtime.progress import Progress, reported
from dualenc.scorers import models, reading, scoring
from dualenc.steps import inputs


@pytest.fixture
def talkative(monkeypatch):
    monkeypatch.setattr("dualenc.runtime.progress.SECONDS_BETWEEN_LINES", 0)


def test_progress_has_rate_and_time_left(capsys, monkeypatch):
    now = iter([0.0, 1.0, 10.0, 20.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    progress = Progress("x.tsv", "MB", 100e6, per=1e6, done=20e6)
    for _ in range(3):
        progress.advance(20e6)
    assert capsys.readouterr().err == "x.tsv: 60/100 MB, 4.0 MB/s, 10 s left\nx.tsv: 80/100 MB, 3.0 MB/s, 7 s left\n"
    now = iter([0.0, 10.0])
    Progress("rows", "rows").advance(50)
    assert capsys.readouterr().err == "rows: 50 rows, 5.0 rows/s\n"


def test_progress_of_items_counts_from_the_first_one(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    items = reported(iter("abc"), "rows", "rows", 4)
    now = 100.0  # other work, before the first of them is asked for
    next(items)
    now = 110.0
    next(items)
    assert capsys.readouterr().err == "rows: 1/4 rows, 0.1 rows/s, 30 s left\n"


def test_time_left_follows_from_the_work_where_items_differ(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = Progress("scoring", "pairs", 100, work=1000)
    now = 10.0
    progress.advance(20, 500)  # the long ones come first
    assert capsys.readouterr().err == "scoring: 20/100 pairs, 2.0 pairs/s, 10 s left\n"


KINDS = {"cross-attention": ["scoring: 40/40 pairs"], "dual-encoder": ["encoding: 4/4 texts", "encoding: 10/10 texts"]}
KINDS |= dict.fromkeys(["late-interaction", "learned-sparse"], KINDS["dual-encoder"])


@pytest.mark.parametrize("kind", KINDS)
def test_scoring_says_how_far_it_is(kind, tiny, trained, talkative, capsys):
    source = reading.texts(tiny / "tokens", "test", 60)
    model = models.load(trained[kind] / "model", kind)
    scoring.score(model, source, np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > len(KINDS[kind]) and all(line.endswith(" s left") for line in lines)
    for line in KINDS[kind]:
        assert any(one.startswith(f"{line}, ") and one.endswith("/s, 0 s left") for one in lines)


def test_searching_says_how_far_it_is(talkative, capsys):
    texts = [f"word{number} other" for number in range(300)]
    parameters = {"k1": 0.9, "b": 0.4, "stop_words": "none", "stemmer": "none"}
    bm25(pa.array(texts), texts, {text: text for text in texts}, depth=5, **parameters)
    lines = [line for line in capsys.readouterr().err.splitlines() if "searches" in line]
    assert len(lines) > 1 and lines[-1].startswith("BM25: 300/300 searches, ")


def test_reading_modules_says_how_far_it_is(talkative, capsys):
    _, files = pydocs.find("json", {})
    pydocs.read_modules(files, workers=1, max_words=40, min_query_words=3, min_passage_words=5)
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"pydocs: {len(files)}/{len(files)} modules, ")


def test_stepping_on_pairs_says_how_far_it_is(tiny, trained, talkative, capsys):
    candidates, qrels = read_run(tiny / "evaluation/test.run.gz"), read_qrels(tiny / "evaluation/test.qrels.tsv")
    watched = score_updates.neighbours(candidates, qrels, pairs=3, others=2)
    model = models.load(trained["dual-encoder"] / "model", "dual-encoder")
    identifiers = inputs.rows(tiny / "dataset", "test"), inputs.rows(tiny / "dataset", "passages")
    score_updates.changes(model, reading.texts(tiny / "tokens", "test", 4096), watched, *identifiers, step=0.01)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("stepping: 3/3 pairs, ") and any(
        line.startswith("scoring: 3/3 lists") for line in lines
    )
