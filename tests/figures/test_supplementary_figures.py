"""Figures S1 to S3: score updates, factorisations of the teacher's scores, and Proposition 3."""

import math
import subprocess
import sys
from pkgutil import iter_modules

import numpy as np
import pandas as pd
import pytest

import results_tree
import scored_tree
from dualenc.figures import drawing, figS1, figS2, figS3
from dualenc.runtime.errors import UserError
from dualenc.runtime.provenance import PACKAGE

WIDTHS = [4, 8]
NAMES = [f"{experiment}.small-1-{width}" for experiment in ("de", "de-m3se") for width in WIDTHS]
RANKS = [1, 2, 4, 8, 16, 64]
QUERIES, PASSAGES = 20, 30


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, ["ca", "de"])
    scored_tree.write_matrices(root, ["ca", *NAMES], QUERIES, PASSAGES)
    scored_tree.write_updates(root, {"ca": 0.1, "de": 0.6})
    return root


def params_s1():
    return scored_tree.params("figS1", ["ca", "de"], {"bandwidth": 0.03})


def params_s2(names=NAMES):
    params = scored_tree.params("figS2", [], {"teacher": "ca", "ranks": RANKS})
    return params | {"runs": [results_tree.run(name, width=int(name.rpartition("-")[2])) for name in names]}


def params_s3(margins=((1, 0), (4, -2), (-3, 5))):
    temperatures = [0.5, 1, 4, 16, 256]
    return scored_tree.params("figS3", [], {"margins": [list(pair) for pair in margins], "temperatures": temperatures})


def test_s1_has_the_changes_of_the_files(root):
    frame = figS1.data(params_s1(), root)
    curves = frame.drop_duplicates(["series", "stage", "shared"]).set_index(["series", "stage", "shared"])
    assert len(curves) == 2 * 3 * 3
    for series, name in [("CA", "ca"), ("DE", "de")]:
        updates = pd.read_parquet(root / f"score-updates/{name}/seed-1.parquet")
        for stage in ("step-0", "step-20", "end"):
            moved = updates[updates.checkpoint == stage]
            moved = (moved.change / moved.own_change).abs().groupby([moved.shared, moved.qid]).mean()
            for shared in ("query", "passage", "neither"):
                found = curves.loc[series, stage.replace("-", " "), shared]
                assert found["mean"] == pytest.approx(moved[shared].mean())
                if shared == "neither":
                    assert math.isnan(found.excess)
                else:
                    assert found.excess == pytest.approx((moved[shared] - moved["neither"]).mean())
                    assert found.excess_low < found.excess < found.excess_high


def test_s1_draws_both_models_in_every_panel(root):
    frame = figS1.data(params_s1(), root)
    with drawing.style():
        panels = figS1.draw(frame, params_s1()).axes
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles[:3] == ["step 0: same query", "step 0: same passage", "step 0: nothing shared"]
    assert titles[-1] == "end: nothing shared" and len(panels) == 9
    for axes in panels:
        starts = [text.get_text()[:3] for text in axes.get_legend().get_texts()]
        assert starts == ["CA:", "DE:"] and axes.get_xlim()[0] == 0
    assert "excess" in panels[0].get_legend().get_texts()[0].get_text()


def test_s1_names_missing_updates(root):
    params = scored_tree.params("figS1", ["ca", "de-mse"], {"bandwidth": 0.03})
    with pytest.raises(UserError, match=r"score-updates/de-mse/seed-1\.parquet does not exist"):
        figS1.data(params, root)


def matrix(root, name, evalset):
    frame = pd.read_parquet(root / f"score-matrices/{name}/seed-1.parquet")
    return frame[frame.evalset == evalset].pivot(index="qid", columns="pid", values="score")


@pytest.mark.parametrize("evalset", ["train", "test"])
def test_s2_has_the_tail_of_the_singular_values(root, evalset):
    frame = figS2.data(params_s2(), root)
    scores = matrix(root, "ca", evalset).to_numpy().astype(float)
    singular = np.linalg.svd(scores - scores.mean(axis=1, keepdims=True), compute_uv=False)
    svd = frame[(frame.series == "SVD") & (frame.evalset == evalset)].set_index("width").error
    assert list(svd.index) == [1, 2, 4, 8, 16]  # 64 is more than the matrix has
    for rank, error in svd.items():
        assert error == pytest.approx(np.sqrt((singular[rank:] ** 2).sum() / (singular**2).sum()))


