"""Claims get the verdict that their numbers deserve: confirmed on the paper's numbers, not on their opposite."""

import importlib
import json
import re

import numpy as np
import pandas as pd
import pytest

import results_tree
import scored_tree
from dualenc.claims import evidence, page
from dualenc.claims.verdicts import CONFIRMED, REFUTED, UNDECIDED, Part, part_verdict, verdict
from dualenc.runtime.errors import UserError
from dualenc.steps.claim import claim as judge
from dualenc.steps.claims import claims as collect

IDS = [f"C{number}" for number in range(1, 13)] + ["P1", "P3"]
ENCODERS = ["small-1-24", "small-1-64", "small-2-24", "small-2-64"]


def level(train, test):
    return {"train": train, "test": test, "validation": 0.3}


# As in tables 1, 2 and 6 to 12 of the paper; what it does not print is set to fit what it says.
SIZES = {
    "ca.small-1-24": level(0.356, 0.309),
    "ca.small-1-64": level(0.429, 0.334),
    "ca.small-2-24": level(0.385, 0.334),
    "ca.small-2-64": level(0.522, 0.364),
    "de.small-1-24": level(0.292, 0.221),
    "de.small-1-64": level(0.406, 0.281),
    "de.small-2-24": level(0.317, 0.249),
    "de.small-2-64": level(0.518, 0.310),
}
LOSSES = {
    "ca": level(0.658, 0.370),
    "de": level(0.518, 0.310),
    "de-mse": level(0.4, 0.289),
    "de-margin-mse": level(0.5, 0.334),
    "de-rankdistil-b": level(0.4, 0.249),
    "de-m3se": level(0.45, 0.349),
    "de-softmax-ce": level(0.45, 0.346),
}
LISTS = {
    **{f"de-softmax-ce-k{size}": mean for size, mean in {2: 0.327, 4: 0.333, 8: 0.338, 16: 0.334}.items()},
    **{f"de-m3se-k{size}": mean for size, mean in {2: 0.323, 4: 0.326, 8: 0.349, 16: 0.325}.items()},
}
COLBERT = {"colbert": 0.356, "colbert-softmax-ce": 0.376}
REGULARISED = {"de-smoothing-10": 0.297, "de-dropout": 0.299, "de-mlm": 0.299, "de-focal": 0.307}
MINED = {"de-negatives": 0.312, "de-margin-mse-negatives": 0.335, "de-m3se-negatives": 0.324}
RETRIEVAL = {"de": 0.281, "de-negatives": 0.314}
TEACHER = {"ca": 0.370, "de": 0.310}

OPTIONS = {
    "C1": {"margin": 0.03},
    "C2": {"gap": 0.02},
    "C4": {"shift": 1.0},
    "C8": {"margin": 0.01},
    "C10": {"share": 0.5},
    "C11": {"margin": 0.01},
    "P1": {"tolerance": 1e-9},
    "P3": {"margins": [[4, 1], [1, 3], [-2, 5]], "temperatures": [0.5, 2, 1000], "tolerance": 1e-3},
}
MEANS = {
    "C1": SIZES,
    "C2": SIZES,
    "C5": LOSSES,
    "C6": LOSSES,
    "C8": TEACHER | LISTS,
    "C9": TEACHER | COLBERT,
    "C10": TEACHER | REGULARISED,
    "C11": LOSSES | MINED,
}
OPPOSITE = {
    "C1": {"de.small-2-64": level(0.4, 0.310)},
    "C2": {"de.small-1-64": level(0.406, 0.334)},
    "C5": {"de-margin-mse": level(0.5, 0.36)},
    "C6": {"de-m3se": level(0.53, 0.349)},
    "C8": {"de-m3se-k16": 0.37},
    "C9": {"colbert-softmax-ce": 0.36},
    "C10": {"de-dropout": 0.36},
    "C11": {"de-margin-mse-negatives": 0.36},
}
NO_GAP = {"C1": {"ca.small-2-64": level(0.4, 0.364)}}
NO_GAP |= {"C5": {"ca": 0.31}, "C6": {"ca": 0.31}, "C8": {"ca": 0.31}, "C9": {"ca": 0.34}, "C10": {"ca": 0.31}}


def module(claim):
    return importlib.import_module(f"dualenc.claims.{claim}")


