"""Measures against direct readings of their definitions, ties that profit nobody, and the files."""

import hashlib
import json
from math import log2

import ir_measures
import numpy as np
import pandas as pd
import pytest
import pytrec_eval

from dualenc.data.collection import read_qrels
from dualenc.data.runs import Ranking, read_run, write_run
from dualenc.evaluation.metrics import called, candidate_metrics, evaluate, summarise, write_metrics
from dualenc.runtime.errors import UserError

INTERVAL = {"confidence": 0.95, "resamples": 200, "seed": 0}


def reciprocal_rank(order, relevance, k, rel=1):
    return next((1 / r for r, pid in enumerate(order[:k], 1) if relevance.get(pid, 0) >= rel), 0.0)


def recall(order, relevance, k, rel=1):
    relevant = {pid for pid, grade in relevance.items() if grade >= rel}
    return len(relevant & set(order[:k])) / len(relevant) if relevant else 0.0


def ndcg(order, relevance, k):
    def dcg(grades):
        return sum(grade / log2(rank + 1) for rank, grade in enumerate(grades[:k], 1))

    ideal = dcg(sorted(relevance.values(), reverse=True))
    return dcg([relevance.get(pid, 0) for pid in order]) / ideal if ideal else 0.0


def random_case(queries=60, depth=40):
    """A run without ties and graded qrels; some relevant passages are outside the run."""
    rng = np.random.default_rng(0)
    run, qrels = {}, {}
    for q in range(queries):
        pids = [f"p{p}" for p in rng.permutation(2 * depth)]
        run[f"q{q}"] = Ranking(pids[:depth], rng.permutation(depth).astype(np.float32))
        judged = rng.choice(pids, 10, replace=False)
        qrels[f"q{q}"] = {str(pid): int(grade) for pid, grade in zip(judged, rng.integers(0, 4, 10), strict=True)}
    return run, qrels


def best_first(ranking):
    return [ranking.pids[i] for i in np.argsort(-ranking.scores)]


def test_measures_agree_with_their_definitions():
    run, qrels = random_case()
    measures = ["RR@10", "RR(rel=2)@10", "nDCG@10", "nDCG@3", "R@20", "R(rel=3)@5"]
    ours = evaluate(run, qrels, measures)
    assert list(ours) == ["MRR@10", "MRR(rel=2)@10", "nDCG@10", "nDCG@3", "R@20", "R(rel=3)@5"]
    for qid, relevance in qrels.items():
        order = best_first(run[qid])
        assert [values[qid] for values in ours.values()] == pytest.approx(
            [
                reciprocal_rank(order, relevance, 10),
                reciprocal_rank(order, relevance, 10, rel=2),
                ndcg(order, relevance, 10),
                ndcg(order, relevance, 3),
                recall(order, relevance, 20),
                recall(order, relevance, 5, rel=3),
            ]
        )


def test_measures_agree_with_trec_eval_on_the_scores_themselves():
    run, qrels = random_case()
    theirs = pytrec_eval.RelevanceEvaluator(qrels, ["ndcg_cut_10", "recall_20", "recip_rank"]).evaluate(
        {qid: dict(zip(pids, scores.tolist(), strict=True)) for qid, (pids, scores) in run.items()}
    )
    ours = evaluate(run, qrels, ["nDCG@10", "R@20", "RR@10"])
    for qid in qrels:
        rr = theirs[qid]["recip_rank"]
        expected = [theirs[qid]["ndcg_cut_10"], theirs[qid]["recall_20"], rr if rr >= 1 / 10 else 0.0]
        assert [ours[m][qid] for m in ("nDCG@10", "R@20", "MRR@10")] == pytest.approx(expected)


MS_MARCO = ["RR@10", "nDCG@10", "R@30"]
TREC_DL = ["RR(rel=2)@10", "nDCG@10", "R(rel=2)@30"]


def official_case(seed, folder, grades, scores):
    """A run in a file and judgements in the format of the official ones, read back.

    ``grades`` are those of MS MARCO (a query has one or two passages of 1) or of TREC DL (0 to 3, many judged).
    """
    rng = np.random.default_rng(seed)
    run, lines = {}, []
    for qid in map(str, rng.choice(10**6, 25, replace=False)):
        pids = [str(pid) for pid in rng.choice(8_841_823, 90, replace=False)]
        run[qid] = Ranking(pids[:50], scores(rng))
        if grades == "ms-marco":
            lines += [f"{qid}\t0\t{pid}\t1\n" for pid in rng.choice(pids, rng.integers(1, 3), replace=False)]
        else:
            lines += [f"{qid} Q0 {pid} {rng.integers(0, 4)}\n" for pid in rng.permutation(pids)[:40]]
    write_run(folder / "x.run.gz", run, tag="x")
    (folder / "qrels.tsv").write_text("".join(lines), encoding="utf-8")
    return read_run(folder / "x.run.gz"), read_qrels(folder / "qrels.tsv")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("grades", "measures"), [("ms-marco", MS_MARCO), ("trec-dl", TREC_DL)])
