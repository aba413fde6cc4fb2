"""The first page of the report: what it shows, and that costs are those of the jobs behind each artefact."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from dualenc.claims import page
from dualenc.claims.verdicts import Part
from dualenc.report import front_page
from dualenc.runtime.errors import UserError
from dualenc.steps.report import report
from dualenc.study import artefacts
from dualenc.tables import pages

HEAD = "output_file\tdate\trule\tlog-file(s)\tinput-file(s)\tshellcmd\tstatus\tplan"
# output, rule, job, inputs: table 1 needs run a, figure 1 and the claim need both runs.
JOBS = [
    ("results/x/data/passages.parquet", "dataset", "dataset", ["src/dualenc/steps/dataset.py"]),
    ("results/x/data/queries.parquet", "dataset", "dataset", ["src/dualenc/steps/dataset.py"]),
    ("results/x/runs/a/test.run.gz", "train", "train/a", ["results/x/data/passages.parquet"]),
    ("results/x/runs/b/test.run.gz", "train", "train/b", ["results/x/data/queries.parquet"]),
    ("results/x/tables/tab1.md", "table", "table/tab1", ["results/x/runs/a/test.run.gz"]),
    ("results/x/tables/tab1.csv", "table", "table/tab1", ["results/x/runs/a/test.run.gz"]),
    ("figures/x/fig1.png", "figure", "figure/fig1", ["results/x/runs/a/test.run.gz", "results/x/runs/b/test.run.gz"]),
    ("results/x/figure-data/fig1.csv", "figure", "figure/fig1", ["results/x/runs/b/test.run.gz"]),
    ("results/x/claims/C1.json", "claim", "claim/C1", ["results/x/runs/a/test.run.gz", "results/x/runs/b/test.run.gz"]),
]
SECONDS = {"dataset": 1, "train/a": 10, "train/b": 100, "table/tab1": 1000, "figure/fig1": 10000, "claim/C1": 100000}


def summary(jobs):
    """What Snakemake prints about jobs."""
    rows = [(file, "date", rule, f"logs/x/{job}.log", ",".join(inputs)) for file, rule, job, inputs in jobs]
    return "\n".join([HEAD, *("\t".join([*row, 'dualenc "x" --a', "ok", "no update"]) for row in rows)]) + "\n"


def filled(gains, value):
    """Gains on test of a value, on train of its negative, with intervals."""
    ends = {"": 0, "_low": -0.01, "_high": 0.01}
    return {key: (value if key.startswith("test") else -value) + ends[key.partition("_gain")[2]] for key in gains}


@pytest.fixture
def root(tmp_path):
    """A results folder with benchmarks, claims and a table, and figures in ``tmp_path``."""
    root = tmp_path / "results/x"
    for job, seconds in SECONDS.items():
        path = root / "times" / f"{job}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}.5\t0:00:01\t10\n", encoding="utf-8")
    params = {"options": {"margin": 0.03}, "runs": [], "scale": "x", "dataset": "d", "seeds": [1]}
    params["evaluation"] = {"confidence": 0.95, "resamples": 10}
    about = page.record(artefacts.module("claim", "C1"), params, [Part("ca − de", 0.01, 0.0, 0.02, -0.03, 0.03)])
    (root / "claims.json").write_text(json.dumps({"C1": about}), encoding="utf-8")
    (root / "tables").mkdir()
    (root / "tables/tab1.md").write_text(
        "|  | MRR@10 |\n| :-- | --: |\n| CA | 0.370 |\n\n**tab1.** A caption.\n", encoding="utf-8"
    )
    gains = {f"{evalset}_MRR@10_gain{end}": None for evalset in ("test", "train") for end in ("", "_low", "_high")}
    rows = [
        {"group": "Baselines: one-hot", "label": "CA", "run": "ca", "reference": "de", **filled(gains, 0.06)},
        {"group": "Baselines: one-hot", "label": "DE", "run": "de", "reference": None, **gains},
        {
            "group": "Distilled DE: prior work",
            "label": "MSE",
            "run": "de-mse",
            "reference": "de",
            **filled(gains, -0.02),
        },
        {
            "group": "Distilled DE: this work",
            "label": "M³SE",
            "run": "de-m3se",
            "reference": "de",
            **filled(gains, 0.03),
        },
        {"group": "Distilled DE: this work", "label": "Another", "run": None, "reference": None, **gains},
    ]
    pd.DataFrame(rows).to_csv(root / "tables/tab1.csv", index=False)
    (tmp_path / "fig1.png").write_bytes(b"an image")
    return root


def test_costs_are_those_of_all_jobs_behind_an_artefact(root):
    costs = front_page.costs(summary(JOBS), Path("logs/x"), root / "times")
    assert costs == {
        "tab1": front_page.Cost("table", 3, 1012.5, 1, 1000.5),
        "fig1": front_page.Cost("figure", 4, 10113.0, 1, 10000.5),
        "C1": front_page.Cost("claim", 4, 100113.0, 1, 100000.5),
    }


def test_what_only_one_artefact_needs_is_its_own(root):
    costs = front_page.costs(summary([job for job in JOBS if job[1] != "claim"]), Path("logs/x"), root / "times")
    assert (costs["fig1"].own_jobs, costs["fig1"].own_seconds) == (2, 10101.0)


def test_jobs_of_another_machine_cost_nothing(root):
    (root / "times/train/a.tsv").unlink()
    costs = front_page.costs(summary(JOBS), Path("logs/x"), root / "times")
    assert (costs["tab1"].jobs, costs["tab1"].seconds) == (3, 1002.0)


def test_a_job_without_a_log_is_followed_to_what_it_needs(root):
    copied = ("results/x/copy/test.run.gz", "copy", "", ["results/x/runs/b/test.run.gz"])
    jobs = [*JOBS[:4], copied, ("results/x/tables/tab1.csv", "table", "table/tab1", [copied[0]])]
    text = summary(jobs).replace("logs/x/.log", "")
    assert front_page.costs(text, Path("logs/x"), root / "times")["tab1"] == front_page.Cost(
        "table", 4, 1102.5, 4, 1102.5
    )


def test_the_error_of_snakemake_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there is no Snakefile
    files = tmp_path / "style.css", tmp_path / "front.html", tmp_path / "report.html"
    with pytest.raises(UserError, match="snakemake --detailed-summary exited with status 1"):
        report("smoke", ["scale=smoke"], tmp_path, tmp_path, tmp_path, *files)
    assert not files[1].exists() and not files[2].exists()


def test_the_first_page_has_claims_figure_1_table_1_and_costs(root, tmp_path):
    costs = front_page.costs(summary(JOBS), Path("logs/x"), root / "times")
    text = front_page.front(root, tmp_path, "x", costs, set())
    assert re.findall("^## (.*)$", text, flags=re.MULTILINE) == [
        "Figure 1",
        "Table 1",
        "Claims of the paper",
        "What it costs",
    ]
    html = pages.fragment(text)
    assert "✓ confirmed" in html and artefacts.module("claim", "C1").CLAIM in html
    assert '<a href="#C1"' in html and html.count('<span id="C1">') == 1
    folded = html.partition("<details>")[2].partition("</details>")[0]
    assert artefacts.module("claim", "C1").PAPER in folded and "<td" in folded
    assert '<img src="data:image/png;base64,YW4gaW1hZ2U=" alt="Figure 1"' in html
    assert ">0.370</td>" in html and "<strong>tab1.</strong> A caption." in html
    for name in ("tab1", "fig1", "C1"):
        cost = costs[name]
        assert f"| {name} | {artefacts.title(cost.kind, name)} | {cost.jobs} | {cost.seconds:,.0f} | " in text


def test_what_was_found_is_computed(root):
    records = json.loads((root / "claims.json").read_text(encoding="utf-8"))
    refuted = {**records["C1"], "verdict": "refuted"}
    table = root / "tables/tab1.csv"
    assert front_page.found({**records, "C2": refuted}, table, "x") == (
        "At scale x, of 2 claims of the paper: 1 confirmed, 1 refuted and 0 undecided. Cross-attention (CA) is ahead "
        "of the dual-encoder (DE) by +0.060 [+0.050, +0.070] MRR@10 on test queries and by -0.060 [-0.070, -0.050] on "
        "train queries. The best of 2 distilled DEs on test, M³SE, differs from the one-hot DE by +0.030 [+0.020, "
        "+0.040] there and by -0.030 [-0.040, -0.020] on train."
    )
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], lines[2]]), encoding="utf-8")
    assert (
        front_page.found(records, table, "x")
        == "At scale x, of 1 claims of the paper: 1 confirmed, 0 refuted and 0 undecided."
    )