def params(claim, names, **about):
    """The slice of params.yaml of a claim."""
    sizes = {name: int(re.search(r"-k(\d+)$", name)[1]) if "-k" in name else 4 for name in names}
    runs = [results_tree.run(name, list_size=sizes[name]) for name in names]
    return results_tree.params(claim, runs, options=OPTIONS.get(claim, {}), **about)


def judged(claim, means, root):
    """The parts of a claim in a results folder with these means."""
    results_tree.write(root, means)
    results_tree.write_retrieval(root, RETRIEVAL)
    return module(claim).parts(params(claim, means), root)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.11, 0.2, CONFIRMED), (0.1, 0.2, UNDECIDED), (0.0, 0.2, UNDECIDED), (0.0, 0.1, UNDECIDED), (0.0, 0.09, REFUTED)],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(low, high, expected):
    assert part_verdict(Part("", 0.1, low, high, above=0.1)) == expected
    assert part_verdict(Part("", -0.1, -high, -low, below=-0.1)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.1, 0.1, CONFIRMED),
        (-0.3, 0.1, UNDECIDED),
        (-0.3, 0.3, UNDECIDED),
        (0.3, 0.4, REFUTED),
        (-0.4, -0.3, REFUTED),
    ],
)
def test_equivalence_needs_the_interval_within_the_margin(low, high, expected):
    assert part_verdict(Part("", 0, low, high, above=-0.2, below=0.2)) == expected


def part(low, high, premise=False):
    return Part("", (low + high) / 2, low, high, above=0.0, premise=premise)


def test_a_claim_is_confirmed_by_all_parts_and_refuted_by_any():
    yes, no, open_ = part(1, 2), part(-2, -1), part(-1, 1)
    assert verdict([yes, yes]) == CONFIRMED
    assert verdict([yes, open_]) == UNDECIDED
    assert verdict([yes, open_, no]) == REFUTED
    assert verdict([]) == UNDECIDED


def test_without_its_premise_a_claim_is_undecided():
    yes, no = part(1, 2), part(-2, -1)
    assert verdict([part(1, 2, premise=True), yes]) == CONFIRMED
    assert verdict([part(1, 2, premise=True), no]) == REFUTED
    assert verdict([part(-1, 2, premise=True), yes]) == UNDECIDED
    assert verdict([part(-2, -1, premise=True), no]) == UNDECIDED


@pytest.mark.parametrize("claim", MEANS)
def test_the_papers_numbers_confirm_its_claims(claim, tmp_path):
    parts = judged(claim, MEANS[claim], tmp_path)
    assert verdict(parts) == CONFIRMED, parts
    assert all(one.low < one.value < one.high for one in parts)


@pytest.mark.parametrize("claim", OPPOSITE)
def test_the_opposite_refutes_them(claim, tmp_path):
    parts = judged(claim, MEANS[claim] | OPPOSITE[claim], tmp_path)
    assert verdict(parts) == REFUTED, parts


@pytest.mark.parametrize("claim", NO_GAP)
def test_without_a_teacher_that_is_better_they_are_undecided(claim, tmp_path):
    parts = judged(claim, MEANS[claim] | NO_GAP[claim], tmp_path)
    assert verdict(parts) == UNDECIDED, parts


def test_c1_and_c2_look_at_the_widest_encoder_of_each_depth():
    pairs = evidence.widest(params("C1", SIZES)["runs"])
    assert pairs == [{"ca": f"ca.{size}", "de": f"de.{size}"} for size in ("small-1-64", "small-2-64")]


def test_the_numbers_are_those_of_the_files(tmp_path):
    [first, *_] = judged("C1", SIZES, tmp_path)
    values = {}
    for name in ("ca.small-1-64", "de.small-1-64"):
        files = [tmp_path / "runs" / name / f"seed-{seed}" / "per_query.parquet" for seed in (1, 2)]
        frame = pd.concat([pd.read_parquet(file) for file in files])
        values[name] = frame[(frame.evalset == "train") & (frame.measure == "MRR@10")].groupby("qid").value.mean()
    difference = values["ca.small-1-64"] - values["de.small-1-64"]
    assert first.value == pytest.approx(difference.mean())
    error = 1.96 * difference.std() / np.sqrt(len(difference))
    assert [first.low, first.high] == pytest.approx([first.value - error, first.value + error], abs=0.3 * error)
    assert first.what == "ca.small-1-64 − de.small-1-64, train MRR@10"


