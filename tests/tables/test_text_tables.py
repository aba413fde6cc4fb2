"""Tables 3, 10 and 11: the text behind scores, chosen from the files and safe in Markdown and LaTeX."""

import re

import numpy as np
import pandas as pd
import pytest

import results_tree
import scored_tree
from dualenc.analysis import disagreement, pairs
from dualenc.runtime.errors import UserError
from dualenc.steps.table import table as step
from dualenc.tables import tab3, tab10, tab11, texts, writing

OPTIONS = {"pairs": 4, "compared": 20, "characters": 80}
TOP = {"measure": "MRR@10", "passages": 5, "characters": 60}
NAMES = ["ca", "de", "de-margin-mse", "de-softmax-ce"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, NAMES, {"test": 200})
    return root


def params(places):
    return scored_tree.params("tab10", ["de-margin-mse", "de-softmax-ce"], {**TOP, "places": places})


@pytest.fixture(scope="module")
def built(root):
    return tab3.table(scored_tree.params("tab3", ["ca", "de"], OPTIONS), root)


def test_table_3_has_the_pairs_that_de_scores_furthest_above_ca(root, built):
    de, ca = (pairs.of_run(root, name, scored_tree.SEED, "test") for name in ("de", "ca"))
    expected = disagreement.pairs(de, ca).drop_duplicates("qid").head(4)
    assert built.values.pid.tolist() == expected.pid.tolist()
    assert (built.values.score_de > built.values.score_ca).all()
    ranks = ca.set_index(["qid", "pid"])["rank"]
    assert [ranks[pair.qid, pair.pid] for pair in built.values.itertuples()] == built.values.rank_ca.tolist()


def test_table_3_shows_text_ranks_and_overlap(built):
    cells = built.display.iloc[0]
    line = built.values.iloc[0]
    assert cells[tab3.PASSAGE].main == texts.shortened(line.passage, 80) and len(cells[tab3.PASSAGE].main) <= 80
    assert cells["rank", "CA"] == (f"{line.rank_ca}", f" of {scored_tree.DEPTH}", False)
    assert cells["token", "overlap"].main == f"{disagreement.token_overlap(line['query'], line.passage):.2f}"
    assert built.display.index[0][1] == line["query"]


def test_table_3_compares_the_overlap_with_other_candidates(root, built):
    passages = pd.read_parquet(root / "data/pydocs/passages.parquet").set_index("pid").text
    queries = pd.read_parquet(root / "data/pydocs/queries.test.parquet").set_index("qid").text
    de, ca = (pairs.of_run(root, name, scored_tree.SEED, "test") for name in ("de", "ca"))
    found = disagreement.pairs(de, ca)
    found["overlap"] = [
        disagreement.token_overlap(queries[pair.qid], passages[pair.pid]) for pair in found.itertuples()
    ]
    worst = found.drop_duplicates("qid").head(20)
    others = found.drop(worst.index).groupby("qid").overlap.mean()[worst.qid]
    text = f"overlap is {worst.overlap.mean():.3f}, that of the query's other candidates {others.mean():.3f}"
    assert any(text in note for note in built.notes)
    assert any(f"Of the 20 queries with the largest differences, {worst.relevant.sum()} have" in n for n in built.notes)


def reciprocal_ranks(root, name):
    """qid -> 1 / rank of the first relevant passage within 10."""
    scored = pairs.of_run(root, name, scored_tree.SEED, "test")
    first = scored[scored.relevant].groupby("qid")["rank"].min()
    first = first.reindex(scored.qid.unique(), fill_value=11)
    return (1 / first).where(first <= 10, 0.0)


