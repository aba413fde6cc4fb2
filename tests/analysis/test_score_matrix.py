"""Blocks of scores are the scores that the model's runs have."""

import pandas as pd
import pytest

from dualenc.data.runs import read_run
from dualenc.steps.score_matrix import score_matrix
from dualenc.study.settings import ScoreMatrix


@pytest.mark.parametrize("kind", ["cross-attention", "dual-encoder"])
def test_a_matrix_has_every_pair_of_its_block_with_the_score_of_the_run(kind, tiny, trained, tmp_path):
    params = ScoreMatrix(model=kind, score_matrix={"queries": 12, "passages": 30}, tokens_per_batch=4096)
    output = tmp_path / "matrix.parquet"
    score_matrix(params, tiny / "dataset", tiny / "tokens", tiny / "evaluation", trained[kind], output)
    frame = pd.read_parquet(output)
    assert set(frame.columns) == {"evalset", "qid", "pid", "score"}
    for evalset in ("train", "test"):
        part = frame[frame.evalset == evalset]
        assert part.pivot(index="qid", columns="pid", values="score").notna().all(axis=None)
        assert (part.qid.nunique(), part.pid.nunique(), len(part)) == (12, 30, 360)
        run = read_run(trained[kind] / f"{evalset}.run.gz")
        scores = part.set_index(["qid", "pid"]).score
        shared = [(qid, pid, score) for qid in part.qid.unique() for pid, score in zip(*run[qid], strict=True)]
        shared = [(qid, pid, score) for qid, pid, score in shared if (qid, pid) in scores.index]
        assert len(shared) > 12
        for qid, pid, score in shared:
            assert scores[qid, pid] == pytest.approx(float(score), abs=1e-4)


def test_the_command_writes_the_matrix(tiny, trained, tmp_path):
    import json

    from typer.testing import CliRunner

    from dualenc import cli

    parameters = {"model": "dual-encoder", "score_matrix": {"queries": 2, "passages": 4}, "tokens_per_batch": 4096}
    folders = {"dataset": tiny / "dataset", "tokens": tiny / "tokens", "evaluation": tiny / "evaluation"}
    folders |= {"run": trained["dual-encoder"], "output": tmp_path / "m.parquet"}
    arguments = [word for name, folder in folders.items() for word in (f"--{name}", str(folder))]
    result = CliRunner().invoke(cli.app, ["score-matrix", "--params", json.dumps(parameters), *arguments])
    assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(tmp_path / "m.parquet")) == 2 * 2 * 4
