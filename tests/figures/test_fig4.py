"""Learning curves: the points of the files, and the step that validation chose."""

import numpy as np
import pandas as pd
import pytest

import results_tree
import scored_tree
from dualenc.figures import drawing, fig4
from dualenc.runtime.errors import UserError

NAMES = ["ca", "de", "de-m3se"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, NAMES)
    return root


def curve(root, name, seed=scored_tree.SEED):
    return pd.read_csv(root / f"runs/{name}/seed-{seed}/curve.csv")


def test_points_are_those_of_the_curves(root):
    frame = fig4.data(scored_tree.params("fig4", NAMES, {}), root)
    for name in NAMES:
        expected = curve(root, name).query("metric == 'MRR@10'").set_index(["split", "step"]).value
        shown = frame[frame.run == name]
        assert len(shown) == len(expected[["train", "test"]])
        for point in shown.itertuples():
            assert point.mean == point.low == point.high == expected[point.evalset, point.step]


def test_the_chosen_step_is_the_best_on_validation(root):
    frame = fig4.data(scored_tree.params("fig4", NAMES, {}), root)
    for name in NAMES:
        validation = curve(root, name).query("split == 'validation' and metric == 'nDCG@10'").set_index("step").value
        chosen = frame[(frame.run == name) & frame.chosen]
        assert list(chosen.step) == [validation.drop(0).idxmax()] * 2 and set(chosen.evalset) == {"train", "test"}


def test_seeds_are_averaged_over_the_steps_that_all_reached(tmp_path):
    values = {1: [0.1, 0.4, 0.5], 2: [0.2, 0.2]}
    for seed, reached in values.items():
        rows = [
            (step, split, metric, value)
            for step, value in enumerate(reached)
            for split in ("train", "validation", "test")
            for metric in ("MRR@10", "nDCG@10")
        ]
        folder = tmp_path / f"runs/de/seed-{seed}"
        folder.mkdir(parents=True)
        pd.DataFrame(rows, columns=["step", "split", "metric", "value"]).to_csv(folder / "curve.csv", index=False)
    frame = fig4.data(results_tree.params("fig4", [results_tree.run("de")]), tmp_path)
    test = frame[frame.evalset == "test"]
    assert test[["mean", "low", "high"]].to_numpy() == pytest.approx(np.array([[0.15, 0.1, 0.2], [0.3, 0.2, 0.4]]))
    assert list(test.step) == [0, 1] and (test.seeds == 2).all() and list(test.chosen) == [False, True]


def test_every_line_is_drawn_and_its_chosen_step_marked(root):
    params = scored_tree.params("fig4", NAMES, {})
    frame = fig4.data(params, root)
    with drawing.style():
        panels = fig4.draw(frame, params).axes
    for axes, evalset in zip(panels, ["train", "test"], strict=True):
        lines = {line.get_label(): line for line in axes.get_lines()}
        for label, points in frame[frame.evalset == evalset].groupby("label"):
            assert lines[label].get_xydata().tolist() == points[["step", "mean"]].to_numpy().tolist()
            assert lines[label].get_markevery() == list(np.flatnonzero(points.chosen))
        assert axes.get_title(loc="left") == evalset.capitalize()


def test_a_run_without_curve_or_without_test_in_it_is_refused(root, tmp_path):
    with pytest.raises(UserError, match=r"de-mse/seed-1/curve\.csv does not exist"):
        fig4.data(scored_tree.params("fig4", ["de-mse"], {}), root)
    folder = tmp_path / "runs/de/seed-1"
    folder.mkdir(parents=True)
    curve(root, "de").query("split != 'test'").to_csv(folder / "curve.csv", index=False)
    with pytest.raises(UserError, match=r"curve\.csv has nothing about test: train this run again"):
        fig4.data(scored_tree.params("fig4", ["de"], {}), tmp_path)
