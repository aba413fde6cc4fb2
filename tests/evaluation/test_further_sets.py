"""A dataset with a further test set: every step has it, and table 1 shows it beside the paper's."""

import json

import pandas as pd
import pytest
from pydantic import TypeAdapter

import results_tree
import tiny_study
from dualenc.data import collection
from dualenc.data.datasets import Dataset
from dualenc.data.kinds import tsv
from dualenc.data.runs import read_run
from dualenc.evaluation.metrics import evaluate
from dualenc.orchestration import slices
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from dualenc.steps.candidates import candidates
from dualenc.steps.evaluate import evaluate as evaluate_runs
from dualenc.steps.evaluation_sets import evaluation_sets
from dualenc.steps.retrieval import retrieval
from dualenc.steps.tokens import tokens
from dualenc.study import config, shown
from dualenc.study.schema import Evaluation
from dualenc.study.settings import Candidates, EvaluationSets, Retrieval
from dualenc.tables import tab1
from params import PARAMS

FURTHER = "trec-dl-2019"
SPLITS = {"train": "train", "validation": "validation", "test": "test", FURTHER: "graded"}
SETS = list(SPLITS)
EVALUATED = ["train", "test", FURTHER]
PLAIN = {key: value for key, value in PARAMS["evaluation"].items() if key != "sets"}


