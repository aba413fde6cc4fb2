"""What results are made from that no job makes is known by its content, and told once it is missing."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from dualenc.orchestration import dag, origins, stages
from dualenc.runtime.errors import UserError
from dualenc.study import config

REPOSITORY = Path(__file__).parents[2]
PARAMS = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
NAMES = ["collection", *(f"{kind}.{split}" for kind in ("queries", "qrels") for split in SPLITS.values())]
FILES = [f"data/mine/{name}.tsv" for name in NAMES]
TSV = {"kind": "tsv", "path": "data/mine", "splits": SPLITS, "max_words": None, "max_passages": None}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, with the files of a collection."""
    monkeypatch.chdir(tmp_path)
    Path("data/mine").mkdir(parents=True)
    for name in FILES:
        Path(name).write_text(f"the bytes of {name}\n", encoding="utf-8")
    forget()
    yield tmp_path
    forget()


def forget():
    """As a new process would."""
    for cached in (origins._md5, origins._installed, origins._folder):
        cached.cache_clear()


def study(scale="smoke", dataset=None, **values):
    """params.yaml with a dataset, by default that of the files, at a scale that has it."""
    params = json.loads(json.dumps(PARAMS | values | {"scale": scale}))
    if scale == "smoke":
        params["datasets"]["mine"] = dataset or TSV | {"max_queries": {"train": 9, "validation": 9, "test": 9}}
        params["scales"]["smoke"]["dataset"] = "mine"
    return config.study(params)


def read(dataset=None):
    """What is known of the dataset, to a new process."""
    forget()
    return origins.dataset(study(dataset=dataset), "mine")


def replace(path, text):
    """Other bytes, as many, in a file that says that it is as old as before."""
    status = path.stat()
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


def make():
    """The manifest that a build would leave."""
    manifest = Path("results/smoke/data/mine/manifest.json")
    manifest.parent.mkdir(parents=True)
    made_of = {name: {"size": 1, "md5": value} for name, value in read().items()}
    manifest.write_text(json.dumps({"sources": made_of}), encoding="utf-8")


@pytest.mark.parametrize("limit", [origins.SMALL, 0], ids=["small", "large"])
@pytest.mark.parametrize("name", FILES)
def test_an_edit_of_any_file_is_seen_whatever_its_times_say(name, limit, monkeypatch):
    monkeypatch.setattr(origins, "SMALL", limit)
    before = read()
    assert list(before) == FILES and read() == before
    replace(Path(name), Path(name).read_text(encoding="utf-8").swapcase())
    assert {file for file in FILES if read()[file] != before[file]} == {name}
    assert origins.files(study(), "mine") == FILES


def test_a_file_that_is_only_touched_is_the_same():
    before = read()
    os.utime(FILES[0])
    assert read() == before


def test_large_files_are_read_once(monkeypatch):
    monkeypatch.setattr(origins, "SMALL", 0)
    before = read()
    monkeypatch.setattr(origins, "md5", lambda path: pytest.fail(f"{path} is read again"))
    assert read() == before


def test_a_dataset_that_is_made_needs_its_files_no_more():
    make()
    before = read()
    shutil.rmtree("data")
    assert read() == before
    origins.check(study())
    assert origins.files(study(), "mine") == FILES


def test_what_is_missing_is_named(folder):
    Path(FILES[3]).unlink()
    with pytest.raises(UserError, match=r"data/mine/queries\.test\.tsv .* does not exist"):
        read()
    make_without = Path("results/smoke/data/mine/manifest.json")
    assert not make_without.exists()
    shutil.rmtree("data")
    with pytest.raises(UserError, match=r"data/mine/collection\.tsv .* does not exist"):
        origins.check(study())


def test_a_dataset_that_is_made_excuses_no_other_files():
    make()
    Path(FILES[3]).unlink()  # one of several: which dataset would they be?
    with pytest.raises(UserError, match=r"queries\.test\.tsv"):
        read()
    shutil.rmtree("data")
    elsewhere = TSV | {"path": "data/other", "max_queries": {"train": 9, "validation": 9, "test": 9}}
    with pytest.raises(UserError, match=r"data/other/collection\.tsv"):
        read(elsewhere)