def test_list_sizes_that_are_too_few_say_nothing(tmp_path):
    means = TEACHER | {name: mean for name, mean in LISTS.items() if name.endswith(("k2", "k4"))}
    parts = judged("C8", means, tmp_path)
    assert [one.premise for one in parts] == [True]
    assert verdict(parts) == UNDECIDED


SCORED = {
    "C3": ["ca", "de"],
    "C4": ["ca", "de", "de-mse", "de-margin-mse"],
    "C7": ["ca", "de", "de-softmax-ce", "de-m3se"],
}


def scored(claim, names, root, monkeypatch, **scorers):
    """The parts of a claim about scores, in a results folder where runs score as in the paper, or by ``scorers``."""
    of_paper = {**scored_tree.SCORERS, "de-mse": scored_tree.Scorer(margin=3, noise=4)}
    of_paper["de-m3se"] = scored_tree.Scorer(margin=40, noise=8, baseline=600, query=8)
    monkeypatch.setattr(scored_tree, "SCORERS", of_paper | scorers)
    scored_tree.write(root, names)
    return module(claim).parts(params(claim, names, seeds=[scored_tree.SEED]), root)


@pytest.mark.parametrize("claim", SCORED)
def test_scores_as_in_the_paper_confirm_its_claims(claim, tmp_path, monkeypatch):
    parts = scored(claim, SCORED[claim], tmp_path, monkeypatch)
    assert verdict(parts) == CONFIRMED, parts


def test_cross_attention_that_scores_like_a_dual_encoder_refutes_c3(tmp_path, monkeypatch):
    diffuse, clear = scored_tree.SCORERS["de"], scored_tree.SCORERS["ca"]
    parts = scored("C3", SCORED["C3"], tmp_path, monkeypatch, ca=diffuse, de=clear)
    assert verdict(parts) == REFUTED, parts


def test_scores_without_a_shift_refute_c4(tmp_path, monkeypatch):
    without = {name: scored_tree.SCORERS["ca"] for name in ("ca", "de")}
    parts = scored("C4", SCORED["C4"], tmp_path, monkeypatch, **without)
    assert part_verdict(parts[0]) == REFUTED and verdict(parts) == REFUTED


def test_margins_that_shrink_refute_c7(tmp_path, monkeypatch):
    worse = {"de-m3se": scored_tree.Scorer(margin=2, noise=10)}
    parts = scored("C7", SCORED["C7"], tmp_path, monkeypatch, **worse)
    assert verdict(parts) == REFUTED, parts


def updates(root, name, scale):
    """Score updates in which pairs that share a query or a passage move ``scale`` as far as the stepped pair."""
    generator = np.random.default_rng(0)
    rows = [
        (f"q{query}", f"p{query}", shared, f"o{other}", "p", 0.1, factor * (1 + 0.1 * generator.normal()), checkpoint)
        for checkpoint, size in (("step-0", 5.0), ("end", 1.0))
        for query in range(20)
        for shared, factor in (("query", 0.1 * scale * size), ("passage", 0.08 * scale * size), ("neither", 0.01))
        for other in range(4)
    ]
    columns = ["qid", "pid", "shared", "other_qid", "other_pid", "own_change", "change", "checkpoint"]
    folder = root / "score-updates" / name
    folder.mkdir(parents=True)
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "seed-1.parquet")


@pytest.mark.parametrize(("ca", "de", "expected"), [(0.3, 0.9, CONFIRMED), (0.9, 0.3, REFUTED), (0.5, 0.5, UNDECIDED)])
def test_c12_compares_how_far_other_pairs_move(ca, de, expected, tmp_path):
    updates(tmp_path, "ca", ca)
    updates(tmp_path, "de", de)
    parts = module("C12").parts(params("C12", ["ca", "de"]), tmp_path)
    assert verdict(parts) == expected
    assert parts[0].value == pytest.approx(de - ca, abs=0.05)  # at the end of training, where `size` is 1


def matrix(root, scores):
    """The score matrix of CA."""
    queries, passages = scores.shape
    frame = pd.DataFrame({"evalset": "test", "qid": np.repeat(np.arange(queries).astype(str), passages)})
    frame["pid"], frame["score"] = np.tile(np.arange(passages).astype(str), queries), scores.ravel()
    (root / "score-matrices/ca").mkdir(parents=True)
    frame.to_parquet(root / "score-matrices/ca/seed-1.parquet")


