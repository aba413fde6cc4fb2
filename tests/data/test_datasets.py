"""A kind of dataset is one file: nothing else knows of it."""

import os
import shutil
import subprocess
import sys

from dualenc.data import collection
from dualenc.runtime.provenance import PACKAGE

KIND = '''
"""Numbers in words."""

from pathlib import Path
from typing import Any, Literal

from dualenc.data import collection
from dualenc.runtime.values import Positive, Strict

RIGHTS = "Nobody owns numbers."


class Parameters(Strict):
    """As many as are wanted."""

    kind: Literal["numbers"]
    count: Positive


def build(folder: str | Path, parameters: Parameters, workers: int) -> None:
    """Write the dataset."""
    texts = [(str(number), "one more " * number) for number in range(1, parameters.count + 1)]
    queries = {split: [(f"{split}-1", "which number is one")] for split in collection.SPLITS}
    judged = {split: [(f"{split}-1", "1", 1)] for split in collection.SPLITS}
    collection.write(folder, texts, queries, judged, {"kind": "numbers"})


def packages(parameters: Parameters) -> list[str]:
    """None but Python."""
    return []


def origin(manifest: Any) -> str:
    """From nowhere."""
    return "numbers"
'''


def test_a_new_kind_is_one_file(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "src/dualenc", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/dualenc/data/kinds/numbers.py").write_text(KIND, encoding="utf-8")
    for name in ("Snakefile", "workflow", "benchmarks"):
        (tmp_path / name).symlink_to(PACKAGE.parents[1] / name)
    shutil.copy(PACKAGE.parents[1] / "params.yaml", tmp_path)
    params = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    mine = params.replace("\ndatasets:\n", "\ndatasets:\n  mine: {kind: numbers, count: 3}\n", 1)
    (tmp_path / "params.yaml").write_text(mine, encoding="utf-8")

    def dualenc(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "dualenc", *arguments],
            **{"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(tmp_path / "src")}},
            **{"capture_output": True, "encoding": "utf-8"},
        )

    done = dualenc("dataset", "--params", '{"kind": "numbers", "count": 3}', "--output", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(collection.passages(tmp_path / "mine").pid) == ["1", "2", "3"]
    plan = ["plan", "--config", "scale=smoke"]
    assert dualenc(*plan).returncode == 0
    (tmp_path / "params.yaml").write_text(mine.replace("count: 3", "count: 0"), encoding="utf-8")
    told = dualenc(*plan).stderr
    assert told.startswith("dualenc: params.yaml: datasets.mine.count = 0 is not allowed: give a whole number from 1 ")
