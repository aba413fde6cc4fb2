"""One gradient step on a pair: what it must do to first order, and that it leaves the model as it was."""

import numpy as np
import pandas as pd
import pytest
import torch

import tiny_study
from dualenc.analysis import influence, score_updates
from dualenc.data.collection import read_qrels
from dualenc.data.runs import read_run
from dualenc.runtime.errors import UserError
from dualenc.scorers import models, reading, scoring
from dualenc.steps.inputs import rows
from dualenc.steps.score_updates import score_updates as run_step
from dualenc.study.settings import ScoreUpdates

KINDS = list(models.MODULES)


@pytest.fixture(scope="module")
def evaluation(tiny):
    return read_run(tiny / "evaluation/test.run.gz"), read_qrels(tiny / "evaluation/test.qrels.tsv")


@pytest.fixture(scope="module")
def watched(evaluation):
    return score_updates.neighbours(*evaluation, pairs=4, others=5)


@pytest.fixture(scope="module")
def source(tiny):
    return reading.texts(tiny / "tokens", "test", 4096)


@pytest.fixture(scope="module")
def identifiers(tiny):
    return rows(tiny / "dataset", "test"), rows(tiny / "dataset", "passages")


def test_what_is_watched_shares_what_it_says(evaluation, watched):
    candidates, qrels = evaluation
    stepped = watched[["qid", "pid"]].drop_duplicates()
    assert len(stepped) == 4
    assert all(qrels[qid][pid] > 0 and pid in candidates[qid].pids for qid, pid in stepped.itertuples(index=False))
    same = pd.DataFrame({"query": watched.qid == watched.other_qid, "passage": watched.pid == watched.other_pid})
    assert (same["query"] == (watched.shared == "query")).all()
    assert (same["passage"] == (watched.shared == "passage")).all()
    assert (watched.groupby(["qid", "shared"]).size() <= 5).all() and set(watched.shared) == {
        "query",
        "passage",
        "neither",
    }
    siblings = watched[watched.shared == "query"]
    assert all(pid in candidates[qid].pids for qid, pid in zip(siblings.qid, siblings.other_pid, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_those_of_the_tangent_kernel(kind, trained, source, watched, identifiers):
    """For a small step on s along its gradient, another score s' changes by <grad s', grad s> / <grad s, grad s>."""
    model = models.load(trained[kind] / "model", kind)
    changed = score_updates.changes(model, source, watched, *identifiers, step=1e-4)
    model.double().eval()

    def gradient(qid, pid):
        model.zero_grad()
        rows = np.array([identifiers[0][qid]]), np.array([identifiers[1][pid]])
        models.kind(model).differentiable(model, source, *rows).squeeze().backward()
        return torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in model.parameters()])

    for line in changed.iloc[::7].itertuples():
        own, other = gradient(line.qid, line.pid), gradient(line.other_qid, line.other_pid)
        expected = float(own @ other / (own @ own))
        assert line.change / line.own_change == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_own_score_rises_by_the_same_part_of_the_spread_in_every_model(kind, trained, source, watched, identifiers):
    model = models.load(trained[kind] / "model", kind)
    others = [
        np.array([where[name] for name in watched[column]])
        for where, column in zip(identifiers, ["other_qid", "other_pid"], strict=True)
    ]
    spread = scoring.score(model.double(), source, *others).std()
    for step in (0.001, 0.002):
        changed = score_updates.changes(model, source, watched, *identifiers, step=step)
        assert changed.own_change.to_numpy() == pytest.approx(step * spread, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_runs(kind, trained, source, watched, identifiers):
    model = models.load(trained[kind] / "model", kind)
    rows = [np.array([identifiers[0][qid] for qid in watched.other_qid])]
    rows.append(np.array([identifiers[1][pid] for pid in watched.other_pid]))
    with torch.no_grad():
        found = models.kind(model).differentiable(model.eval(), source, *rows)
    assert found.numpy() == pytest.approx(scoring.score(model, source, *rows), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_starts_from_the_same_model_and_it_is_left_as_it_was(kind, trained, source, watched, identifiers):
    model = models.load(trained[kind] / "model", kind).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = score_updates.changes(model, source, watched, *identifiers, step=0.1)
    backwards = score_updates.changes(model, source, watched.iloc[::-1], *identifiers, step=0.1)
    assert backwards.iloc[::-1].change.to_numpy() == pytest.approx(first.change.to_numpy())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_step_writes_every_checkpoint_and_the_end(tiny, trained, tmp_path):
    run = trained["dual-encoder"]
    for step in (0, 3):
        folder = tmp_path / "checkpoints" / f"step-{step}"
        folder.mkdir(parents=True)
        (folder / "model").symlink_to(run / "model")
    asked = {"checkpoints": [0, 3], "score_updates": {"pairs": 3, "others": 2, "step": 0.01}}
    params = ScoreUpdates(model="dual-encoder", tokens_per_batch=tiny_study.SETTINGS["tokens_per_batch"], **asked)
    output = tmp_path / "updates.parquet"
    folders = tiny / "dataset", tiny / "tokens", tiny / "evaluation", tmp_path / "checkpoints", run
    run_step(params, *folders, output)
    frame = pd.read_parquet(output)
    assert list(frame.checkpoint.unique()) == ["step-0", "step-3", "end"]
    assert influence.relative(frame).between(0, 10).all()
    parts = [part.drop(columns="checkpoint").reset_index(drop=True) for _, part in frame.groupby("checkpoint")]
    assert parts[0].equals(parts[1]) and parts[1].equals(parts[2])  # the same model each time


def test_too_few_queries_are_refused(evaluation):
    candidates, qrels = evaluation
    qid = next(qid for qid in candidates if any(qrels[qid].get(pid) for pid in candidates[qid].pids))
    with pytest.raises(UserError, match="Fewer than two queries have a relevant candidate"):
        score_updates.neighbours({qid: candidates[qid]}, qrels, pairs=3, others=2)
