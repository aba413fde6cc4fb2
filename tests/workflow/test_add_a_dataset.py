"""docs/add-a-dataset.md, followed to the letter, with real text where it is at hand."""

import json
import re
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
WIKI_QA = REPOSITORY.parent / "shared" / "data" / "wiki_qa"
SPLITS = ("train", "dev", "test")
SMALL = """
  collection:
    <<: *smoke
    dataset: wiki-qa
    seeds: [1]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with what the page adds to params.yaml, and a scale that is as small as the tests' own."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("benchmarks", "src", "workflow", "profiles"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(REPOSITORY / "Snakefile", folder)
    (folder / "miniatures").symlink_to(REPOSITORY / "miniatures")
    page = (REPOSITORY / "docs/add-a-dataset.md").read_text(encoding="utf-8")
    dataset, scale = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)[:2]
    assert "train: 20000" in dataset
    dataset = dataset.replace("train: 20000", "train: 300")
    params = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    params = params.replace("datasets:\n", f"datasets:\n{dataset}", 1).replace("  smoke: #", "  smoke: &smoke #", 1)
    (folder / "params.yaml").write_text(params + scale + SMALL, encoding="utf-8")
    return folder


@pytest.fixture
def generated(project):
    """Files of the right form: each query asks for the one passage that has its two words."""
    folder = project / "data/wiki_qa"
    folder.mkdir(parents=True)
    words = [f"w{number}" for number in range(900)]
    text = [f"{words[at]} {words[-at - 1]} some words that all passages have" for at in range(300)]
    (folder / "collection.tsv").write_text("".join(f"p{at}\t{one}\n" for at, one in enumerate(text)), encoding="utf-8")
    for place, split in enumerate(SPLITS):
        asked = range(place * 100, place * 100 + 100)
        queries = "".join(f"q{at}\t{words[at]} {words[-at - 1]}\n" for at in asked)
        (folder / f"queries.{split}.tsv").write_text(queries, encoding="utf-8")
        (folder / f"qrels.{split}.tsv").write_text("".join(f"q{at}\t0\tp{at}\t1\n" for at in asked), encoding="utf-8")
    yield folder
    shutil.rmtree(project / "data")


def test_the_page_leads_to_a_workflow(project, generated, call_in):
    planned = call_in(project, "snakemake", "-n", "--cores", "1", "--config", "scale=wiki", "--", "tab1")
    assert planned.returncode == 0, planned.stdout
    assert "results/wiki/tables/tab1.md" in planned.stdout


def test_a_missing_file_is_named(project, call_in):
    target = "results/wiki/data/wiki-qa/manifest.json"
    failed = call_in(project, "snakemake", "--cores", "1", "--config", "scale=wiki", "--", target)
    assert failed.returncode != 0
    assert "data/wiki_qa/collection.tsv (or .gz, .xz, .bz2, .zst) does not exist" in failed.stdout, failed.stdout


@pytest.mark.skipif(not WIKI_QA.is_dir(), reason=f"the real collection is not at {WIKI_QA}")
def test_a_real_collection_from_its_files_to_metrics(project, call_in):
    """BM25's MRR@10 over whole passages is known for this collection: .533 on test."""
    (project / "data").mkdir(exist_ok=True)
    (project / "data/wiki_qa").symlink_to(WIKI_QA)
    target = "results/collection/runs/de/seed-1/metrics.json"
    done = call_in(project, "snakemake", "--cores", "2", "--config", "scale=collection", "--", target)
    assert done.returncode == 0, done.stdout
    found = json.loads(
        (project / "results/collection/data/wiki-qa/candidates/metrics.json").read_text(encoding="utf-8")
    )
    assert found["test"]["MRR@10"] == pytest.approx(0.533, abs=0.02)
    model = json.loads((project / target).read_text(encoding="utf-8"))
    assert 0 < model["test"]["MRR@10"]["mean"] < 1 and model["test"]["MRR@10"]["queries"] == 1749
