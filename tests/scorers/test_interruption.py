"""Long steps that are not trainings: killed, or out of disk, they go on with the parts that are done."""

import gzip
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import tiny_study
from dualenc.runtime import states
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5
from dualenc.scorers import distributed, parts, scoring
from processes import CONTEXT

# What a process of its own does: small parts, and death as it begins part ``sys.argv[3]``, counted from 0.
START = """
import os, signal, sys
from pathlib import Path
from dualenc.retrieval import dense
from dualenc.scorers import scoring, vectors
from dualenc.study import settings
from dualenc.training import published_scores, score_rows

tiny, root, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
begun = []

def dying(original):
    def part(*arguments, **options):
        if len(begun) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        begun.append(arguments)
        print("part", flush=True)
        return original(*arguments, **options)
    return part
"""
STEPS = {
    "teacher_scores": """
from dualenc.steps import score_shard
from dualenc.steps.teacher_scores import teacher_scores
scoring.PAIRS_AT_ONCE = score_shard.PAIRS_AT_ONCE = 60
scoring.score = dying(scoring.score)
params = settings.Scorer(model="cross-attention", tokens_per_batch=4096)
inputs = tiny / "dataset", tiny / "tokens", tiny / "model", tiny / "lists.parquet"
teacher_scores(params, *inputs, root / "scratch", root / "out" / "lists.parquet")
""",
    "encode": """
from dualenc.steps.encode import encode
dense.PASSAGES_AT_ONCE = 100
vectors.embed = dying(vectors.embed)
params = settings.Encode(shards=1, tokens_per_batch=4096)
encode(params, tiny / "tokens", tiny / "dual", 0, root / "scratch", root / "out" / "0-of-1.npy")
""",
    "import_scores": """
from dualenc.steps.import_scores import import_scores
score_rows.PART = score_rows.BLOCK = 1000
published_scores._grouped = dying(published_scores._grouped)
published = {"path": str(tiny / "scores.tsv"), "teacher": "ca", "tolerance": 0, "allowed_defects": 0}
params = settings.ImportScores(list_length=5, train_lists=6, published_scores=published)
import_scores(params, tiny / "numbered", root / "scratch", root / "out")
""",
    "rerank": """
import tiny_study
scoring.PAIRS_AT_ONCE = 100
scoring.score = dying(scoring.score)
tiny_study.rerank(tiny, tiny / "dual", root / "out", "dual-encoder", scratch=root / "scratch")
""",
}


@pytest.fixture(scope="module")
def study(tiny, trained, tmp_path_factory):
    """The tiny study with models, and published scores of a collection whose ids are numbers."""
    from dualenc.data import collection

    root = tmp_path_factory.mktemp("study")
    for path in tiny.iterdir():
        (root / path.name).symlink_to(path)
    (root / "model").symlink_to(trained["cross-attention"] / "model")
    (root / "dual").symlink_to(trained["dual-encoder"] / "model")
    asked = {"train": [str(qid) for qid in range(1, 30)], "validation": ["90"], "test": ["91"]}
    collection.write(
        root / "numbered",
        [(str(pid), "text") for pid in range(150)],
        {split: [(qid, "text") for qid in qids] for split, qids in asked.items()},
        {split: [(qid, qid, 1) for qid in qids] for split, qids in asked.items()},
        {},
    )
    rows = [(q / 4, n / 8 - q, q, q, 100 + n) for q in range(1, 30) for n in range(10)]
    (root / "scores.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return root


def run(name: str, study: Path, root: Path, last: int = -1) -> tuple[int, int]:
    """Exit status of a step in a process of its own, and how many parts it began."""
    root.mkdir(exist_ok=True)
    log = root.parent / f"{root.name}.log"
    process = CONTEXT.Process(target=_run, args=(START + STEPS[name], [str(study), str(root), str(last)], log))
    process.start()
    process.join()
    return process.exitcode, log.read_text(encoding="utf-8").count("part\n")


def _run(code: str, arguments: list[str], log: Path) -> None:
    with open(log, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})