def test_official_files_give_what_ir_measures_gives_by_trec_eval(tmp_path, seed, grades, measures):
    run, qrels = official_case(seed, tmp_path, grades, lambda rng: rng.permutation(50) / 7)
    ours = evaluate(run, qrels, measures)
    scored = {qid: dict(zip(pids, scores.tolist(), strict=True)) for qid, (pids, scores) in run.items()}
    parsed = [ir_measures.parse_measure(name) for name in measures if not name.startswith("RR")]
    parsed.append(ir_measures.parse_measure("RR(rel=2)" if grades == "trec-dl" else "RR"))  # trec_eval has no cutoff
    for value in ir_measures.pytrec_eval.iter_calc(parsed, qrels, scored):
        if value.measure.NAME == "RR":
            cut = value.value if value.value >= 1 / 10 else 0.0
            assert ours[called(measures[0])][value.query_id] == pytest.approx(cut)
        else:
            assert ours[str(value.measure)][value.query_id] == pytest.approx(value.value)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("grades", "measures"), [("ms-marco", MS_MARCO), ("trec-dl", TREC_DL)])
def test_official_files_with_ties_give_the_definitions_under_our_rule(tmp_path, seed, grades, measures):
    run, qrels = official_case(seed, tmp_path, grades, lambda rng: rng.integers(0, 6, 50) / 3)
    ours, rel = evaluate(run, qrels, measures), 2 if grades == "trec-dl" else 1
    tied = 0
    for qid, judged in qrels.items():

        def place(pid, qid=qid):
            return hashlib.blake2b(f"{qid} {pid}".encode(), digest_size=8).digest()

        scores = dict(zip(*run[qid], strict=True))
        order = sorted(scores, key=lambda pid: (-scores[pid], place(pid)))
        expected = [reciprocal_rank(order, judged, 10, rel), ndcg(order, judged, 10), recall(order, judged, 30, rel)]
        assert [values[qid] for values in ours.values()] == pytest.approx(expected)
        by_pid = sorted(scores, key=lambda pid: (-scores[pid], pid))
        tied += ndcg(order, judged, 10) != ndcg(by_pid, judged, 10)
    assert tied  # the rule matters


def test_graded_ndcg_by_hand():
    run = {"q": Ranking(["a", "b", "c"], np.array([3.0, 2.0, 1.0]))}
    value = evaluate(run, {"q": {"a": 1, "b": 3, "x": 2}}, ["nDCG@2"])["nDCG@2"]["q"]
    assert value == pytest.approx((1 + 3 / log2(3)) / (3 + 2 / log2(3)))


def test_a_measure_does_not_depend_on_the_others_asked_for():
    run, qrels = random_case()
    names = {"RR@10": "MRR@10", "nDCG@10": "nDCG@10", "R(rel=2)@5": "R(rel=2)@5"}
    together = evaluate(run, qrels, list(names))
    for asked, returned in names.items():
        assert evaluate(run, qrels, [asked]) == {returned: together[returned]}
    assert evaluate(run, qrels, ["MRR@10"]) == {"MRR@10": together["MRR@10"]}


@pytest.mark.parametrize("place", ["first", "last"])
def test_constant_scorer_gets_what_a_random_order_gets(place):
    # One relevant passage of n: E[RR@10] = (1 + 1/2 + ... + 1/10) / n, wherever it stands among candidates
    # and pids.
    n, queries = 20, 3000
    pids = [f"{i:02d}" for i in range(n)]
    relevant = pids[0] if place == "first" else pids[-1]
    run = {f"q{q}": Ranking(pids, np.zeros(n)) for q in range(queries)}
    values = evaluate(run, {qid: {relevant: 1} for qid in run}, ["RR@10", "R@10"])
    chances = np.array([1 / r if r <= 10 else 0.0 for r in range(1, n + 1)])
    mean = np.mean(list(values["MRR@10"].values()))
    assert mean == pytest.approx(chances.mean(), abs=3.5 * chances.std() / np.sqrt(queries))
    recall_at_10 = np.mean(list(values["R@10"].values()))
    assert recall_at_10 == pytest.approx(10 / n, abs=3.5 * 0.5 / np.sqrt(queries))