@pytest.fixture(scope="module")
def root(tiny, tmp_path_factory):
    """The tiny study with half of its test queries, judged by grades, as a further test set; nothing is trained yet."""
    root = tmp_path_factory.mktemp("further")
    files = root / "files"
    files.mkdir()
    _write(files / "collection.tsv", collection.passages(tiny / "dataset").itertuples(index=False))
    for split in collection.SPLITS:
        queries = collection.queries(tiny / "dataset", split)
        rows = [(qid, "0", pid, 1) for qid, one in collection.qrels(tiny / "dataset", split).items() for pid in one]
        _write(files / f"queries.{split}.tsv", queries.itertuples(index=False))
        _write(files / f"qrels.{split}.tsv", rows)
    _write(files / "queries.graded.tsv", queries[: len(queries) // 2].itertuples(index=False))
    others = collection.passages(tiny / "dataset").pid
    graded = [(qid, "0", pid, 1 + number % 3) for number, (qid, _, pid, _) in enumerate(rows[: len(queries) // 2])]
    _write(files / "qrels.graded.tsv", graded + [(qid, "0", others[0], 0) for qid, *_ in graded])
    whole = {"max_words": None, "max_passages": None, "max_queries": dict.fromkeys(collection.SPLITS, 1000)}
    tsv.build(root / "dataset", tsv.Parameters(kind="tsv", path=str(files), splits=SPLITS, **whole))
    first_stage = Candidates(bm25=tiny_study.BM25, depth=tiny_study.DEPTH)
    candidates(first_stage, root / "dataset", root / "candidates")
    tokens(root / "dataset", tiny / "tokenizer", root / "tokens")
    sets = EvaluationSets(train_evaluation=30, depth=tiny_study.DEPTH)
    evaluation_sets(sets, root / "dataset", root / "candidates", root / "evaluation")
    for name in ("encoder", "lists.parquet"):
        (root / name).symlink_to(tiny / name)
    return root


def _write(path, rows):
    path.write_text(
        "".join("\t".join(" ".join(str(cell).split()) for cell in row) + "\n" for row in rows), encoding="utf-8"
    )


def test_every_step_has_the_set(root, tmp_path):
    assert collection.splits(root / "dataset") == SETS
    metrics = read_json(root / "candidates" / "metrics.json")
    without = dict.fromkeys(["passages", *SETS], 0)
    about = {"source": "bm25", "scored": True, "without_terms": without}
    assert metrics.pop("candidates") == about and list(metrics) == SETS
    run = tiny_study.train(root, tmp_path, tiny_study.experiment())
    assert sorted(path.name for path in run.glob("*.run.gz")) == sorted(f"{name}.run.gz" for name in EVALUATED)
    test, further = (read_run(run / f"{name}.run.gz") for name in ("test", FURTHER))
    assert 0 < len(further) < len(test)
    for qid, ranking in further.items():  # queries of both sets, with the same candidates
        assert ranking.pids == test[qid].pids

    params = Retrieval(model="dual-encoder", retrieval_depth=30, tokens_per_batch=4096)
    output = tmp_path / "retrieval" / "de" / "seed-1"
    retrieval(params, root / "dataset", root / "tokens", run / "model", output)
    found = {name: read_run(tmp_path / "retrieval" / "de" / "seed-1" / f"{name}.run.gz") for name in ("test", FURTHER)}
    assert {name: len(run) for name, run in found.items()} == {"test": len(test), FURTHER: len(further)}
    assert all(ranking.pids == found["test"][qid].pids for qid, ranking in found[FURTHER].items())

    own = ["RR(rel=2)@10", "nDCG@10"]
    judged = {"measures": ["MRR@10"], "confidence": 0.95, "resamples": 100, "permutations": 100, "seed": 1}
    told = Evaluation(**judged, sets={FURTHER: own})
    evaluate_runs(told, root / "evaluation", run, ",".join(EVALUATED), tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert {name: list(measures) for name, measures in metrics.items()} == {
        **{name: ["MRR@10"] for name in ("train", "test")},
        FURTHER: ["MRR(rel=2)@10", "nDCG@10"],
    }
    values = evaluate(further, collection.qrels(root / "dataset", FURTHER), own)["MRR(rel=2)@10"]
    assert metrics[FURTHER]["MRR(rel=2)@10"]["mean"] == pytest.approx(sum(values.values()) / len(values))


def queries(*sets):
    """Queries of each split, one each, and of the further ``sets`` of (qid, text)."""
    asked = {split: [(split, f"what is {split}")] for split in collection.SPLITS}
    return asked | {f"set-{number}": list(one) for number, one in enumerate(sets)}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (queries([("test", "what is test"), ("new", "new")]), None),
        (queries([("new", "new")], [("new", "new")]), None),
        (queries([("new", "new")], [("new", "another text")]), "qid 'new' is also in the set-0 split"),
        (queries([("train", "what is train")]), "qid 'train' is also in the train split"),
        (queries([("test", "what?")]), "qid 'test' is also in the test split"),
        (queries([]), "queries.set-0.parquet has no queries"),
    ],
)
def test_test_sets_may_share_queries_and_nothing_else(tmp_path, asked, message):
    judged = {split: [(qid, "p", 1) for qid, _ in rows] for split, rows in asked.items()}
    dataset = [("p", "a passage")], asked, judged
    if message:
        with pytest.raises(UserError, match=message):
            collection.write(tmp_path, *dataset, about={})
    else:
        collection.write(tmp_path, *dataset, about={})
        assert collection.splits(tmp_path) == list(asked)
        collection.check_folder(tmp_path)


def study(**changes):
    """A study at scale smoke of a dataset of kind ir_datasets with a further test set."""
    dataset = {"kind": "ir_datasets", "max_words": None, "max_passages": None}
    dataset |= {"splits": {name: f"x/{name}" for name in SETS}, "max_queries": dict.fromkeys(collection.SPLITS, 9)}
    sizes = PARAMS["scales"]["smoke"]["sizes"] | {"queries": {"validation": 9, "test": 9, FURTHER: 9}}
    smoke = PARAMS["scales"]["smoke"] | {"dataset": "mine", "sizes": sizes} | changes.pop("smoke", {})
    evaluation = PLAIN | {"sets": {FURTHER: ["RR(rel=2)@10"]}}
    values = PARAMS | {"datasets": PARAMS["datasets"] | {"mine": dataset}, "evaluation": evaluation}
    return config.study(values | {"scales": {"smoke": smoke}} | changes)


def test_what_the_jobs_of_such_a_study_are_told():
    assert study().splits == SETS
    assert study().sets == EVALUATED and study().test_sets == ["test", FURTHER]
    assert shown.evaluation(study())["sets"] == {FURTHER: ["RR(rel=2)@10"]}
    assert shown.evaluation(study(evaluation=PLAIN))["sets"] == {FURTHER: PLAIN["measures"]}
    assert shown.artefact(study(), "tab1")["evaluation"] == shown.evaluation(study())
    own = slices.candidates(study(smoke={"candidates": "official", "depth": 17}))
    assert TypeAdapter(Dataset).validate_python(own["official"]).splits[FURTHER] == f"x/{FURTHER}"
    assert own["depth"] == 17 and "bm25" not in own


def test_other_studies_are_told_nothing_of_it():
    plain = config.study(PARAMS)
    assert plain.splits == list(collection.SPLITS) and plain.sets == ["train", "test"]
    assert set(slices.candidates(plain)) == {"bm25", "depth"}
    assert shown.evaluation(plain) == PLAIN
    assert "candidates" not in shown.artefact(plain, "tab1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"smoke": {"dataset": "pydocs", "candidates": "official"}},
            "pydocs, of kind pydocs, has no candidates of its",
        ),
        ({"evaluation": PLAIN | {"sets": {"trec-dl": ["nDCG@10"]}}}, "did you mean trec-dl-2019"),
        ({"smoke": {"candidates": "offical"}}, "candidates = 'offical' is not allowed; .* did you mean official"),
    ],
)
def test_wrong_params(changes, message):
    with pytest.raises(UserError, match=message):
        study(**changes)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": "a", "test": "c"}, "datasets.arxiv-cs.splits = .* it has no validation split"),
        ({**SPLITS, "dl_19": "x"}, "dl_19 must be one word of letters, digits and hyphens"),
        ({**SPLITS, "retrieval": "x"}, "retrieval must be one word"),
    ],
)
def test_wrong_splits(splits, message):
    changed = PARAMS["datasets"] | {"arxiv-cs": PARAMS["datasets"]["arxiv-cs"] | {"splits": splits}}
    with pytest.raises(UserError, match=message):
        config.study(PARAMS | {"datasets": changed})


