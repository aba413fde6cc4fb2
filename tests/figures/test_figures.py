"""Figures show the numbers of the files, in one style, and the same input gives the same bytes."""

import itertools

import numpy as np
import pandas as pd
import pytest

import results_tree
from dualenc.figures import drawing, fig1, fig3
from dualenc.figures.drawing import COLOURS, MARKERS, spread
from dualenc.paper import naming
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from dualenc.steps.figure import figure

WIDTHS = [8, 16, 32]
NAMES = {"ca": 0.5, "de": 0.35, "de-m3se": 0.45}
RUNS = [results_tree.run(f"{name}.small-1-{width}", width=width) for name, width in itertools.product(NAMES, WIDTHS)]
PARAMS = results_tree.params("fig1", RUNS)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    means = {run["name"]: NAMES[run["experiment"]] - 0.8 / run["width"] for run in RUNS}
    results_tree.write(root, {"bm25": 0.4, **means})
    return root


def make(root, folder):
    """Make the figure in ``folder`` and return its three files."""
    files = [folder / f"fig1.{suffix}" for suffix in ("csv", "pdf", "png")]
    figure("fig1", results_tree.told(PARAMS), root, *files)
    return files


def test_the_csv_has_the_metrics_of_every_run(root, tmp_path):
    csv, _, _ = make(root, tmp_path)
    frame = pd.read_csv(csv)
    rebuilt = frame[frame.source == "rebuilt"].set_index(["experiment", "encoder", "evalset"])
    assert len(rebuilt) == 2 * len(RUNS) + 2
    for run, evalset in itertools.product(RUNS, ["train", "test"]):
        files = [root / "runs" / run["name"] / f"seed-{seed}" / "metrics.json" for seed in (1, 2)]
        means = [read_json(file)[evalset]["MRR@10"]["mean"] for file in files]
        point = rebuilt.loc[(run["experiment"], run["encoder"], evalset)]
        assert point["mean"] == pytest.approx(np.mean(means), abs=1e-6)
        assert [point.seed_low, point.seed_high] == pytest.approx(sorted(means), abs=1e-6)
        assert point.low < point["mean"] < point.high
        assert (point.width, point.seeds, point.measure) == (run["width"], 2, "MRR@10")
        assert point.queries == results_tree.QUERIES[evalset]
    bm25 = read_json(root / "runs/bm25/metrics.json")["test"]["MRR@10"]
    point = frame[(frame.series == "BM25") & (frame.evalset == "test")].squeeze()
    assert point["mean"] == pytest.approx(bm25["mean"], abs=1e-6)
    assert np.isnan(point.width) and point.seeds == 1


def test_the_papers_points_are_those_of_its_six_layer_encoders(root):
    frame = fig1.data(PARAMS, root)
    quoted = frame[frame.source == "paper"].set_index(["series", "evalset", "width"])["mean"].sort_index()
    assert quoted["CA", "train"].to_dict() == {128: 0.385, 256: 0.427, 512: 0.493, 768: 0.522}
    assert quoted["DE", "test"].to_dict() == {128: 0.249, 256: 0.282, 512: 0.293, 768: 0.310}
    assert quoted["DIST"].to_dict() == {("test", 128): 0.261, ("test", 768): 0.349}
    assert len(quoted) == 18


def test_figure_3_is_figure_1_with_the_papers_shallow_encoders(root):
    frame, same = fig3.data(PARAMS, root), fig1.data(PARAMS, root)
    pd.testing.assert_frame_equal(frame[frame.source == "rebuilt"], same[same.source == "rebuilt"])
    quoted = frame[frame.source == "paper"].set_index(["series", "evalset", "width"])["mean"].sort_index()
    assert quoted["CA", "train"].to_dict() == {128: 0.356, 256: 0.358, 512: 0.398, 768: 0.429}
    assert quoted["DIST"].to_dict() == {("test", 768): 0.286}
    with drawing.style():
        titles = [part.get_suptitle() for part in fig3.draw(frame, PARAMS).subfigs]
    assert titles[1] == "Paper: MS MARCO passage (layers: 2)"


