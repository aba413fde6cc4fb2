"""A small results folder with real files of scored pairs: runs whose scores are drawn from chosen distributions."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd

import results_tree
from dualenc.data.runs import Ranking, read_run, write_run
from dualenc.evaluation.metrics import evaluate, write_metrics

DEPTH = 12
QUERIES = {"train": 40, "validation": 10, "test": 50}
SEED = 1
CHECKPOINTS = [0, 20]


class Scorer(NamedTuple):
    """Scores are ``baseline`` + what a query adds (of this deviation) + ``margin`` if relevant + noise."""

    margin: float
    noise: float
    baseline: float = 0.0
    query: float = 0.0


# As in the paper: CA has the larger margin and the smaller noise, a dual-encoder a strong baseline shift.
SCORERS = {
    "ca": Scorer(margin=6, noise=1, baseline=-2, query=0.3),
    "de": Scorer(margin=20, noise=10, baseline=700, query=8),
    "de-softmax-ce": Scorer(margin=30, noise=8, baseline=650, query=8),
    "de-m3se": Scorer(margin=28, noise=8, baseline=600, query=8),
    "de-margin-mse": Scorer(margin=25, noise=9, baseline=600, query=8),
}
UNTRAINED = {"cross-attention": Scorer(margin=0, noise=0.05), "dual-encoder": Scorer(margin=1, noise=8, baseline=300)}


def params(artefact: str, names: list[str], options: Mapping[str, object], **more: object) -> dict[str, object]:
    """The slice of params.yaml that an artefact of scored pairs gets."""
    runs = [results_tree.run(name) for name in names]
    return {**results_tree.params(artefact, runs, seeds=[SEED]), "options": dict(options), **more}


def write(root: Path, names: list[str], queries: Mapping[str, int] = QUERIES, depth: int = DEPTH) -> None:
    """Write candidates, judgements, texts, and for each run of ``names`` its runs, values, curve and checkpoints."""
    for evalset, count in queries.items():
        _write_evaluation_set(root, evalset, count, depth)
    _write_texts(root, queries, depth)
    for name in names:
        run = results_tree.run(name)
        folder = root / "runs" / name / f"seed-{SEED}"
        per_query = {}
        for evalset in queries:
            scored = _scored(root, evalset, SCORERS[name], name)
            write_run(folder / f"{evalset}.run.gz", scored, tag=name)
            per_query[evalset] = evaluate(scored, qrels(root, evalset), results_tree.EVALUATION["measures"])
        about = {key: results_tree.EVALUATION[key] for key in ("confidence", "resamples", "seed")}
        write_metrics(folder, per_query, **about)
        _write_curve(folder / "curve.csv", name)
        for step in CHECKPOINTS:
            done = 0.6 * step / max(CHECKPOINTS)
            early = Scorer(*((1 - done) * np.array(UNTRAINED[run["model"]]) + done * np.array(SCORERS[name])))
            path = root / "checkpoints" / name / f"seed-{SEED}" / f"step-{step}" / "test.run.gz"
            write_run(path, _scored(root, "test", early, f"{name}-{step}"), tag=name)


def qrels(root: Path, evalset: str) -> dict[str, dict[str, int]]:
    """The judgements, read by other code than the project's."""
    lines = (root / "evaluation" / f"{evalset}.qrels.tsv").read_text(encoding="utf-8").splitlines()
    judged: dict[str, dict[str, int]] = {}
    for qid, _, pid, rel in map(str.split, lines):
        judged.setdefault(qid, {})[pid] = int(rel)
    return judged


def _write_evaluation_set(root: Path, evalset: str, count: int, depth: int) -> None:
    """Each query has ``depth`` candidates; one is relevant, but every fifth query's is not among them."""
    run = {
        f"{evalset}-{number}": Ranking([f"{evalset}-{number}-{place}" for place in range(depth)], -np.arange(depth))
        for number in range(count)
    }
    write_run(root / "evaluation" / f"{evalset}.run.gz", run, tag="bm25")
    relevant = {qid: f"{qid}-{'missed' if number % 5 == 0 else number % depth}" for number, qid in enumerate(run)}
    lines = [f"{qid} 0 {pid} 1\n" for qid, pid in relevant.items()]
    (root / "evaluation" / f"{evalset}.qrels.tsv").write_text("".join(lines), encoding="utf-8")


def _write_texts(root: Path, queries: Mapping[str, int], depth: int) -> None:
    """A query asks for two things that all passages of it name, in words that Markdown and LaTeX take for their own."""
    folder = root / "data" / "pydocs"
    folder.mkdir(parents=True)
    passages = []
    for evalset, count in queries.items():
        qids = [f"{evalset}-{number}" for number in range(count)]
        asked = [f"What is thing_{number} of *that*?" for number in range(count)]
        pd.DataFrame({"qid": qids, "text": asked}).to_parquet(folder / f"queries.{evalset}.parquet", index=False)
        passages += [
            (f"{qid}-{place}", f"Thing_{number}, ${place} & 100 % of <it>: \\alpha\n" + f"word{place} " * 40)
            for number, qid in enumerate(qids)
            for place in [*range(depth), "missed"]
        ]
    pd.DataFrame(passages, columns=["pid", "text"]).to_parquet(folder / "passages.parquet", index=False)


