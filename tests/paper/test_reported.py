"""The numbers of paper.yaml are those that the paper prints, and do not contradict each other."""

import re
from pathlib import Path

import pandas as pd
import pytest

from dualenc.paper import reported

SOURCES = Path(__file__).parents[3] / "shared/seeds"
TABLES = ["tab1", "tab2", "tab4", "tab5", "tab6", "tab7", "tab8", "tab9", "tab12", "tabS1"]
NUMBER = re.compile(r"\b0\.\d{3}\b")


def source(prefix):
    """Text of the paper ("002") or of the talk's slides ("000"), where this checkout has them beside it."""
    files = list(SOURCES.glob(f"{prefix}_*.txt"))
    if not files:
        pytest.skip(f"the paper's text is not at {SOURCES}")
    return files[0].read_text(encoding="utf-8")


def printed_rows(table):
    """The numbers of each line of a table in the source, in reading order, without lines that have none."""
    if table == "tabS1":
        block = re.search(r"Teacher\tScoring function.*?\n\n", source("000"), flags=re.DOTALL)[0]
    else:
        before = source("002").partition(f"Table {table.removeprefix('tab')}: ")[0]
        block = before.rstrip().rpartition("\n\n")[2]
    rows = [NUMBER.findall(line) for line in block.splitlines()]
    return [row for row in rows if row]


def quoted_rows(table):
    """The numbers of each row of a table of paper.yaml."""
    cells = reported.cells(table).dropna(subset="value")
    if table == "tab12":
        cells = cells[cells.evalset == "test"]  # retrieval stands in the text
    keys = ["label"] if table == "tab2" else ["experiment", "label"]
    return [[f"{value:.3f}" for value in rows.value] for _, rows in cells.groupby(keys, sort=False)]


@pytest.mark.parametrize("table", TABLES)
def test_the_numbers_of_a_table_are_those_that_the_paper_prints(table):
    quoted, printed = quoted_rows(table), printed_rows(table)
    if table == "tabS1":  # a row of the slides has both students of a teacher
        quoted = [one + other for one, other in zip(quoted[:4], quoted[4:], strict=True)]
    assert sorted(quoted) == sorted(printed)


def test_numbers_of_retrieval_in_table_12_stand_in_the_text():
    cells = reported.cells("tab12").dropna(subset="value")
    retrieval = cells[cells.evalset == "retrieval"]
    assert retrieval.experiment.tolist() == ["de", "de-negatives"]
    text = source("002")
    for value, words in zip(retrieval.value, ["retrieval MRR@10 is", "this increases to"], strict=True):
        assert f"{words} {value:.3f}" in text


def test_tables_of_the_paper_do_not_contradict_each_other():
    cells = pd.concat([reported.cells(table) for table in ("tab1", "tab2", "tab4", "tab5")])
    cells = cells[(cells.dataset == "msmarco-passage") & cells.value.notna() & cells.layers.isin([2, 6])]
    values = cells.groupby(["experiment", "layers", "width", "evalset", "measure"]).value
    assert (values.nunique() == 1).all()
    assert (values.size() > 1).sum() == 3  # table 2 repeats the one-hot DE of tables 1, 4 and 5


def test_every_number_of_the_paper_is_a_measure_and_every_mark_is_explained():
    for table in TABLES:
        cells = reported.cells(table)
        assert cells.value.dropna().between(0, 1).all()
        assert all(mark in reported.note(table) for mark in cells["mark"])
        assert (cells["mark"] != "")[cells.value.isna()].all()
