"""Expected against obtained: bands, means over seeds, and what was not built."""

import json
import shutil
from pathlib import Path

import pytest

from dualenc import cli
from dualenc.paper import reported
from dualenc.report import expected
from dualenc.runtime.errors import UserError
from dualenc.study import config

BANDS = [
    {"run": "bm25", "evalset": "test", "measure": "MRR@10", "value": 0.3, "tolerance": 0.01, "source": "a book"},
    {"run": "de", "evalset": "test", "measure": "MRR@10", "value": 0.5, "tolerance": 0.01, "source": "a book"},
    {"run": "de", "evalset": "retrieval", "measure": "MRR@10", "value": 0.2, "tolerance": 0.01, "source": "a book"},
    {"run": "ca", "evalset": "test", "measure": "MRR@10", "value": 0.5, "tolerance": 0.01, "source": "a book"},
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(expected, "_expected", lambda: {"x": BANDS})
    for folder, mean in {
        "runs/bm25": 0.309,
        "runs/de/seed-1": 0.48,
        "runs/de/seed-2": 0.504,
        "retrieval/de/seed-1": 0.2,
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "metrics.json").write_text(
            json.dumps({"test": {"MRR@10": {"mean": mean}}}), encoding="utf-8"
        )
    return tmp_path


def made(root):
    return {str(path) for path in root.rglob("metrics.json")}


def test_means_over_seeds_are_held_against_their_bands(root):
    found = {
        (row["run"], row["evalset"]): (row["obtained"], row["within"]) for row in expected.rows("x", root, made(root))
    }
    assert found["bm25", "test"] == (0.309, True)
    assert found["de", "test"] == (pytest.approx(0.492), True)
    assert found["de", "retrieval"] == (0.2, True)
    assert found["ca", "test"] == (None, None)
    (root / "runs/de/seed-2/metrics.json").write_text(
        json.dumps({"test": {"MRR@10": {"mean": 0.45}}}), encoding="utf-8"
    )
    assert expected.rows("x", root, made(root))[1]["within"] is False
    assert "| de | test | MRR@10 | 0.500 ± 0.010 | 0.465 | **outside** | a book |" in expected.table(
        "x", root, made(root)
    )
    assert "| ca | test | MRR@10 | 0.500 ± 0.010 | — | not built | a book |" in expected.table("x", root, made(root))


def test_a_seed_that_an_earlier_build_left_does_not_count(root):
    of_now = made(root) - {str(root / "runs/de/seed-2/metrics.json")}
    assert [row["obtained"] for row in expected.rows("x", root, of_now)] == [0.309, 0.48, 0.2, None]


def test_a_scale_without_expectations_has_no_table(root):
    assert expected.table("y", root, made(root)) == ""


@pytest.fixture
def clone(root, monkeypatch):
    """A folder with params.yaml and results of mini, which is what `x` is called now."""
    monkeypatch.setattr(expected, "_expected", lambda: {"mini": BANDS})
    shutil.copy("params.yaml", root)
    (root / "results").mkdir()
    for name in ("runs", "retrieval"):
        (root / "results/mini").mkdir(exist_ok=True)
        (root / name).rename(root / "results/mini" / name)
    monkeypatch.chdir(root)
    return root


def verify(**options):
    with pytest.raises(SystemExit) as end:
        cli.verify(**{"config": ["scale=mini"], "runs": None, "files": False} | options)
    return end.value.code


def test_verify_exits_with_status_1_unless_all_rows_are_in_their_bands(clone, capsys):
    assert verify() == 1  # ca is not built
    assert "| ca | test | MRR@10 | 0.500 ± 0.010 | — | not built | a book |" in capsys.readouterr().out
    assert verify(runs="bm25,de") == 0
    shown = capsys.readouterr().out
    assert "| de | test | MRR@10 | 0.500 ± 0.010 | 0.492 | within | a book |" in shown and "ca" not in shown
    file = clone / "results/mini/runs/de/seed-1/metrics.json"
    file.write_text(json.dumps({"test": {"MRR@10": {"mean": 0.4}}}), encoding="utf-8")
    assert verify(runs="de") == 1 and verify(runs="bm25") == 0


def test_verify_refuses_what_nothing_is_expected_of(clone):
    with pytest.raises(UserError, match=r"nothing is expected of scale smoke"):
        cli.verify(config=["scale=smoke"], runs=None, files=False)
    with pytest.raises(UserError, match=r"--runs = 'dee' is unknown; .* did you mean de"):
        cli.verify(config=None, runs="dee", files=True)


def test_verify_says_what_has_to_be_made(clone, capsys):
    cli.verify(config=["scale=mini"], runs="bm25", files=True)
    assert capsys.readouterr().out == "results/mini/runs/bm25/metrics.json\n"


def test_the_files_of_a_row_are_those_of_its_seeds(clone):
    study = config.load("params.yaml", {"scale": "mini"})
    runs = [f"results/mini/runs/de/seed-{seed}/metrics.json" for seed in study.at.seeds]
    assert expected.files(study, ["de"]) == [*runs, f"results/mini/retrieval/de/seed-{study.at.seeds[0]}/metrics.json"]
    assert expected.files(study, ["bm25"]) == ["results/mini/runs/bm25/metrics.json"]
    assert expected.runs("mini") == ["bm25", "de", "ca"]


def test_what_is_expected_of_the_paper_is_what_it_prints():
    cells = reported.cells("tab1").set_index(["experiment", "dataset", "evalset", "measure"]).value
    experiments = config.load("params.yaml").params.experiments
    quoted = 0
    for scale, rows in expected._expected().items():
        for row in rows:
            assert set(row) == set(BANDS[0]) and 0 < row["tolerance"] <= 0.02
            assert row["run"] == "bm25" or row["run"] in experiments
            if row["source"] == "Table 1":
                dataset = {"paper-nq": "natural-questions"}.get(scale, "msmarco-passage")
                dataset = row["evalset"] if row["evalset"] not in ("test", "retrieval") else dataset
                evalset = row["evalset"] if row["evalset"] == "retrieval" else "test"
                assert cells[row["run"], dataset, evalset, row["measure"]] == row["value"], row
                quoted += 1
    assert quoted > 15


def test_the_page_of_table_1_has_what_is_expected_of_mini():
    """`python -c "from dualenc.report import expected; print(expected.by_run('mini'))"` prints it."""
    assert expected.by_run("mini") in Path("docs/table1.md").read_text(encoding="utf-8")
