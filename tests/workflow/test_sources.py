"""A collection of a user's own: changes of its files are seen, by Snakemake and by DVC, and a clone can do without."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dualenc.orchestration import dag, origins, stages, versions
from dualenc.runtime.errors import UserError
from dualenc.study import config

REPOSITORY = Path(__file__).parents[2]
SPLITS = ("train", "dev", "test")
MANIFEST = "results/mine/data/mine/manifest.json"
QRELS = "data/mine/qrels.test.tsv"


@pytest.fixture(scope="module")
def built(tmp_path_factory, call_in):
    """A copy of the workflow in which the dataset is made."""
    folder = tmp_path_factory.mktemp("mine") / "copy"
    folder.mkdir()
    for name in ("Snakefile", "benchmarks", "profiles", "src", "workflow", "requirements.lock"):
        (folder / name).symlink_to(REPOSITORY / name)
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    splits = {"train": "train", "validation": "dev", "test": "test"}
    sizes = {"max_words": None, "max_passages": None, "max_queries": dict.fromkeys(splits, 9)}
    params["datasets"]["mine"] = {"kind": "tsv", "path": "data/mine", "splits": splits, **sizes}
    for width in (24, 32):
        mini = {"layers": 2, "width": width, "heads": 2, "folder": str(REPOSITORY / f"miniatures/small-2-{width}")}
        params["encoders"] |= {f"small-1-{16 if width == 24 else 32}": mini}
    params["scales"]["mine"] = params["scales"]["smoke"] | {"dataset": "mine"}
    params["scale"] = "mine"
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    data = folder / "data/mine"
    data.mkdir(parents=True)
    (data / "collection.tsv").write_text("".join(f"p{n}\twords of passage {n}\n" for n in range(9)), encoding="utf-8")
    for place, split in enumerate(SPLITS):
        (data / f"queries.{split}.tsv").write_text(f"q{place}\twhich words\n", encoding="utf-8")
        (data / f"qrels.{split}.tsv").write_text(f"q{place}\t0\tp{place}\t1\n", encoding="utf-8")
    made = call_in(folder, "snakemake", "--cores", "1", "--", MANIFEST)
    assert made.returncode == 0, made.stdout
    return folder


@pytest.fixture
def copy(built, tmp_path):
    """What a test may change: the same files, with their times, and Snakemake's records."""
    return shutil.copytree(built, tmp_path / "copy", symlinks=True)


def replace(path, text):
    """Other content in a file that is older than all results."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, (0, 0))


def test_the_manifest_has_the_files(built):
    sources = json.loads((built / MANIFEST).read_text(encoding="utf-8"))["sources"]
    assert len(sources) == 7 and sources[QRELS]["size"] == (built / QRELS).stat().st_size


def test_an_edit_is_seen_even_if_it_is_older_than_the_results(copy, call_in):
    planned = call_in(copy, "snakemake", "-n", "--", MANIFEST)
    assert "Nothing to be done" in planned.stdout, planned.stdout
    replace(copy / QRELS, "q2\t0\tp7\t1\n")
    made = call_in(copy, "snakemake", "--cores", "1", "--", MANIFEST)
    assert made.returncode == 0 and "Reading the dataset mine" in made.stdout
    assert (copy / "results/mine/data/mine/qrels.test.tsv").read_text(encoding="utf-8") == "q2 0 p7 1\n"


def test_what_is_made_needs_no_files_and_what_is_not_names_them(copy, call_in):
    shutil.rmtree(copy / "data")
    planned = call_in(copy, "snakemake", "-n", "--", MANIFEST)
    assert "Nothing to be done" in planned.stdout, planned.stdout
    shutil.rmtree(copy / "results")
    refused = call_in(copy, "snakemake", "--cores", "1", "--", MANIFEST)
    assert refused.returncode != 0 and not (copy / "results").exists()
    assert "data/mine/collection.tsv" in refused.stdout and "does not exist" in refused.stdout
    assert "Traceback" not in refused.stdout and "Exception" not in refused.stdout


@pytest.fixture
def repository(copy, call_in, monkeypatch):
    """A repository of git and DVC with the dataset's stage and a later one; all else of a build counts as done."""
    monkeypatch.chdir(copy)
    study = config.load("params.yaml")
    stage = stages.document(study, dag.read(study))["stages"]["dataset"]
    stage["deps"] = [dep for dep in stage["deps"] if dep in origins.given(study)]
    later = {"cmd": "false", "deps": [MANIFEST], "outs": ["results/mine/later"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"dataset": stage, "later": later}}), encoding="utf-8")
    for name in ("later", "report.html"):
        Path("results/mine", name).write_text("", encoding="utf-8")
    monkeypatch.setattr(stages, "check", lambda study: None)
    monkeypatch.setattr(stages, "names", lambda: {"dataset", "later"})
    monkeypatch.setattr(versions, "_pending", list)
    for command in (["git", "init", "-q"], [call_in, "dvc", "init", "-q"]):
        done = command[0](copy, *command[1:]) if callable(command[0]) else subprocess.run(command, check=True)
        assert done.returncode == 0
    return study


@pytest.mark.long
def test_dvc_knows_the_files_and_a_record_needs_them_no_more(repository):
    assert versions.record(repository).startswith("Recorded")
    locked = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"]["dataset"]["deps"]
    assert len([one for one in locked if one["path"].startswith("data/mine/")]) == 7
    text = Path(QRELS).read_text(encoding="utf-8")
    replace(Path(QRELS), "q2\t0\tp7\t1\n")
    assert versions._status(repository) == (["dataset"], set())
    with pytest.raises(UserError, match="nothing is restored, as DVC finds changes in 1 stage \\(dataset\\)"):
        versions.restore(repository)
    replace(Path(QRELS), text)
    shutil.rmtree("data")
    Path("results/mine/later").write_text("made again", encoding="utf-8")
    assert versions._status(repository) == (["later"], {"dataset"})
    assert versions.record(repository).startswith("Recorded")
    Path("results/mine/data/mine/passages.parquet").unlink()
    assert versions._status(repository) == (["dataset"], set())
