"""Best factorisations against numpy's SVD and against factorisations that are not the best (Proposition 1)."""

import numpy as np
import pytest

import scored_tree
from dualenc.analysis.factorisation import best, best_errors, block, centred, error
from dualenc.data.runs import read_run
from dualenc.runtime.errors import UserError

generator = np.random.default_rng(0)
SCORES = generator.normal(size=(12, 20)) * np.linspace(1, 5, 20)


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_the_error_is_the_tail_of_the_singular_values(shape):
    scores = SCORES.reshape(shape)
    left, singular, right = np.linalg.svd(scores)
    found = best_errors(scores)
    assert len(found) == 12
    for rank in range(1, 13):
        tail = np.sqrt((singular[rank:] ** 2).sum() / (singular**2).sum())
        residual = scores - left[:, :rank] @ np.diag(singular[:rank]) @ right[:rank]
        assert found[rank - 1] == pytest.approx(tail, abs=1e-12)
        assert found[rank - 1] == pytest.approx(np.linalg.norm(residual) / np.linalg.norm(scores), abs=1e-12)
        assert best(scores, rank) == pytest.approx(scores - residual)
        assert error(scores, best(scores, rank)) == pytest.approx(tail, abs=1e-7)


def test_enough_dimensions_make_any_score_function():
    """Proposition 1 for finitely many queries and passages: the rank is enough, and one less is not."""
    scores = SCORES[:, :5] @ generator.normal(size=(5, 30))
    found = best_errors(scores)
    assert found[4] == pytest.approx(0, abs=1e-7) and found[3] > 0.01
    assert (np.diff(found) <= 1e-12).all()


@pytest.mark.parametrize("rank", [1, 4, 11])
def test_no_dual_encoder_is_better_than_the_best(rank):
    """Eckart and Young, for random ones, for disturbed best ones, and with any factor."""
    left, singular, right = np.linalg.svd(SCORES, full_matrices=False)
    bound = best_errors(SCORES)[rank - 1]
    for noise in (0.01, 0.3, 10):
        queries = left[:, :rank] * singular[:rank] + noise * generator.normal(size=(12, rank))
        passages = right[:rank].T + noise * generator.normal(size=(20, rank))
        assert error(SCORES, 7 * queries @ passages.T) >= bound


def test_the_error_is_least_squares_over_a_factor():
    other = generator.normal(size=SCORES.shape)
    factor = np.linalg.lstsq(other.reshape(-1, 1), SCORES.ravel(), rcond=None)[0]
    expected = np.linalg.norm(SCORES - factor * other) / np.linalg.norm(SCORES)
    assert error(SCORES, other) == pytest.approx(expected)
    assert error(SCORES, -3 * SCORES) == pytest.approx(0, abs=1e-7)


def test_centring_takes_out_what_a_query_adds_and_keeps_dot_products():
    scores = generator.normal(size=(12, 3)) @ generator.normal(size=(3, 20))
    moved = centred(scores + 100 * generator.normal(size=(12, 1)))
    assert moved.mean(axis=1) == pytest.approx(0)
    assert moved == pytest.approx(centred(scores))
    assert np.linalg.matrix_rank(moved, tol=1e-8) == 3


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, [])
    return read_run(root / "evaluation/test.run.gz"), scored_tree.qrels(root, "test")


def test_a_block_has_a_relevant_passage_for_each_query(candidates):
    run, qrels = candidates
    qids, pids = block(run, qrels, queries=20, passages=45)
    assert (len(qids), len(pids), len(set(pids))) == (20, 45, 45)
    assert all(qrels[qid].keys() & set(pids) for qid in qids)
    own = {pid for qid in qids for pid in run[qid].pids} | {pid for qid in qids for pid in qrels[qid]}
    assert set(pids) <= own
    assert block(run, qrels, queries=5, passages=45)[0] == qids[:5]


def test_a_block_is_no_larger_than_its_candidates(candidates):
    qids, pids = block(*candidates, queries=1000, passages=100_000)
    missed = len(qids) // 5  # their relevant passage is no candidate
    assert (len(qids), len(pids)) == (scored_tree.QUERIES["test"], 50 * scored_tree.DEPTH + missed)


def test_fewer_passages_than_queries_are_refused(candidates):
    with pytest.raises(UserError, match="20 queries and 10 passages lacks relevant passages"):
        block(*candidates, queries=20, passages=10)