def _write_curve(path: Path, name: str) -> None:
    """Train grows along training; validation and test grow less and are best before the end."""
    generator = np.random.default_rng(crc32(name.encode()))
    reached = generator.uniform(0.4, 0.6)
    lines = ["step,split,metric,value"]
    for step in range(0, 400 if name == "ca" else 240, 20):
        done = 1 - np.exp(-step / 80)
        values = {"train": reached * done, "validation": 0.5 * reached * (done - (step / 400) ** 2)}
        values["test"] = values["validation"]
        lines += [f"{step},train,loss,{2 - done}"]
        lines += [
            f"{step},{split},{measure},{0.1 + value + generator.normal(0, 0.01)}"
            for split, value in values.items()
            for measure in results_tree.EVALUATION["measures"]
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _scored(root: Path, evalset: str, scorer: Scorer, name: str) -> dict[str, Ranking]:
    """The candidates with scores of ``scorer``."""
    generator = np.random.default_rng([crc32(evalset.encode()), crc32(name.encode())])
    judged = qrels(root, evalset)
    scored = {}
    for qid, ranking in read_run(root / "evaluation" / f"{evalset}.run.gz").items():
        relevant = np.array([judged[qid].get(pid, 0) for pid in ranking.pids])
        common = scorer.baseline + scorer.query * generator.normal()
        scores = common + scorer.margin * relevant + scorer.noise * generator.gumbel(size=len(relevant))
        scored[qid] = Ranking(ranking.pids, scores)
    return scored


def write_matrices(root: Path, names: list[str], queries: int, passages: int) -> None:
    """Write score matrices: the teacher ``ca`` has full rank, a dual-encoder of width r a disturbed rank r."""
    for name in names:
        frames = []
        for evalset in ("train", "test"):
            generator = np.random.default_rng(crc32(evalset.encode()))
            qids = [f"{evalset}-{number}" for number in range(queries)]
            judged = qrels(root, evalset)
            pids = [next(iter(judged[qid])) for qid in qids]
            pids += [f"other-{number}" for number in range(passages - queries)]
            scores = generator.normal(size=(queries, 10)) @ generator.normal(size=(10, passages))
            scores += 6 * np.eye(queries, passages) + generator.normal(size=scores.shape)
            if name != "ca":
                noise = {"train": 4, "test": 12}[evalset] * (1 if name.startswith("de.") else 0.6)
                disturbed = scores + noise * generator.normal(size=scores.shape)
                left, singular, right = np.linalg.svd(disturbed, full_matrices=False)
                width = int(name.rpartition("-")[2])
                scores = 700 + 3 * (left[:, :width] * singular[:width]) @ right[:width]
            frames.append(
                pd.DataFrame(
                    {
                        "evalset": evalset,
                        "qid": np.repeat(qids, passages),
                        "pid": pids * queries,
                        "score": scores.ravel().astype(np.float32),
                    }
                )
            )
        path = root / "score-matrices" / name / f"seed-{SEED}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.concat(frames).to_parquet(path, index=False)


def write_updates(root: Path, sharing: Mapping[str, float]) -> None:
    """Write score updates: pairs that share something move by a half of the own change, and by as much more."""
    for name, more in sharing.items():
        generator = np.random.default_rng(crc32(name.encode()))
        rows = []
        for checkpoint in (*(f"step-{step}" for step in CHECKPOINTS), "end"):
            for number in range(8):
                for shared, size in {"query": 0.5 + more, "passage": 0.5 + more / 2, "neither": 0.5}.items():
                    for change in size + generator.normal(0, 0.1, size=6):
                        rows.append((f"test-{number}", "p", shared, "q", "p", 0.02, 0.02 * change, checkpoint))
        columns = ["qid", "pid", "shared", "other_qid", "other_pid", "own_change", "change", "checkpoint"]
        path = root / "score-updates" / name / f"seed-{SEED}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=columns).to_parquet(path, index=False)


def by_hand(path):
    """(qid, pid) -> score of a run file, read by other code than the project's."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return {(qid, pid): float(score) for qid, _, pid, _, score, _ in map(str.split, lines)}


def of_queries(root, name):
    """qid -> (positive scores, negative scores), straight from the files."""
    judged = qrels(root, "test")
    scores = {qid: ([], []) for qid in judged}
    for (qid, pid), score in by_hand(root / f"runs/{name}/seed-{SEED}/test.run.gz").items():
        scores[qid][0 if judged[qid].get(pid) else 1].append(score)
    return scores