def test_p1_finds_the_dimension_of_any_scores(tmp_path):
    matrix(tmp_path, np.random.default_rng(0).normal(size=(6, 9)))
    parts = module("P1").parts(params("P1", ["ca"]), tmp_path)
    assert verdict(parts) == CONFIRMED
    assert "at dimension 6" in parts[0].what and parts[1].value < 0


def test_p1_names_the_missing_matrix(tmp_path):
    with pytest.raises(UserError, match=r"score-matrices/ca/seed-1\.parquet does not exist"):
        module("P1").parts(params("P1", ["ca"]), tmp_path)


def test_p3_holds_for_the_losses_of_this_project(tmp_path):
    assert verdict(module("P3").parts(params("P3", []), tmp_path)) == CONFIRMED


def test_p3_is_refuted_by_a_loss_with_another_limit(tmp_path, monkeypatch):
    wrong = module("P3").softmax_ce
    monkeypatch.setattr(
        module("P3"), "softmax_ce", lambda *scores, temperature: 2 * wrong(*scores, temperature=temperature)
    )
    assert verdict(module("P3").parts(params("P3", []), tmp_path)) == REFUTED


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of all verdicts that need no scores, collected."""
    root = tmp_path_factory.mktemp("claims")
    results_tree.write(root, {**SIZES, **LOSSES, **LISTS, **COLBERT, **REGULARISED, **MINED})
    results_tree.write_retrieval(root, RETRIEVAL)
    for claim in MEANS:
        judge(claim, results_tree.told(params(claim, MEANS[claim])), root, root / f"claims/{claim}.json")
    collect(list(MEANS), root / "claims", root)
    return root


def test_all_verdicts_are_collected_in_every_format(pages):
    records = json.loads((pages / "claims.json").read_text(encoding="utf-8"))
    text, html = (pages / "claims.md").read_text(encoding="utf-8"), (pages / "claims.html").read_text(encoding="utf-8")
    assert list(records) == list(MEANS)
    for claim, about in records.items():
        assert about == json.loads((pages / f"claims/{claim}.json").read_text(encoding="utf-8"))
        assert f"\n## {claim}: {about['verdict']}\n" in text and f"<h2>{claim}: {about['verdict']}</h2>" in html
        assert re.search(rf"^\| {claim} \| .* {about['verdict']}", text, flags=re.MULTILINE)
        assert about["claim"] == module(claim).CLAIM and about["claim"] in text and about["paper"] in text
        assert "{" not in about["test"] + about["reason"]
        for one in about["parts"]:
            assert None in (one["above"], one["below"])
            assert f"{one['value']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]" in text


def test_the_page_says_what_limits_it(pages, tmp_path):
    text = (pages / "claims.md").read_text(encoding="utf-8")
    assert "scale smoke" in text and "stands in for the paper's MS MARCO" in text
    own = page.record(module("C9"), params("C9", MEANS["C9"], dataset="msmarco-passage"), [])
    assert "stands in" not in page.markdown({"C9": own})


def test_rows_of_the_page_have_as_many_cells_as_its_head(pages):
    blocks = re.findall(r"(?:^\|.*\n)+", (pages / "claims.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(blocks) == 1 + len(MEANS)
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_a_claim_with_nothing_to_judge_it_by_says_so():
    about = page.record(module("C8"), params("C8", []), [])
    text = page.markdown({"C8": about})
    assert about["verdict"] == UNDECIDED and "nothing to judge it by at this scale" in text


def test_an_unmet_premise_is_told(tmp_path):
    parts = judged("C9", MEANS["C9"] | NO_GAP["C9"], tmp_path)
    about = page.record(module("C9"), params("C9", MEANS["C9"]), parts)
    row = page.table({"C9": about})[-1]
    assert "undecided, premise not met" in row and "ca − colbert" in row and "colbert-softmax-ce" not in row


def test_a_verdict_is_told_with_the_parts_that_decide_it(tmp_path):
    parts = judged("C5", MEANS["C5"] | OPPOSITE["C5"], tmp_path)
    why, deciding = page.deciding(page.record(module("C5"), params("C5", MEANS["C5"]), parts))
    assert why == ""
    assert [one["what"] for one in deciding] == [
        f"de-{loss} − de-margin-mse, test MRR@10" for loss in ("m3se", "softmax-ce")
    ]


@pytest.mark.parametrize("claim", IDS)
def test_every_claim_of_the_paper_has_a_module_that_says_what_it_does(claim):
    for name in ("CLAIM", "PAPER", "TEST", "REASON"):
        assert len(getattr(module(claim), name)) > 25