def test_files_of_dpr_and_published_scores_count_where_they_have_a_path():
    url = {"url": "https://example.org/dev.json.gz", "size": 1, "md5": "0" * 32}
    dpr = PARAMS["datasets"]["natural-questions"] | {"train": {"path": FILES[0]}, "dev": url}
    assert list(read(dpr)) == [FILES[0]]
    with pytest.raises(UserError, match=r"absent\.json does not exist"):
        read(dpr | {"dev": {"path": "absent.json"}})
    scores = {"path": FILES[1], "teacher": "ca", "tolerance": 0, "allowed_defects": 0}
    smoke = PARAMS["scales"]["smoke"] | {"published_scores": scores}
    published = study("mini", scales={**PARAMS["scales"], "mini": smoke})
    assert list(origins.published_scores(published)) == [FILES[1]]
    assert origins.given(published) == [FILES[1]]


def test_what_is_not_needed_may_be_missing():
    shutil.rmtree("data")
    origins.check(study("mini"))
    with pytest.raises(UserError, match=r"data/arxiv_cs/collection\.tsv"):  # which miniatures are trained on
        origins.check(study("mini", pretrain=True))


@pytest.mark.parametrize("scale", [name for name, at in PARAMS["scales"].items() if at])
def test_datasets_are_those_that_have_stages(scale, monkeypatch):
    monkeypatch.chdir(REPOSITORY)  # where the modules' files are
    named = {
        key
        for stage in stages.document(study_at(scale), dag.read(study_at(scale)))["stages"].values()
        for key in stage.get("params", [])
    }
    read = {key.split(".")[1] for key in named if key.startswith("datasets.") and key.count(".") == 1}
    assert set(origins.datasets(study_at(scale))) == read


def study_at(scale):
    return config.study(PARAMS | {"scale": scale})


def test_an_upgrade_of_a_package_is_seen(folder, monkeypatch):
    packages = folder / "lib" / "site-packages"
    (packages / "demo").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(packages))

    def install(version):
        about = packages / f"Demo_Pack-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: Demo-Pack\nVersion: {version}\n", encoding="utf-8"
        )
        (about / "RECORD").write_text("demo/__init__.py,,\n", encoding="utf-8")
        forget()
        return about

    about = install("1.0")
    assert origins.versions(["demo", "stdlib", "sklearn", "json"]).keys() == {"python", "demo", "sklearn"}
    assert origins.versions(["demo"])["demo"] == "1.0"
    shutil.rmtree(about)
    install("2.0")
    assert origins.versions(["demo"])["demo"] == "2.0"
    with pytest.raises(UserError, match="package 'no_such' is not installed"):
        origins.versions(["no_such"])


def test_versions_are_those_of_the_manifest():
    about = origins.versions(["numpy", "PIL", "git"])
    assert {name: about[name] for name in ("PIL", "git")} == {
        "PIL": __import__("PIL").__version__,
        "git": __import__("git").__version__,
    }
    noted = origins.NOTES / "versions.json"
    noted.write_text(noted.read_text(encoding="utf-8").replace(about["numpy"], "noted"), encoding="utf-8")
    forget()
    assert origins.versions(["numpy"])["numpy"] == "noted"


def test_an_encoder_is_known_by_all_that_is_loaded_of_it():
    folder = Path("miniatures/small-2-32")
    shutil.copytree(REPOSITORY / folder, folder)
    seen = {origins.encoder(study("mini"), "small-2-32")}
    for name in ("config.json", "tokenizer_config.json", "special_tokens_map.json"):
        with open(folder / name, "a", encoding="utf-8") as file:
            file.write("\n")
        os.utime(folder / name, (0, 0))
        forget()
        seen.add(origins.encoder(study("mini"), "small-2-32"))
    assert len(seen) == 4
    (folder / "README.md").write_text("other words", encoding="utf-8")
    forget()
    assert origins.encoder(study("mini"), "small-2-32") in seen
    assert origins.encoder(study("smoke"), "small-1-32") == ""  # which a job makes