def test_every_point_of_the_csv_is_drawn_in_its_panel(root):
    frame = fig1.data(PARAMS, root)
    with drawing.style():
        panels = fig1.draw(frame, PARAMS).axes
    sources = itertools.product(["rebuilt", "paper"], ["train", "test"])
    for axes, (source, evalset) in zip(panels, sources, strict=True):
        shown = frame[(frame.source == source) & (frame.evalset == evalset)]
        lines = [line for line in axes.get_lines() if line.get_marker() != "None"]
        drawn = {tuple(point) for line in lines for point in line.get_xydata()}
        trained = shown[shown.width.notna()]
        assert drawn == set(zip(trained.width.astype(float), trained["mean"], strict=True))
        assert {text.get_text() for text in axes.texts} == set(shown.series)
        assert axes.get_title(loc="left") == evalset.capitalize()
    assert panels[0].get_ylim() == panels[1].get_ylim()


def test_the_paper_is_labelled_as_another_dataset(root):
    with drawing.style():
        figure = fig1.draw(fig1.data(PARAMS, root), PARAMS)
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert "pydocs" in titles[0] and "smoke" in titles[0] and "MS MARCO" not in titles[0]
    assert "MS MARCO" in titles[1] and "pydocs" not in titles[1]


def test_the_same_input_gives_the_same_bytes_whatever_the_users_settings(root, tmp_path, monkeypatch):
    import matplotlib

    first = [path.read_bytes() for path in make(root, tmp_path / "first")]
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20)
    second = [path.read_bytes() for path in make(root, tmp_path / "second")]
    assert first == second
    assert first[1].startswith(b"%PDF") and first[2].startswith(b"\x89PNG")


def test_fonts_are_embedded_as_truetype_and_no_date_is_written(root, tmp_path):
    _, pdf, png = make(root, tmp_path)
    assert b"/FontFile2" in pdf.read_bytes() and b"/Type3" not in pdf.read_bytes()
    assert b"CreationDate" not in pdf.read_bytes() and b"Software" not in png.read_bytes()


def test_every_series_has_its_own_colour_and_marker():
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert len(set(MARKERS.values())) == len(MARKERS)
    assert COLOURS.keys() - MARKERS.keys() == {"BM25"}


@pytest.mark.parametrize(("name", "kind"), [("ca", "CA"), ("de", "DE"), ("de-m3se", "DIST"), ("de-mse", "DIST")])
def test_the_kind_of_a_run(name, kind):
    assert naming.series(results_tree.run(name)) == kind


def test_labels_move_apart_no_more_than_they_must():
    assert spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.4, 0.4], 0.1) == pytest.approx([0.35, 0.45])
    positions = np.sort(np.random.default_rng(0).random(6))
    moved = spread(positions, 0.1)
    assert (np.diff(moved) >= 0.1 - 1e-12).all()
    assert moved.mean() == pytest.approx(positions.mean())


def test_two_runs_for_one_point_are_refused(root):
    runs = [*RUNS, results_tree.run("de-mse", width=8)]
    with pytest.raises(UserError, match=r"one DIST model of width 8.* de-m3se\.small-1-8 and de-mse "):
        fig1.data(results_tree.params("fig1", runs), root)


def test_a_missing_run_names_its_file_and_leaves_nothing_behind(root, tmp_path):
    params = results_tree.params("fig1", [*RUNS, results_tree.run("de-m3se.small-1-64", width=64)])
    files = [tmp_path / f"fig1.{suffix}" for suffix in ("csv", "pdf", "png")]
    with pytest.raises(UserError, match=r"de-m3se\.small-1-64/seed-1/per_query\.parquet does not exist"):
        figure("fig1", results_tree.told(params), root, *files)
    assert not any(tmp_path.iterdir())


def test_an_unknown_figure_is_refused(root, tmp_path):
    with pytest.raises(UserError, match=r"figures has no .fig99.; it has fig1"):
        figure("fig99", results_tree.told(PARAMS), root, tmp_path / "a", tmp_path / "b", tmp_path / "c")
