"""A kind of model is one file: nothing else knows of it."""

import os
import shutil
import subprocess
import sys

import pytest

import tiny_study
from dualenc.data.runs import read_run
from dualenc.runtime.provenance import PACKAGE
from dualenc.scorers import models
from dualenc.study.kinds import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_of_a_kind_is_what_its_module_says(kind):
    module, about = models.MODULES[kind], KINDS[kind]
    assert about._asdict() == module.ABOUT and about.reads in ("text", "pair")
    assert about.searches in (None, "dense", "sparse")
    assert (about.reads == "text") == hasattr(module, "compare") == hasattr(module, "of_side")
    assert all(hasattr(module, name) for name in ("LOADER", "TRAINER", "ARGUMENTS", "start", "score", "differentiable"))


def test_a_new_kind_is_one_file(tiny, tmp_path):
    """The dual-encoder's module under another name, in a copy of the package, trains as the dual-encoder does."""
    shutil.copytree(PACKAGE, tmp_path / "src/dualenc", ignore=shutil.ignore_patterns("__pycache__"))
    kinds = tmp_path / "src/dualenc/scorers/kinds"
    shutil.copy(kinds / "dual_encoder.py", kinds / "another_kind.py")
    (kinds / "dual_encoder.py").unlink()
    shutil.copy(PACKAGE.parents[1] / "params.yaml", tmp_path)
    about = tiny_study.experiment().model_copy(update={"model": "another-kind"})
    scratch, run = tmp_path / "scratch", tmp_path / "run" / "seed-1"
    for command in (
        tiny_study.train_command(tiny, about, scratch, run),
        tiny_study.rerank_command(tiny, "another-kind", run / "model", scratch, run),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "dualenc", *map(str, command)],
            **{"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(tmp_path / "src")}},
            **{"capture_output": True, "encoding": "utf-8"},
        )
        assert done.returncode == 0, done.stderr
    expected = tiny_study.train(tiny, tmp_path / "expected", tiny_study.experiment())
    for split in ("train", "test"):
        ours, theirs = (read_run(folder / f"{split}.run.gz") for folder in (tmp_path / "run" / "seed-1", expected))
        assert {qid: ranking.pids for qid, ranking in ours.items()} == {
            qid: ranking.pids for qid, ranking in theirs.items()
        }
