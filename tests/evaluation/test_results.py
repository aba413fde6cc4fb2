"""Per-query values come back aligned, and what does not fit together is refused."""

import numpy as np
import pandas as pd
import pytest

import results_tree
from dualenc.evaluation import results
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from results_tree import EVALUATION

TEST = ("test", "MRR@10")


def test_values_are_those_of_the_files_with_a_row_for_each_seed_and_sorted_queries(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5})
    system = results.load(tmp_path, "ca", [2, 1])
    assert system.qids["test"] == sorted(f"test-{number}" for number in range(60))
    for row, seed in enumerate([2, 1]):
        written = results_tree.per_query("ca", 0.5, seed)["test"]["nDCG@10"]
        expected = [written[qid] for qid in system.qids["test"]]
        assert system.per_query["test"]["nDCG@10"][row].tolist() == expected


def test_bm25_has_no_seeds(tmp_path):
    results_tree.write(tmp_path, {"bm25": 0.5})
    system = results.load(tmp_path, "bm25", [1, 2, 3])
    assert results.values(system, *TEST).shape == (1, 60)


def test_the_estimate_of_one_seed_is_that_of_its_metrics(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5}, seeds=[3])
    estimate = results.estimate(results.load(tmp_path, "ca", [3]), *TEST, EVALUATION)
    metrics = read_json(tmp_path / "runs/ca/seed-3/metrics.json")["test"]["MRR@10"]
    assert estimate.mean == pytest.approx(metrics["mean"])
    # The queries stand in another order, so the resamples differ.
    width = metrics["high"] - metrics["low"]
    assert [estimate.low, estimate.high] == pytest.approx([metrics["low"], metrics["high"]], abs=0.2 * width)
    assert (estimate.seeds, estimate.queries) == (1, 60)
    assert estimate.seed_low == estimate.seed_high == estimate.mean
    assert np.isnan(estimate.seed_sd)


def test_the_spread_over_seeds_is_that_of_their_means():
    array = np.array([[0.0, 0.2, 0.4], [0.2, 0.4, 0.6]])
    system = results.System("x", {"test": ["a", "b", "c"]}, {"test": {"MRR@10": array}})
    estimate = results.estimate(system, *TEST, EVALUATION)
    assert (estimate.seed_low, estimate.mean, estimate.seed_high) == pytest.approx((0.2, 0.3, 0.4))
    assert estimate.seed_sd == pytest.approx(np.sqrt(0.02))
    assert 0.1 <= estimate.low < 0.3 < estimate.high <= 0.5  # the queries' averages over seeds are .1, .3, .5


def test_a_clear_difference_is_significant_and_none_is_not(tmp_path):
    results_tree.write(tmp_path, {"a": 0.5, "b": 0.4})
    systems = results.load_all(tmp_path, ["a", "b"], [1, 2])
    measured = [TEST, ("test", "nDCG@10")]
    tests = [(*pair, *column) for pair in [("a", "b"), ("a", "a")] for column in measured]
    compared = results.compare(systems, tests, EVALUATION)
    clear, none = compared["a", "b", *TEST], compared["a", "a", *TEST]
    assert clear.gain_low < clear.gain < clear.gain_high
    assert clear.gain == pytest.approx(0.1, abs=0.005)
    # The smallest p of 4999 permutations is 1/5000; Holm multiplies it by the 4 tests of the family.
    assert clear.p == pytest.approx(0.0002)
    assert clear.p_holm == pytest.approx(0.0008)
    assert (none.gain, none.p, none.p_holm) == (0, 1, 1)


def test_retrieval_is_an_evaluation_set_of_those_that_have_it(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5, "de": 0.4})
    results_tree.write_retrieval(tmp_path, {"de": 0.2})
    systems = results.with_retrieval(results.load_all(tmp_path, ["ca", "de"], [1, 2]), tmp_path, ["de"], 1)
    assert results.RETRIEVAL not in systems["ca"].qids
    retrieved = results.values(systems["de"], results.RETRIEVAL, "MRR@10")
    assert retrieved.shape == (1, 60) and retrieved.mean() == pytest.approx(0.2, abs=0.05)
    assert results.values(systems["de"], *TEST).mean() == pytest.approx(0.4, abs=0.05)


def test_a_missing_retrieval_names_its_file(tmp_path):
    results_tree.write(tmp_path, {"de": 0.4})
    systems = results.load_all(tmp_path, ["de"], [1])
    with pytest.raises(UserError, match=r"retrieval/de/seed-1/per_query\.parquet does not exist"):
        results.with_retrieval(systems, tmp_path, ["de"], 1)


def test_a_missing_run_names_its_file(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5}, seeds=[1])
    with pytest.raises(UserError, match=r"runs/ca/seed-2/per_query\.parquet does not exist"):
        results.load(tmp_path, "ca", [1, 2])


def test_a_broken_file_is_named(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5}, seeds=[1])
    path = tmp_path / "runs/ca/seed-1/per_query.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"seed-1/per_query\.parquet is not a table"):
        results.load(tmp_path, "ca", [1])


def test_a_query_that_stands_twice_is_named(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5}, seeds=[1])
    path = tmp_path / "runs/ca/seed-1/per_query.parquet"
    frame = pd.read_parquet(path)
    pd.concat([frame, frame[frame.qid == "test-7"].tail(1)]).to_parquet(path)
    with pytest.raises(UserError, match="nDCG@10 for query test-7 on test twice"):
        results.load(tmp_path, "ca", [1])


def test_seeds_on_other_queries_are_refused(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5}, seeds=[1])
    results_tree.write(tmp_path, {"ca": 0.5}, seeds=[2], queries={**results_tree.QUERIES, "test": 61})
    with pytest.raises(UserError, match=r"seed-1 and .*seed-2 .*query test-60 on test"):
        results.load(tmp_path, "ca", [1, 2])


def test_systems_on_other_queries_are_refused(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5})
    results_tree.write(tmp_path, {"de": 0.5}, queries={**results_tree.QUERIES, "train": 31})
    with pytest.raises(UserError, match=r"'ca' and 'de' .*queries of train .*train-30"):
        results.load_all(tmp_path, ["ca", "de"], [1, 2])


def test_a_measure_that_was_not_evaluated_is_named(tmp_path):
    results_tree.write(tmp_path, {"ca": 0.5})
    with pytest.raises(UserError, match="'ca' has no R@5 on test"):
        results.values(results.load(tmp_path, "ca", [1]), "test", "R@5")