def test_tables_10_and_11_go_down_the_same_list(root):
    gap = reciprocal_ranks(root, "de-margin-mse") - reciprocal_ranks(root, "de-softmax-ce")
    gap = gap[gap > 0].sort_values(ascending=False)
    assert len(gap) > 6
    shown = [
        list(module.table(params(places), root).values.qid.unique())
        for module, places in [(tab10, [1, 2, 3]), (tab11, [4, 5, 6])]
    ]
    shown = shown[0] + shown[1]
    assert len(set(shown)) == 6
    assert gap[shown].tolist() == pytest.approx(gap.iloc[:6].tolist())


def test_table_10_has_the_first_passages_of_both_and_marks_relevant_ones(root):
    built = tab10.table(params([1, 2]), root)
    assert [label for _, label in built.display.columns] == ["Margin MSE", "Softmax CE"]
    assert len(built.display) == 2 * 5
    for run in ("de-margin-mse", "de-softmax-ce"):
        scored = pairs.of_run(root, run, scored_tree.SEED, "test")
        for qid, lines in built.values[built.values.run == run].groupby("qid"):
            assert lines.pid.tolist() == scored[scored.qid == qid].pid.head(5).tolist()
            assert (lines.value == reciprocal_ranks(root, run)[qid]).all()
    bold = np.array([[cell.bold for cell in row] for row in built.display.to_numpy()])
    best = reciprocal_ranks(root, "de-margin-mse")[built.values.qid.unique()]
    assert bold[:, 0].reshape(2, 5).argmax(axis=1).tolist() == [round(1 / value) - 1 for value in best]
    assert bold[:, 0].sum() == 2


def test_table_10_counts_who_is_better(root):
    gap = reciprocal_ranks(root, "de-margin-mse") - reciprocal_ranks(root, "de-softmax-ce")
    note = tab10.table(params([1]), root).notes[0]
    assert f"Of {len(gap)} test queries, MRR@10 is the same for both on {(gap == 0).sum()}" in note
    assert f"higher for Margin MSE (de-margin-mse) on {(gap > 0).sum()}" in note
    assert f"higher for Softmax CE (de-softmax-ce) on {(gap < 0).sum()}" in note


def test_places_that_are_not_there_leave_an_empty_table(root, tmp_path):
    step("tab11", results_tree.told({**params([1000]), "artefact": "tab11"}), root, tmp_path)
    assert (tmp_path / "tab11.csv").read_text(encoding="utf-8").startswith("qid,pid,relevant,score,rank")
    assert "| :-- | :-- | :-- |" in (tmp_path / "tab11.md").read_text(encoding="utf-8")


def test_text_is_escaped_and_wraps(root, built):
    for table in (built, tab10.table(params([1, 2, 3]), root)):
        markdown, latex = writing.markdown(table, "t", ""), writing.latex(table, "t", "")
        rows = [line for line in markdown.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
        assert r"Thing\_" in markdown and r"\*that\*" in markdown and r"\$" in markdown and r"\& 100 %" in markdown
        assert r"Thing\_" in latex and r"$^{*}$that$^{*}$" in latex and r"100 \% of \textless{}it" in latex
        assert r"\textbackslash{}alpha" in latex and r"\ldots{}" in latex and not re.search("[^\x00-\x7f]", latex)
        assert re.search(r"\\begin\{tabular\}\{(l|p\{0\.2\\textwidth\})(p\{0\.\d\d\\textwidth\})+r*\}", latex)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("a b", "a b"),
        ("one two three", "one two …"),
        ("line\nbreak\tand\x00null", "line …"),
        ("  many   spaces ", "many …"),
    ],
)
def test_text_is_cut_between_words(text, short):
    assert texts.shortened(text, 10) == short


def test_unknown_ids_and_missing_files_are_named(root, tmp_path):
    with pytest.raises(UserError, match=r"passages\.parquet has no pid 'nobody'"):
        texts.passages(root / "data/pydocs", ["test-1-1", "nobody"])
    with pytest.raises(UserError, match=r"queries\.test\.parquet does not exist: make the dataset"):
        texts.queries(tmp_path, "test", ["test-1"])
