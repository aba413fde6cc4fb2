"""Learned sparse (SPLADE), which no table shows by default: a row of table S1, searched, exported (docs/extend.md)."""

import re
import shutil

import pandas as pd
import pytest
import yaml

from conftest import call
from dualenc.retrieval import search
from dualenc.scorers import models

RUNS = ["splade", "splade-softmax-ce"]
SEARCHED = "results/smoke/retrieval/splade/seed-1/metrics.json"


def test_a_row_of_table_s1_and_a_model_for_the_hub(finished, tmp_path, monkeypatch):
    copy = shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    params = yaml.safe_load((copy / "params.yaml").read_text(encoding="utf-8"))
    shown = params["scales"]["smoke"]["artefacts"]["tabS1"]["experiments"]
    params["scales"]["smoke"]["artefacts"]["tabS1"]["experiments"] = [*shown, *RUNS]
    (copy / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    built = call(copy, "snakemake", "--cores", "2", "--config", "scale=smoke", "--", "tabS1", SEARCHED)
    assert built.returncode == 0, built.stdout
    table = pd.read_csv(copy / "results/smoke/tables/tabS1.csv").set_index("run")
    assert list(table.index) == [*table.index[: -len(RUNS)], *RUNS]
    assert (table.group[RUNS] == "Not in the paper").all() and table.loc[RUNS, "test_MRR@10_mean"].between(0, 1).all()
    exported = call(copy, "dualenc", "export", "splade", "--scale", "smoke", "--output", "hub/splade")
    assert exported.returncode == 0, exported.stdout
    card = (copy / "hub/splade/README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    monkeypatch.chdir(copy / "hub")
    found = {}
    exec(code, found)
    model = models.load(copy / "results/smoke/runs/splade/seed-1/model", "learned-sparse")
    assert found["scores"] == pytest.approx(search.score_texts(model, found["query"], found["passages"]).tolist())