def test_s2_puts_no_trained_model_below_the_best_of_its_width(root):
    frame = figS2.data(params_s2(), root)
    best = frame[frame.series == "SVD"].set_index(["evalset", "width"]).error
    trained = frame[frame.series.isin(["DE", "DIST"])]
    assert len(trained) == 2 * len(NAMES)
    for point in trained.itertuples():
        assert point.error >= best[point.evalset, point.width]
        assert point.error < 1


def test_s2_ranks_the_passages_of_the_block(root):
    frame = figS2.data(params_s2(), root).set_index(["evalset", "run"])
    for evalset, name in [("test", "ca"), ("train", NAMES[0])]:
        judged = scored_tree.qrels(root, evalset)
        reciprocal = []
        for qid, scores in matrix(root, name, evalset).iterrows():
            rank = 1 + min((scores > scores[pid]).sum() for pid in judged[qid] if pid in scores)
            reciprocal.append(1 / rank if rank <= 10 else 0)
        found = frame.loc[(evalset, name)]
        assert found["MRR@10"] == pytest.approx(np.mean(reciprocal))
        assert (found.queries, found.passages) == (QUERIES, PASSAGES)


def test_s2_draws_the_line_and_the_markers_of_each_panel(root):
    frame = figS2.data(params_s2(), root)
    with drawing.style():
        panels = figS2.draw(frame, params_s2()).axes
    for number, axes in enumerate(panels):
        evalset, column = ["train", "test"][number % 2], ["error", "MRR@10"][number // 2]
        shown = frame[frame.evalset == evalset]
        assert axes.get_title(loc="left") == f"{evalset.capitalize()}: {QUERIES} queries × {PASSAGES} passages"
        for label, series in [("best", "SVD"), ("trained DE", "DE"), ("trained DIST", "DIST")]:
            line = next(line for line in axes.get_lines() if line.get_label().startswith(label))
            points = shown[shown.series == series]
            assert line.get_xydata().tolist() == [
                [float(width), value] for width, value in zip(points.width, points[column], strict=True)
            ]


def test_s2_labels_do_not_run_into_each_other():
    assert figS2._spaced([1, 2, 48, 64, 80, 96, 112]) == ["1", "2", "48", "64", "", "96", ""]


def test_s2_refuses_matrices_of_other_blocks(root, tmp_path):
    scored_tree.write(tmp_path, [])
    scored_tree.write_matrices(tmp_path, ["ca"], QUERIES, PASSAGES)
    scored_tree.write_matrices(tmp_path, NAMES[:1], QUERIES, PASSAGES - 1)
    with pytest.raises(UserError, match=rf"matrices of ca and {NAMES[0]} are of different blocks"):
        figS2.data(params_s2(NAMES[:1]), tmp_path)
    with pytest.raises(UserError, match=r"score-matrices/\S+/seed-1\.parquet does not exist"):
        figS2.data(params_s2(NAMES[1:]), tmp_path)


def test_s3_is_the_closed_form(tmp_path):
    frame = figS3.data(params_s3(), tmp_path)
    assert len(frame) == 3 * 5
    for point in frame.itertuples():
        tau = point.temperature
        sigma = [1 / (1 + math.exp(-margin / tau)) for margin in (point.student_margin, point.teacher_margin)]
        expected = tau * (sigma[0] - sigma[1]) / (2 * (point.student_margin - point.teacher_margin))
        assert point.ratio == pytest.approx(expected)
    assert frame[frame.temperature == 256].ratio.to_numpy() == pytest.approx(1 / 8, abs=1e-4)


def test_s3_draws_a_line_for_every_pair_of_margins(tmp_path):
    params = params_s3([(1, student) for student in range(2, 9)])  # more than there are styles
    frame = figS3.data(params, tmp_path)
    with drawing.style():
        axes = figS3.draw(frame, params).axes[0]
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) == 5]
    assert [line.get_label() for line in lines] == [f"1 and {student}" for student in range(2, 9)]
    assert any(set(line.get_ydata()) == {1 / 8} for line in axes.get_lines())


def test_s3_refuses_equal_margins(tmp_path):
    with pytest.raises(UserError, match="same margin 2"):
        figS3.data(params_s3([(2, 2)]), tmp_path)


def test_nothing_but_s3_needs_torch():
    """S3 differentiates the losses; what models compute for other artefacts, steps of their own have written."""
    names = [
        f"dualenc.{folder}.{one.name}"
        for folder in ("figures", "tables")
        for one in iter_modules([PACKAGE / folder])
        if one.name != "figS3"
    ]
    assert len(names) > 12
    code = f"import sys, {', '.join(names)}; print(*sorted({{'torch', 'transformers'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == ""
