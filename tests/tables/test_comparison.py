"""Every table of compared systems has the paper's rows in order, the rebuilt numbers, and the right references."""

import importlib

import pandas as pd
import pytest

import results_tree
from dualenc.paper import reported
from dualenc.tables import tab2, tab6, writing
from dualenc.tables.writing import Cell

LOSSES = ["mse", "margin-mse", "softmax-ce", "m3se"]
ONE_ROW_EACH = {
    "tab4": ["ca", "de", *(f"de-{loss}" for loss in LOSSES)],
    "tab5": ["ca", "de", *(f"de-{loss}" for loss in LOSSES)],
    "tab7": ["ca", "colbert", *(f"colbert-{loss}" for loss in LOSSES)],
    "tab8": ["de", *(f"de-smoothing-{alpha}" for alpha in (10, 20, 30, 90, 99))],
    "tab9": ["de", "de-dropout", "de-token-dropout", "de-mlm", "de-focal"],
    "tab12": [
        f"{name}{mined}" for name in ("de", "de-margin-mse", "de-m3se", "de-softmax-ce") for mined in ("", "-negatives")
    ],
    "tabS1": [
        f"{student}{teacher}"
        for student in ("de", "colbert")
        for teacher in ("", "-from-de", "-from-colbert", "-softmax-ce")
    ],
}
REFERENCES = {"tab4": "de", "tab5": "de", "tab7": "ca", "tab8": "de", "tab9": "de"}


def means(names):
    """A mean for each run, a little higher from one to the next."""
    return {name: 0.3 + 0.02 * place for place, name in enumerate(names)}


def made(artefact, names, root, **about):
    """The table of these runs, made by its module from files below ``root``."""
    results_tree.write(root, means(names))
    results_tree.write_retrieval(root, means(name for name in names if name.startswith("de")))
    module = importlib.import_module(f"dualenc.tables.{artefact}")
    return module.table(results_tree.params(artefact, [results_tree.run(name) for name in names], **about), root)


@pytest.mark.parametrize("artefact", ONE_ROW_EACH)
def test_rows_are_the_papers_in_its_order_with_our_numbers_and_its_own(artefact, tmp_path):
    names = ONE_ROW_EACH[artefact]
    values = made(artefact, names, tmp_path).values
    assert set(values.run) == set(names)
    assert values.experiment.tolist() == reported.cells(artefact).experiment.drop_duplicates().tolist()
    for name, mean in means(names).items():
        row = values.set_index("run").loc[name]
        assert row["test_MRR@10_mean"] == pytest.approx(mean, abs=0.03)
        printed = reported.cells(artefact).query("evalset == 'test' and measure == 'MRR@10'")
        cell = printed[printed.experiment == name].iloc[0]
        assert row[f"paper_{cell.dataset}_test_MRR@10"] == pytest.approx(cell.value, nan_ok=True)


@pytest.mark.parametrize("artefact", ONE_ROW_EACH)
def test_each_row_is_compared_with_its_reference(artefact, tmp_path):
    names = ONE_ROW_EACH[artefact]
    values = made(artefact, names, tmp_path).values.set_index("run")
    if artefact == "tab12":
        expected = {name: name.removesuffix("-negatives") for name in names if name.endswith("-negatives")}
    elif artefact == "tabS1":
        expected = {name: name.partition("-")[0] for name in names if name not in ("de", "colbert")}
    else:
        expected = {name: REFERENCES[artefact] for name in names if name != REFERENCES[artefact]}
    assert values.reference.dropna().to_dict() == expected
    for name, reference in expected.items():
        row = values.loc[name]
        gain = row["test_MRR@10_mean"] - values["test_MRR@10_mean"][reference]
        assert row["test_MRR@10_gain"] == pytest.approx(gain)
        assert row["test_MRR@10_gain_low"] <= gain <= row["test_MRR@10_gain_high"]
        column = next(column for column in values if column.startswith("paper_") and column.endswith("_test_MRR@10"))
        printed_gain = values[column][name] - values[column][reference]
        assert row["test_MRR@10_paper_gain"] == pytest.approx(printed_gain, nan_ok=True)


@pytest.mark.parametrize("artefact", [*ONE_ROW_EACH, "tab2", "tab6"])
def test_every_table_is_whole_in_every_format(artefact, tmp_path):
    runs = {"tab2": ["ca", "de"], "tab6": ["de-m3se-k2", "de-softmax-ce-k2"]}
    built = made(artefact, ONE_ROW_EACH.get(artefact) or runs[artefact], tmp_path)
    module = importlib.import_module(f"dualenc.tables.{artefact}")
    assert len(module.CAPTION) > 200
    writing.write(built, artefact, module.CAPTION, tmp_path)
    assert pd.read_csv(tmp_path / f"{artefact}.csv").label.tolist() == built.values.label.tolist()
    assert built.display.map(lambda cell: isinstance(cell, Cell)).all(axis=None)
    words = [module.CAPTION, *built.notes, *(word for place in built.display.index for word in place)]
    latex = (tmp_path / f"{artefact}.tex").read_text(encoding="utf-8")
    assert latex.count("?") == sum(text.count("?") for text in words)  # else LaTeX lacks a character


