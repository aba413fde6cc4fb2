"""Figures 2 and 5 to 8: their curves are distributions of the scores in the files, and all of them are drawn."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

import results_tree
import scored_tree
from dualenc.analysis import margins, negatives, pairs
from dualenc.figures import drawing, fig2, fig5, fig6, fig7, fig8
from dualenc.figures.drawing import COLOURS, GREY
from dualenc.runtime.errors import UserError
from dualenc.steps.figure import figure

NAMES = ["ca", "de", "de-softmax-ce", "de-m3se"]
OPTIONS = {"bandwidth": 0.03}
RUNS = {
    "fig2": ["ca", "de", "de-softmax-ce"],
    "fig5": ["ca", "de"],
    "fig6": ["ca", "de"],
    "fig7": ["ca", "de", "de-m3se"],
    "fig8": ["de", "de-m3se"],
}
MODULES = {"fig2": fig2, "fig5": fig5, "fig6": fig6, "fig7": fig7, "fig8": fig8}
CURVE = ["shows", "label", "group"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, NAMES)
    return root


def params(name, runs=None):
    return scored_tree.params(name, runs or RUNS[name], OPTIONS, checkpoints=scored_tree.CHECKPOINTS)


@pytest.fixture(scope="module")
def frames(root):
    return {name: module.data(params(name), root) for name, module in MODULES.items()}


def scored(root, name, evalset="test"):
    return pairs.of_run(root, name, scored_tree.SEED, evalset)


@pytest.mark.parametrize("name", MODULES)
def test_every_curve_is_a_density_within_its_band(name, frames):
    frame = frames[name].assign(stage=frames[name].get("stage", "end"))
    for _, curve in frame.groupby([*CURVE, "stage"]):
        assert np.trapezoid(curve.density, curve.x) == pytest.approx(1, abs=1e-2)
        assert (curve.low <= curve.density + 1e-9).all() and (curve.density <= curve.high + 1e-9).all()
        middle = np.trapezoid(curve.density * curve.x, curve.x)
        assert middle == pytest.approx(curve["mean"].iloc[0], abs=0.01 * np.ptp(curve.x))
        assert (curve.mean_low < curve["mean"]).all() and (curve["mean"] < curve.mean_high).all()
        panel = frame[(frame.shows == curve.shows.iloc[0]) & (frame.label == curve.label.iloc[0])]
        assert panel.bandwidth.nunique() == panel.groupby("stage").ngroups


def test_figure_2_has_the_margins_of_the_files(root, frames):
    shown = frames["fig2"].query("shows == 'margins'").drop_duplicates("label").set_index("series")
    for series, name in zip(["CA", "DE", "DIST"], RUNS["fig2"], strict=True):
        scores = scored_tree.of_queries(root, name)
        rho = max(max(up + down) - min(up + down) for up, down in scores.values())
        by_query = [np.mean(np.subtract.outer(up, down)) / rho for up, down in scores.values() if up]
        assert shown["mean"][series] == pytest.approx(np.mean(by_query))
        assert shown.queries[series] == len(by_query)
    assert shown["mean"]["CA"] > shown["mean"]["DIST"] > shown["mean"]["DE"]  # as the scores were drawn


@pytest.mark.parametrize(("name", "evalset"), [("fig2", "test"), ("fig5", "train")])
def test_scores_are_centred_by_one_constant(root, frames, name, evalset):
    for run, series in [("ca", "CA"), ("de", "DE")]:
        pair = scored(root, run, evalset)
        shown = frames[name][(frames[name].shows == "scores") & (frames[name].series == series)]
        curves = shown.drop_duplicates("group").set_index("group")
        for group, relevant in [("positives", True), ("negatives", False)]:
            own = pair[pair.relevant == relevant]
            expected = own.groupby("qid").score.mean().mean() - pair.score.mean()
            assert curves["mean"][group] == pytest.approx(expected, abs=1e-6)
            assert curves["values"][group] == len(own)
        assert curves.score_range.tolist() == pytest.approx([margins.score_range(pair)] * 2)
        assert curves.spread.tolist() == pytest.approx([negatives.spread(pair).mean()] * 2)


def test_figure_6_has_the_scores_as_they_are_and_the_shift(root, frames):
    frame = frames["fig6"]
    de, ca = (scored(root, name).groupby("qid").score.mean() for name in ("de", "ca"))
    shift = frame[frame.shows == "shift"]
    assert shift["mean"].iloc[0] == pytest.approx((de - ca).mean())
    negatives_ = frame.query("series == 'DE' and group == 'negatives'")
    assert negatives_["mean"].iloc[0] == pytest.approx(scored_tree.SCORERS["de"].baseline, abs=20)


@pytest.mark.parametrize("runs", [["ca", "ca"], ["de", "ca", "de-m3se"], ["de", "de-m3se"]])
def test_figure_6_takes_one_of_each_kind(root, runs):
    with pytest.raises(
        UserError, match="one cross-attention model and one one-hot dual-encoder, not " + ", ".join(runs)
    ):
        fig6.data(params("fig6", runs), root)


def test_figure_7_goes_along_training(root, frames):
    frame = frames["fig7"]
    assert list(frame.stage.unique()) == ["step 0", "step 20", "end"]
    assert list(frame.label.unique()) == ["CA", "DE", "DIST (M³SE)"]
    early = pairs.of_checkpoint(root, "de-m3se", scored_tree.SEED, 20, "test")
    curve = frame.query("stage == 'step 20' and series == 'DIST'")
    assert curve.score_range.iloc[0] == pytest.approx(margins.score_range(early))


@pytest.mark.parametrize("name", MODULES)
def test_every_curve_is_drawn_in_its_colour(name, frames):
    frame = frames[name]
    with drawing.style():
        figure = MODULES[name].draw(frame, params(name))
    drawn = {}
    for axes in figure.axes:
        for line in axes.get_lines():
            if len(line.get_xdata()) > 2:
                drawn[tuple(line.get_ydata())] = (to_hex(line.get_color()).upper(), axes)
    stages = frame.get("stage", "end")
    for _, curve in frame.assign(stage=stages).groupby([*CURVE, "stage"]):
        colour, axes = drawn.pop(tuple(curve.density))
        grey = curve.group.iloc[0] == "negatives"
        assert colour == (GREY if grey else COLOURS[curve.series.iloc[0]]).upper()
        assert axes.get_xlabel() or name == "fig7"
        assert axes.get_ylim()[1] > curve.high.max()
    assert not drawn


def test_the_numbers_stand_in_the_figure(frames):
    with drawing.style():
        texts = [text.get_text() for axes in fig2.draw(frames["fig2"], params("fig2")).axes for text in _texts(axes)]
    margin = frames["fig2"].query("shows == 'margins' and series == 'CA'").iloc[0]
    assert f"CA: {drawing.interval(margin['mean'], margin.mean_low, margin.mean_high)}" in texts
    assert any("ρ = " in text and "spread of negatives" in text for text in texts)


def _texts(axes):
    return [*axes.texts, *axes.get_legend().get_texts()]


def test_the_step_writes_the_same_bytes_again(root, tmp_path):
    made = []
    for attempt in ("first", "second"):
        files = [tmp_path / attempt / f"fig2.{suffix}" for suffix in ("csv", "pdf", "png")]
        figure("fig2", results_tree.told(params("fig2")), root, *files)
        made.append([path.read_bytes() for path in files])
    assert made[0] == made[1]


@pytest.mark.parametrize("name", MODULES)
def test_a_missing_run_names_its_file(name, root):
    with pytest.raises(UserError, match=r"de-mse/seed-1/\S+\.run\.gz does not exist|not ca, de-mse"):
        MODULES[name].data(params(name, ["ca", "de-mse"]), root)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.4347, 0.423, 0.446), "0.435 [0.423, 0.446]"),
        ((707.47, 706.5, 708.4), "707.5 [706.5, 708.4]"),
        ((1234.0, 1100.0, 1400.0), "1234 [1100, 1400]"),
        ((0.5, 0.5, 0.5), "0.500 [0.500, 0.500]"),
    ],
)
def test_intervals_have_the_digits_that_mean_something(values, text):
    assert drawing.interval(*values) == text