@pytest.fixture
def table(tmp_path):
    """Table 1 of a study of MS MARCO with DL19, in which every run has .5 on all sets."""
    names = ["bm25", "ca", "de", "de-m3se"]
    sets = results_tree.QUERIES | {FURTHER: 43}
    results_tree.write(tmp_path, dict.fromkeys(names, 0.5), queries=sets)
    results_tree.write_retrieval(tmp_path, {"bm25": 0.5, "de": 0.5, "de-m3se": 0.5})
    for path in (tmp_path / "runs").rglob("per_query.parquet"):
        values = pd.read_parquet(path)
        values.loc[(values.evalset == FURTHER) & (values.measure == "MRR@10"), "measure"] = "MRR(rel=2)@10"
        values.to_parquet(path)
    runs = [results_tree.run(name) for name in names[1:]]
    params = results_tree.params("tab1", runs, dataset="msmarco-passage")
    params["evaluation"] = params["evaluation"] | {"sets": {FURTHER: ["RR(rel=2)@10", "nDCG@10"]}}

    def make(**changes):
        return tab1.table(params | changes, tmp_path)

    return make


def test_table_1_has_columns_of_the_set_beside_the_papers(table):
    made = table()
    blocks = dict.fromkeys(block for block, label in made.display.columns if label.startswith(FURTHER))
    assert list(blocks) == ["rebuilt: msmarco-passage", "difference from the reference", "rebuilt - paper"]
    rows = made.values.set_index("run")
    for measure, printed in (("MRR(rel=2)@10", 0.834), ("nDCG@10", 0.677)):
        name = f"{FURTHER}_{measure}"
        assert rows.loc["de", f"{name}_minus_paper"] == pytest.approx(rows.loc["de", f"{name}_mean"] - printed)
        assert rows.loc["de", f"{name}_queries"] == 43
    assert rows.loc["de-m3se", f"{FURTHER}_MRR(rel=2)@10_paper_gain"] == pytest.approx(0.852 - 0.834)
    assert "43 trec-dl-2019 queries" in made.notes[0]
    assert "Train, trec-dl-2019 and test: BM25's candidates, re-ranked" in made.notes[0]


def test_table_1_says_whose_candidates_it_shows(table):
    assert "the official candidates, re-ranked (where they have no scores" in table(candidates="official").notes[0]