def files(root: Path) -> dict[str, str]:
    """What a step has made, and the checksums."""
    made = [path for name in ("out", "run") for path in (root / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): md5(path) for path in made if path.name != "provenance.json"}


@pytest.mark.parametrize("name", STEPS)
def test_a_killed_step_goes_on_with_the_parts_that_are_done(study, tmp_path, name):
    status, parts = run(name, study, tmp_path / "whole")
    assert status == 0 and parts > 3
    killed = tmp_path / "killed"
    assert run(name, study, killed, last=2) == (-signal.SIGKILL, 2)
    assert not files(killed)
    assert run(name, study, killed, last=1) == (-signal.SIGKILL, 1)
    assert run(name, study, killed) == (0, parts - 3)
    assert files(killed) == files(tmp_path / "whole") != {}
    assert not [path for path in (killed / "scratch").rglob("*.npy")]


def test_a_full_disk_that_was_emptied(study, tmp_path, small_disk):
    disk = small_disk(1 << 17)
    (disk / "ballast").write_bytes(bytes((1 << 17) - (1 << 13)))
    status, _ = run("encode", study, disk)
    assert status == 1 and not files(disk)
    (disk / "ballast").unlink()
    status, _ = run("encode", study, tmp_path / "elsewhere")
    assert status == 0
    assert run("encode", study, disk)[0] == 0
    assert files(disk) == files(tmp_path / "elsewhere")


def test_parts_belong_to_the_process_that_holds_the_lock(tmp_path):
    with (
        states.locked(tmp_path / "state"),
        pytest.raises(UserError, match="another process"),
        states.locked(tmp_path / "state"),
    ):
        pass


def test_parts_are_all_rows_once(tmp_path):
    made = []

    def make(rows):
        made.append(rows)
        return np.array(rows)

    paths = parts.complete(tmp_path, range(7, 20), 5, make, "parts")
    assert parts.joined(paths).tolist() == list(range(7, 20)) and len(made) == 3
    paths[1].unlink()
    assert parts.complete(tmp_path, range(7, 20), 5, make, "parts") == paths and made[3:] == [range(12, 17)]


def test_equal_models_are_reranked_at_the_same_time(tiny, trained, tmp_path, monkeypatch):
    """As jobs do with the early models of runs that start alike."""
    model, scratch, alone = trained["dual-encoder"] / "model", tmp_path / "scratch", scoring.rerank_sets

    def with_another(*arguments):
        monkeypatch.setattr(scoring, "rerank_sets", alone)
        tiny_study.rerank(tiny, model, tmp_path / "b", "dual-encoder", scratch=scratch, tag="b")
        return alone(*arguments)

    monkeypatch.setattr(scoring, "rerank_sets", with_another)
    tiny_study.rerank(tiny, model, tmp_path / "a", "dual-encoder", scratch=scratch, tag="a")
    runs = [gzip.decompress((tmp_path / tag / "test.run.gz").read_bytes()).decode() for tag in ("a", "b")]
    assert runs[0].replace(" a\n", " b\n") == runs[1] and runs[0] != runs[1]
    assert not list(scratch.iterdir())


def test_scores_are_removed_when_all_processes_have_read_them(tiny, trained, tmp_path, monkeypatch):
    done = []

    def noted(what, function):
        def call(*arguments):
            result = function(*arguments)
            done.append(what)
            return result

        return call

    monkeypatch.setattr(scoring, "rerank_sets", noted("read", scoring.rerank_sets))
    monkeypatch.setattr(distributed, "wait", noted("all are here", distributed.wait))
    monkeypatch.setattr(shutil, "rmtree", noted("removed", shutil.rmtree))
    model, scratch = trained["dual-encoder"] / "model", tmp_path / "scratch"
    tiny_study.rerank(tiny, model, tmp_path / "runs", "dual-encoder", scratch=scratch)
    assert done[-3:] == ["read", "all are here", "removed"]
