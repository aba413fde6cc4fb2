"""Learned sparse models: weights of word pieces by their definition, what keeps them few, and exact search."""

import numpy as np
import pytest
import torch
from scipy import sparse
from transformers import BertForMaskedLM

import tiny_study
from dualenc.data import collection
from dualenc.encoders import batches
from dualenc.retrieval import dense
from dualenc.retrieval.sparse import retrieve
from dualenc.runtime.errors import UserError
from dualenc.scorers import models, reading, scoring
from dualenc.scorers.kinds import learned_sparse
from tiny_study import LENGTHS


@pytest.fixture
def source(tiny):
    return reading.texts(tiny / "tokens", "test", 512)


def test_weights_are_those_of_the_definition(tiny, source):
    """log(1 + relu(logit)), the largest over a text's tokens, of BERT's own head for masked words."""
    about = tiny_study.experiment(model="learned-sparse")
    model = models.start(tiny / "encoder", about, LENGTHS)
    bert = BertForMaskedLM.from_pretrained(tiny / "encoder").eval()
    found = learned_sparse.embed(model, source.passages, np.arange(12), source)
    assert isinstance(found, sparse.csr_array) and found.shape == (12, bert.config.vocab_size)
    for row in range(12):
        text = batches.texts(source.passages, [row], source.special, LENGTHS["text"])
        with torch.no_grad():
            logits = bert(**text).logits[0]
        expected = torch.log1p(torch.relu(logits)).amax(0).numpy()
        np.testing.assert_allclose(found[[row]].toarray()[0], expected, atol=1e-5)
    assert (found.toarray() >= 0).all() and 0 < found.nnz < found.shape[0] * found.shape[1]


def test_the_penalty_is_the_squared_mean_weight_of_every_word():
    query, passages = torch.rand(3, 7), torch.rand(5, 7)
    expected = sum((side.mean(0) ** 2).sum() for side in (query, passages))
    found = learned_sparse.penalty(None, {"sentence_embedding": query}, {"sentence_embedding": passages})
    torch.testing.assert_close(found, expected)


def test_a_larger_penalty_leaves_fewer_words(tiny, tmp_path, source):
    counts = []
    for sparsity in (0.0, 1.0):
        about = tiny_study.experiment(model="learned-sparse", sparsity=sparsity)
        folder = tiny_study.train(tiny, tmp_path / str(sparsity), about)
        model = models.load(folder / "model", "learned-sparse")
        counts.append(learned_sparse.embed(model, source.passages, np.arange(100), source).nnz)
    assert counts[1] < 0.5 * counts[0]


def test_only_learned_sparse_models_have_it():
    from params import changed, message

    told = message(changed({"experiments.de.sparsity": 0.1}))
    assert told == (
        "params.yaml: experiments.de.sparsity = 0.1 is for learned-sparse models, but this is a dual-encoder model: "
        "set it to 0."
    )


@pytest.mark.parametrize("block", [7, 1 << 14])
def test_the_search_finds_what_scoring_all_pairs_finds(tiny, trained, source, monkeypatch, block):
    monkeypatch.setattr("dualenc.retrieval.sparse.PASSAGES_AT_ONCE", block)
    model = models.load(trained["learned-sparse"] / "model", "learned-sparse")
    qids = collection.ids(tiny / "dataset", "test").to_pylist()
    pids = collection.ids(tiny / "dataset", "passages")
    run = retrieve(model, source, qids, pids, 5)
    rows = {pid: row for row, pid in enumerate(pids.to_pylist())}
    for at, qid in enumerate(qids[:9]):
        every = scoring.score(model, source, np.full(len(pids), at), np.arange(len(pids)))
        best = np.sort(every)[::-1][:5]
        np.testing.assert_allclose(run[qid].scores, best, rtol=1e-5)
        np.testing.assert_allclose(every[[rows[pid] for pid in run[qid].pids]], best, rtol=1e-5)
    with pytest.raises(UserError, match="the search is asked for"):
        retrieve(model, source, qids, pids, len(pids) + 1)


def test_scores_are_products_however_many_pairs_are_copied_at_once(trained, source, monkeypatch):
    model = models.load(trained["learned-sparse"] / "model", "learned-sparse")
    queries, passages = np.arange(30) % 7, np.arange(30)
    dense_queries = learned_sparse.embed(model, source.queries, queries, source).toarray()
    dense_passages = learned_sparse.embed(model, source.passages, passages, source).toarray()
    for size in (1 << 12, 7):
        monkeypatch.setattr(learned_sparse, "PAIRS_AT_ONCE", size)
        found = scoring.score(model, source, queries, passages)
        np.testing.assert_allclose(found, (dense_queries * dense_passages).sum(1), rtol=1e-5)


def test_equal_scores_are_in_the_order_of_the_rows():
    blocks = iter([(np.array([[2.0, 1.0]]), np.array([[1, 0]]), 2), (np.array([[2.0, 2.0]]), np.array([[0, 1]]), 2)])
    scores, rows = dense.best(1, blocks, 3)
    assert scores.tolist() == [[2, 2, 2]] and rows.tolist() == [[1, 2, 3]]