def test_ties_are_ordered_alike_in_the_file_and_in_the_measure(tmp_path):
    pids = [f"p{i}" for i in range(30)]
    run = {f"q{q}": Ranking(pids, np.arange(30) // 6) for q in range(20)}
    qrels = {qid: {pids[int(qid[1:])]: 1} for qid in run}
    write_run(tmp_path / "x.run.gz", run, tag="x")
    read = read_run(tmp_path / "x.run.gz")
    ours = evaluate(run, qrels, ["RR@10"])["MRR@10"]
    assert ours == evaluate(read, qrels, ["RR@10"])["MRR@10"]
    assert ours == pytest.approx({qid: reciprocal_rank(read[qid].pids, qrels[qid], 10) for qid in qrels})


def test_every_judged_query_counts_and_no_other():
    run = {
        "hit": Ranking(["a", "b"], np.array([2.0, 1.0])),
        "relevant passage not in the list": Ranking(["c"], np.ones(1)),
        "not judged": Ranking(["a"], np.ones(1)),
    }
    qrels = {"no list": {"a": 1}, "hit": {"a": 1}, "relevant passage not in the list": {"x": 1}}
    values = evaluate(run, qrels, ["RR@10", "nDCG@10", "R@50"])
    expected = {"no list": 0.0, "hit": 1.0, "relevant passage not in the list": 0.0}
    assert values == {"MRR@10": expected, "nDCG@10": expected, "R@50": expected}
    assert all(list(by_qid) == list(qrels) for by_qid in values.values())


def test_run_of_another_dataset_is_refused():
    with pytest.raises(UserError, match="None of the run's 1 queries is among the 2 queries"):
        evaluate({"x": Ranking(["a"], np.ones(1))}, {"1": {"a": 1}, "2": {"a": 1}}, ["RR@10"])


@pytest.mark.parametrize("name", ["RR", "RR@0", "AP@10", "nDCG(rel=2)@10", "R@5 ", "RR(judged_only=True)@10"])
def test_unknown_measure_is_named(name):
    with pytest.raises(UserError, match="Unknown measure") as error:
        evaluate({"q": Ranking(["a"], np.ones(1))}, {"q": {"a": 1}}, [name])
    assert repr(name) in str(error.value)


def test_candidate_metrics_are_means_of_the_definitions():
    run, qrels = random_case()
    orders = {qid: best_first(run[qid]) for qid in run}
    assert candidate_metrics(run, qrels, 30) == pytest.approx(
        {
            "R@30": np.mean([recall(orders[qid], qrels[qid], 30) for qid in qrels]),
            "MRR@10": np.mean([reciprocal_rank(orders[qid], qrels[qid], 10) for qid in qrels]),
        }
    )


def test_summary_has_the_mean_inside_its_interval():
    run, qrels = random_case()
    per_query = evaluate(run, qrels, ["RR@10", "nDCG@10"])
    summary = summarise(per_query, **INTERVAL)
    for measure, by_qid in per_query.items():
        assert summary[measure]["mean"] == pytest.approx(np.mean(list(by_qid.values())))
        assert summary[measure]["low"] < summary[measure]["mean"] < summary[measure]["high"]
        assert summary[measure]["queries"] == len(qrels)


def test_metrics_files_hold_the_values_and_their_summary(tmp_path):
    run, qrels = random_case()
    dev = evaluate(run, qrels, ["RR@10", "nDCG@10"])
    dl19 = evaluate(run, dict(list(qrels.items())[:5]), ["RR(rel=2)@10"])
    write_metrics(tmp_path / "seed-0", {"dev": dev, "dl19": dl19}, **INTERVAL)
    metrics = json.loads((tmp_path / "seed-0" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == {"dev": summarise(dev, **INTERVAL), "dl19": summarise(dl19, **INTERVAL)}
    table = pd.read_parquet(tmp_path / "seed-0" / "per_query.parquet")
    assert list(table.columns) == ["evalset", "qid", "measure", "value"]
    back = {
        evalset: {
            measure: dict(zip(rows.qid, rows.value, strict=True))
            for measure, rows in part.groupby("measure", sort=False)
        }
        for evalset, part in table.groupby("evalset", sort=False)
    }
    assert back == {"dev": dev, "dl19": dl19}
    assert {path.name for path in (tmp_path / "seed-0").iterdir()} == {"metrics.json", "per_query.parquet"}
