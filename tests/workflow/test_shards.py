"""A collection and training lists in shards: a job each, whose files go when they are used, and the same found."""

import shutil

import numpy as np
import yaml

from dualenc.data.runs import read_run

RUN = "results/smoke/retrieval/de/seed-1/test.run.gz"
SCORES = "results/smoke/supervision/ca/lists.parquet"


def test_shards_are_jobs_and_find_the_same(finished, tmp_path, call_in):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, symlinks=True)
    params = yaml.safe_load((copy / "params.yaml").read_text(encoding="utf-8"))
    params["scales"]["smoke"]["shards"] = 3
    (copy / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    again = "--rerun-triggers", "mtime", "--force"  # the code is elsewhere, but not newer
    result = call_in(copy, "snakemake", "--cores", "2", *again, "--config", "scale=smoke", "--", RUN, SCORES)
    assert result.returncode == 0, result.stdout
    for shard in range(3):
        assert f"Encoding shard {shard} of all passages with de, seed 1" in result.stdout
        assert f"Scoring shard {shard} of the training lists with ca" in result.stdout
    assert not list((copy / RUN).parent.rglob("*.npy")) and not list((copy / SCORES).parent.rglob("*.npy"))
    assert (copy / SCORES).read_bytes() == (finished / SCORES).read_bytes()
    before, after = (read_run(folder / RUN) for folder in (finished, copy))
    assert before.keys() == after.keys()
    for qid, ranking in before.items():
        spread = np.ptp(ranking.scores) + np.abs(ranking.scores).max()
        np.testing.assert_allclose(after[qid].scores, ranking.scores, atol=1e-3 * spread)