def test_a_table_that_fits_a_page_is_shown_whole(tmp_path):
    built = made("tab12", ONE_ROW_EACH["tab12"], tmp_path)
    assert built.chosen is None and len(built.display.columns) == 6


def test_table_12_shows_retrieval_of_mined_negatives_beside_re_ranking(tmp_path):
    built = made("tab12", ONE_ROW_EACH["tab12"], tmp_path)
    assert ("rebuilt: pydocs", "retrieval MRR@10") in built.display
    cells = built.display["difference from the reference", "retrieval MRR@10"]
    assert cells["One-hot", "own and mined negatives"].detail.endswith("paper +0.033")
    assert any("the test queries in all passages, seed 1" in note for note in built.notes)
    assert any("own negatives (for own and mined negatives), in the same group" in note for note in built.notes)


ENCODERS = ["small-1-24", "small-1-32", "small-2-24", "small-2-32", "small-2-64", "small-3-64"]


def test_table_2_pairs_depths_from_the_shallowest_and_widths_from_the_widest():
    runs = [results_tree.run(f"ca.{encoder}") for encoder in ENCODERS]
    pairs = tab2.stand_ins(runs, reported.cells("tab2"))
    assert pairs == [
        (None, "small-bert-2-128"),
        (None, "small-bert-2-256"),
        ("small-1-24", "small-bert-2-512"),
        ("small-1-32", "small-bert-2-768"),
        (None, "small-bert-6-128"),
        ("small-2-24", "small-bert-6-256"),
        ("small-2-32", "small-bert-6-512"),
        ("small-2-64", "small-bert-6-768"),
        ("small-3-64", "bert-base"),
    ]


def test_table_2_with_more_encoders_than_the_paper_shows_them_all():
    runs = [results_tree.run(f"ca.small-{layers}-8") for layers in (1, 2, 3, 4)]
    pairs = tab2.stand_ins(runs, reported.cells("tab2"))
    assert ("small-4-8", None) in pairs
    assert len(pairs) == 10


def test_table_2_compares_the_dual_encoder_with_cross_attention_of_the_same_size(tmp_path):
    names = [f"{model}.{encoder}" for model in ("ca", "de") for encoder in ENCODERS]
    built = made("tab2", names, tmp_path)
    values = built.values.set_index("run")
    assert values.reference.dropna().to_dict() == {f"de.{encoder}": f"ca.{encoder}" for encoder in ENCODERS}
    assert len(values) == 18
    row = values.loc["de.small-2-64"]
    assert row["paper_msmarco-passage_train_MRR@10"] == 0.518
    assert row["train_MRR@10_paper_gain"] == pytest.approx(-0.004)
    assert row["test_MRR@10_paper_gain"] == pytest.approx(-0.054)
    assert ("small-2-64 for the paper's small-bert-6-768", "Dual-encoder (DE)") in built.display.index
    assert ("small-bert-6-128", "Dual-encoder (DE)") in built.display.index  # without a rebuilt number


def test_table_6_orders_list_sizes_and_compares_with_the_smallest(tmp_path):
    sizes = {
        "de-m3se-k2": 2,
        "de-m3se": 8,
        "de-m3se-k4": 4,
        "de-m3se-k16": 16,
        "de-softmax-ce-k2": 2,
        "de-softmax-ce": 8,
    }
    runs = [results_tree.run(name, list_size=size) for name, size in sizes.items()]
    results_tree.write(tmp_path, means(sizes))
    built = tab6.table(results_tree.params("tab6", runs), tmp_path)
    m3se = built.values[built.values.group == "M³SE"]
    assert m3se.run.tolist() == ["de-m3se-k2", "de-m3se-k4", "de-m3se", "de-m3se-k16"]
    assert m3se.label.tolist() == ["K = 2", *(f"K = {k} for the paper's {p}" for k, p in ((4, 10), (8, 20), (16, 100)))]
    assert m3se.reference.tolist()[1:] == ["de-m3se-k2"] * 3
    assert m3se["paper_msmarco-passage_test_MRR@10"].tolist() == [0.323, 0.326, 0.349, 0.325]
    softmax = built.values[built.values.group == "Softmax CE"]
    assert softmax.label.tolist() == ["K = 2", "K = 8 for the paper's 10", "K = 20", "K = 100"]
    assert softmax.run.isna().tolist() == [False, False, True, True]
