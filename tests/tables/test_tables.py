"""Tables say what the files say, mark what is significant, and are whole in every format."""

import re

import numpy as np
import pandas as pd
import pytest

import results_tree
from dualenc.evaluation.statistics import holm
from dualenc.runtime.errors import UserError
from dualenc.steps.table import table
from dualenc.tables import tab1, writing
from dualenc.tables.writing import Cell, Table

# Margin MSE is as good as the one-hot DE, the others are clearly better or worse.
MEANS = {
    "bm25": 0.30,
    "ca": 0.50,
    "de": 0.40,
    "de-mse": 0.35,
    "de-margin-mse": 0.40,
    "de-rankdistil-b": 0.38,
    "de-m3se": 0.46,
    "de-softmax-ce": 0.45,
}
RUNS = [results_tree.run(name) for name in MEANS if name != "bm25"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    results_tree.write(root, MEANS)
    results_tree.write_retrieval(root, {name: mean - 0.1 for name, mean in MEANS.items() if name != "ca"})
    return root


@pytest.fixture(scope="module")
def built(root):
    return tab1.table(results_tree.params("tab1", RUNS), root)


@pytest.fixture(scope="module")
def values(built):
    return built.values.set_index("experiment")


def by_hand(root, name, evalset, measure):
    """(seeds, queries) values straight from the files."""
    files = sorted((root / "runs" / name).rglob("per_query.parquet"))
    frames = [pd.read_parquet(file).set_index(["evalset", "measure"]).loc[(evalset, measure)] for file in files]
    return np.array([frame.sort_values("qid").value for frame in frames])


def test_a_page_shows_the_main_columns_of_a_wide_table(built):
    columns = list(built.display)
    assert [column for column in columns if column in built.chosen] == built.chosen and len(built.chosen) == 8
    assert ("rebuilt: pydocs", "test MRR@10") in built.chosen and ("paper: MS MARCO", "test MRR@10") in built.chosen
    assert not any("nDCG" in label for _, label in built.chosen) and any("nDCG" in label for _, label in columns)
    page = writing.markdown(built, "tab1", "A caption.")
    assert f"tab1.csv and tab1.tex have {len(columns) - 8} more columns." in page
    head, rule, *_ = page.splitlines()
    assert head.count("|") == rule.count("|") == 8 + 2


@pytest.mark.parametrize("column", ["test_MRR@10", "test_nDCG@10", "train_MRR@10"])
def test_numbers_are_those_of_the_files(root, values, column):
    for name in MEANS:
        array = by_hand(root, name, *column.split("_"))
        assert values[f"{column}_mean"][name] == pytest.approx(array.mean())
        assert values[f"{column}_queries"][name] == array.shape[1]
        error = 1.96 * array.mean(axis=0).std(ddof=1) / np.sqrt(array.shape[1])
        assert values[f"{column}_high"][name] - array.mean() == pytest.approx(error, rel=0.3)
        assert array.mean() - values[f"{column}_low"][name] == pytest.approx(error, rel=0.3)
        if name == "bm25":
            assert np.isnan(values[f"{column}_seed_sd"][name])
        else:
            assert values[f"{column}_seed_sd"][name] == pytest.approx(array.mean(axis=1).std(ddof=1))


def test_each_system_is_compared_with_its_reference(root, values):
    expected = {name: "de" for name in MEANS if name != "de"} | {"bm25": "ca", "random": "de"}
    assert values.reference.dropna().to_dict() == expected
    for name, reference in expected.items():
        gain = by_hand(root, name, "test", "MRR@10").mean() - by_hand(root, reference, "test", "MRR@10").mean()
        assert values["test_MRR@10_gain"][name] == pytest.approx(gain)


def test_the_family_of_the_correction_is_all_tests_of_the_table(values):
    p = values.filter(regex="_p$").stack().dropna().to_dict()
    corrected = values.filter(regex="_p_holm$").stack().dropna().to_dict()
    # 8 tests for each column of train and test; under retrieval, CA and a random order are not there.
    assert len(p) == 3 * 8 + 2 * 5
    assert list(holm(p).values()) == pytest.approx(list(corrected.values()))


def test_a_clear_effect_is_marked_and_none_is_not(values, built):
    cells = built.display.droplevel("group")["rebuilt: pydocs", "test MRR@10"]
    marked = [label for label, cell in cells.items() if "*" in cell.detail]
    clear = ["Random order", "BM25", "Cross-attention (CA)", "MSE", "RankDistil-B", "M³SE", "Softmax CE"]
    assert marked == clear
    assert values["test_MRR@10_p_holm"]["de-margin-mse"] > 0.05


def test_the_best_dual_encoder_is_bold_and_no_other(built):
    rebuilt = built.display.droplevel("group")["rebuilt: pydocs"]
    for column in rebuilt:
        assert [label for label, cell in rebuilt[column].items() if cell.bold] == ["M³SE"]


def test_the_papers_numbers_stand_beside_as_printed(built):
    cells = built.display.droplevel("group")
    printed = [cell.main + cell.detail for cell in cells.loc["MSE"] if cell.main][-8:]
    assert printed == ["0.289", "0.343", "0.000⋆", "0.000⋆", "0.000⋆", "0.000⋆", "0.659", "0.591"]
    assert cells.loc["ANCE", "rebuilt: pydocs"].tolist() == [Cell()] * 5
    assert cells.loc["Cross-attention (CA)", "rebuilt: pydocs"].tolist()[3:] == [Cell()] * 2
    assert cells.loc["Cross-attention (CA)", ("paper: MS MARCO", "retrieval MRR@10")] == Cell("N/A")
    groups = list(dict.fromkeys(built.display.index.get_level_values("group")))
    assert groups == ["Baselines: one-hot", "Distilled DE: prior work", "Distilled DE: this work"]


def test_differences_stand_beside_those_of_the_paper(built, values):
    cells = built.display.droplevel("group")["difference from the reference"]
    m3se = values.loc["de-m3se"]
    low, high = m3se["test_MRR@10_gain_low"], m3se["test_MRR@10_gain_high"]
    assert low < m3se["test_MRR@10_gain"] < high
    assert cells["test MRR@10"]["M³SE"] == Cell(
        f"{m3se['test_MRR@10_gain']:+.3f}", f" [{low:+.3f}, {high:+.3f}] paper +0.039"
    )
    assert cells["retrieval MRR@10"]["M³SE"].detail.endswith(" paper +0.056")
    assert cells["test MRR@10"]["Dual-encoder (DE)"] == Cell()  # is the reference
    assert "paper" not in cells["test MRR@10"]["Random order"].detail


def test_another_dataset_has_no_difference_from_the_paper(built):
    assert built.values["test_MRR@10_minus_paper"].isna().all()
    assert any("did not use pydocs" in note for note in built.notes)


def test_the_same_dataset_has_differences(root):
    built = tab1.table(results_tree.params("tab1", RUNS, dataset="msmarco-passage"), root)
    values = built.values.set_index("experiment")
    mean = by_hand(root, "de-m3se", "test", "nDCG@10").mean()
    assert values["test_nDCG@10_minus_paper"]["de-m3se"] == pytest.approx(mean - 0.406)
    mean = by_hand(root, "de-m3se", "test", "MRR@10").mean()
    cells = built.display.droplevel("group")["rebuilt - paper", "test MRR@10"]
    assert cells["M³SE"].main == f"{mean - 0.349:+.3f}"
    assert cells["ANCE"] == Cell()
    assert not any("did not use" in note for note in built.notes)


def test_one_seed_has_no_spread(root):
    built = tab1.table(results_tree.params("tab1", RUNS, seeds=[1]), root)
    assert not any("±" in cell.detail for cell in built.display.to_numpy().ravel())


def test_an_experiment_that_the_paper_does_not_have_comes_last(tmp_path):
    results_tree.write(tmp_path, {"bm25": 0.3, "de": 0.4, "de-focal": 0.45})
    results_tree.write_retrieval(tmp_path, {"bm25": 0.3, "de": 0.2, "de-focal": 0.25})
    runs = [results_tree.run("de-focal"), results_tree.run("de")]
    built = tab1.table(results_tree.params("tab1", runs), tmp_path)
    assert built.display.index[-1] == ("Not in the paper", "de-focal")
    last = built.values.iloc[-1]
    assert last["reference"] == "de" and last["test_MRR@10_p_holm"] < 0.05
    cells = built.display.droplevel("group")["rebuilt: pydocs", "test MRR@10"]
    assert [label for label, cell in cells.items() if cell.bold] == ["de-focal"]


def test_a_missing_run_names_its_file(tmp_path):
    results_tree.write(tmp_path, {"bm25": 0.3, "ca": 0.5})
    params = results_tree.params("tab1", [results_tree.run("ca"), results_tree.run("de")])
    with pytest.raises(UserError, match=r"runs/de/seed-1/per_query\.parquet does not exist"):
        tab1.table(params, tmp_path)


def test_the_step_writes_four_files_that_agree(root, values, tmp_path):
    table("tab1", results_tree.told(results_tree.params("tab1", RUNS)), root, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tab1.csv", "tab1.html", "tab1.md", "tab1.tex"]
    csv = pd.read_csv(tmp_path / "tab1.csv", index_col="experiment")
    assert csv["test_MRR@10_mean"].dropna().to_dict() == pytest.approx(
        values["test_MRR@10_mean"].dropna().to_dict(), abs=1e-6
    )
    best = f"{values['test_MRR@10_mean']['de-m3se']:.3f}"
    markdown, latex = ((tmp_path / f"tab1.{form}").read_text(encoding="utf-8") for form in ("md", "tex"))
    assert f"| M³SE | **{best}**\\* [" in markdown
    assert rf"M$^3$SE & \textbf{{{best}}}{{\scriptsize $^{{*}}$ " in latex
    html = (tmp_path / "tab1.html").read_text(encoding="utf-8")
    assert f"<strong>{best}</strong>* [" in html
    assert all("Does distillation close the gap" in text for text in (markdown, latex, html))


def test_an_unknown_table_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no 'comparison'; it has tab1"):
        table("comparison", results_tree.told(results_tree.params("comparison", RUNS)), tmp_path, tmp_path)


def awkward():
    """A table of characters that have a meaning in Markdown or LaTeX."""
    index = pd.MultiIndex.from_tuples([("A & B", "50 % of_x"), ("A & B", "[a]"), ("C|D", "#1 {~^\\}")])
    columns = pd.MultiIndex.from_tuples([("one", "a*b"), ("two", "c<d"), ("two", "€ $2")])
    cells = [[Cell("1", "* _", True), Cell("x|y"), Cell()] for _ in index]
    return Table(pd.DataFrame(), pd.DataFrame(cells, index=index, columns=columns), ["100 % & more"])


def test_markdown_has_as_many_cells_in_each_row():
    rows = [line for line in writing.markdown(awkward(), "t", "caption").splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [5] * 7
    assert r"| **1**\* \_ |" in rows[3]


@pytest.mark.parametrize("which", ["awkward", "tab1"])
def test_latex_is_balanced_and_has_as_many_cells_in_each_row(which, built):
    text = writing.latex(awkward() if which == "awkward" else built, "t", "caption")
    text = re.sub(r"(?m)^%.*\n", "", text)
    plain = re.sub(r"\\[\\&%$#_{}]", lambda match: r"\\" if match[0] == r"\\" else "", text)
    depth = np.cumsum([{"{": 1, "}": -1}.get(character, 0) for character in plain])
    assert depth.min() == 0 and depth[-1] == 0
    assert plain.count("$") % 2 == 0
    assert not re.search(r"[%#~^_](?!\{\*\}|\\|3)", plain.replace(r"\label{tab:t}", ""))
    opened, closed = re.findall(r"\\begin{(\w+)}", plain), re.findall(r"\\end{(\w+)}", plain)
    assert opened == closed[::-1] == ["table", "adjustbox", "tabular"]
    width = 1 + int(re.search(r"l\*{(\d+)}{r}", plain)[1])
    body = plain[plain.index(r"\toprule") : plain.index(r"\bottomrule")]
    for row in re.findall(r"(?m)^(.*)\\\\$", body):
        spans = [int(span) for span in re.findall(r"\\multicolumn{(\d+)}", row)]
        assert row.count("&") + 1 + sum(spans) - len(spans) == width
