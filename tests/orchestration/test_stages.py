"""dvc.yaml: it is that of params.yaml, and its stages watch the numbers that decide their jobs."""

import copy
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from dualenc.orchestration import dag, origins, slices, stages
from dualenc.runtime.errors import UserError
from dualenc.study import config, shown

REPOSITORY = Path(__file__).parents[2]
PARAMS = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8")) | {"scale": "smoke"}

OF_JOB = {  # what Snakemake watches for a job, by its rule; the item of a group has the run and the seed
    "dataset": lambda study, item: [
        slices.dataset(study, item),
        origins.dataset(study, item),
    ],
    "candidates": lambda study, item: [slices.candidates(study), origins.candidates(study)],
    "tokenizer": lambda study, item: slices.tokenizer(study),
    "tokens": lambda study, item: origins.tokenizer(study, ["tokenizer.json"]),
    "import_scores": lambda study, item: [slices.import_scores(study), origins.published_scores(study)],
    "code": lambda study, item: slices.shared(study, item),
    "experiment": lambda study, item: slices.experiment(study, item),
    "lists": lambda study, item: slices.lists(study),
    "evaluation_sets": lambda study, item: slices.evaluation_sets(study),
    "corpus": lambda study, item: slices.corpus(study),
    "texts": lambda study, item: [slices.texts(study), origins.tokenizer(study)],
    "pretrain": lambda study, item: [slices.pretrain(study, item), origins.tokenizer(study)],
    **dict.fromkeys(
        ("train", "train_with_checkpoints"),
        lambda study, item: [
            slices.train(study, item["run"], int(item["seed"])),
            origins.encoder(study, study.run(item["run"]).encoder),
        ],
    ),
    **dict.fromkeys(("rerank", "rerank_checkpoint"), lambda study, item: slices.rerank(study, item["run"])),
    "teacher_scores": lambda study, item: slices.teacher_scores(study, item["teacher"]),
    "score_matrix": lambda study, item: slices.score_matrix(study, item["run"]),
    "score_updates": lambda study, item: slices.score_updates(study, item["run"]),
    "retrieval": lambda study, item: slices.retrieval(study, item["run"]),
    "evaluate": lambda study, item: shown.evaluation(study),
    "evaluate_retrieval": lambda study, item: shown.evaluation(study),
}


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def text(value, item):
    """A string of a group's template for one item."""
    value = re.sub(r"\$\{item\.(\w+)\[(\d+)\]\}", lambda found: item[found[1]][int(found[2])], value)
    return re.sub(r"\$\{item\.(\w+)\}", lambda found: str(item[found[1]]), value)


class Watched(NamedTuple):
    """What Snakemake watches for a job, as a function of a study; the keys that DVC watches; its files."""

    slice: Callable
    keys: set
    deps: list
    outs: list


def jobs(study):
    """What is watched for each stage; the study is that of the params.yaml here."""
    found = {}
    for name, stage in stages.document(study, dag.read(study))["stages"].items():
        do = stage.get("do", stage)
        _, _, _, rule, *_, target = do["cmd"].split()
        for key, item in stage.get("foreach", {"": Path(target).stem}).items():
            item = Path(target).parent.name if rule in ("pretrain", "dataset") else item
            files = [
                [text(one if isinstance(one, str) else next(iter(one)), item) for one in do.get(kind, [])]
                for kind in ("params", "deps", "outs", "metrics")
            ]
            watched = Watched(partial(OF_JOB[rule], item=item), set(files[0]), files[1], files[2] + files[3])
            found[f"{name}@{key}" if key else name] = watched
    return found


def with_what_follows(changed, watched):
    """These stages and all that depend on them."""
    while True:
        outs = [f"{out}/" for name in changed for out in watched[name].outs]
        more = {
            name
            for name, one in watched.items()
            if any(f"{dep}/".startswith(out) or out.startswith(f"{dep}/") for dep in one.deps for out in outs)
        }
        if more <= changed:
            return changed
        changed = changed | more


def leaves(values, path=()):
    """Paths of all numbers and switches."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif isinstance(value, bool | int | float):
            yield (*path, key)


def at(values, path):
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def changed(path):
    """params.yaml with another value there."""
    params = copy.deepcopy(PARAMS)
    *above, last = path
    place = at(params, above)
    value = place[last]
    place[last] = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value / 2
    return params


def test_the_committed_file_is_that_of_params_yaml():
    stages.check(config.load("params.yaml"))
    with pytest.raises(UserError, match=r"dvc\.yaml does not have the stages .* run `make stages`"):
        stages.check(config.study(PARAMS))


def test_dvc_watches_what_snakemake_watches():
    """Every number of params.yaml, one at a time: the same jobs, or for a number that others override, more."""
    study = config.study(PARAMS)
    watched = jobs(study)
    before = {name: one.slice(study) for name, one in watched.items()}
    tried = 0
    for path in leaves(PARAMS):
        if path[0] == "scales" and path[1] != "smoke":
            continue
        params = changed(path)
        try:
            now = config.study(params)
        except UserError:
            continue  # not allowed, or not alone
        tried += 1
        by_snakemake = {name for name, one in watched.items() if one.slice(now) != before[name]}
        by_dvc = {
            name
            for name, one in watched.items()
            if any(at(params, key.split(".")) != at(PARAMS, key.split(".")) for key in one.keys)
        }
        # Layers are watched as wholes, so that a number that is added to one is seen, too.
        more = {name for name in by_dvc - by_snakemake if name.startswith("experiment-")}
        assert not more or "experiments" in path, path
        assert with_what_follows(by_snakemake, watched) == with_what_follows(by_dvc - more, watched), path
    assert tried > 100


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A study of files: a dataset's, published scores and an encoder's; its candidates are in the dataset's files."""
    files = [tmp_path / name for name in ("train.json", "dev.json", "scores.tsv")]
    for file in files:
        file.write_text("[]", encoding="utf-8")
    folder = tmp_path / "encoder"
    shutil.copytree(REPOSITORY / "miniatures/small-2-32", folder)
    params = copy.deepcopy(PARAMS)
    train, dev, scores = ({"path": str(file)} for file in files)
    params["datasets"]["nq"] = params["datasets"]["natural-questions"] | {"train": train, "dev": dev}
    scores |= {"teacher": "de", "tolerance": 0, "allowed_defects": 0}
    params["scales"]["smoke"] |= {"dataset": "nq", "candidates": "official", "published_scores": scores}
    params["encoders"]["small-1-32"] = {"layers": 2, "width": 32, "heads": 2, "folder": str(folder)}
    monkeypatch.chdir(tmp_path)
    for name in ("Snakefile", "benchmarks", "profiles", "src", "workflow", "miniatures"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    yield params, [*files, folder / "config.json", folder / "model.safetensors", folder / "tokenizer.json"]
    forget()


def forget():
    """As a new process would."""
    for cached in (origins._md5, origins._folder, origins._installed):
        cached.cache_clear()


def test_dvc_watches_the_files_that_snakemake_watches(given):
    """Those that no job makes, one at a time."""
    params, files = given
    study = config.study(params)
    watched = jobs(study)
    for file in files:
        forget()
        before = {name: one.slice(study) for name, one in watched.items()}
        file.write_bytes(file.read_bytes() + b"\n")
        forget()
        by_snakemake = {name for name, one in watched.items() if one.slice(study) != before[name]}
        by_dvc = {name for name, one in watched.items() if any(file.is_relative_to(dep) for dep in one.deps)}
        assert by_snakemake and by_snakemake == by_dvc, file


def test_dvc_watches_the_versions_that_snakemake_watches(monkeypatch):
    """By the lock; the stage that reads it finds out whether packages changed whose text is used."""
    params = PARAMS | {"scale": "mini"}
    study = config.study(params)
    watched = jobs(study)
    before = {name: one.slice(study) for name, one in watched.items()}
    versions = origins._installed()
    by_dvc = {name for name, one in watched.items() if "requirements.lock" in one.deps}
    for package, used in (("numpy", True), ("sklearn", True), ("pytest", False)):
        monkeypatch.setattr(origins, "_installed", lambda other=package: versions | {other: "0"})
        by_snakemake = {name for name, one in watched.items() if one.slice(study) != before[name]}
        assert bool(by_snakemake) == used
        if used:
            assert with_what_follows(by_snakemake, watched) == with_what_follows(by_dvc, watched)


def test_keys_exist():
    """DVC refuses a key that params.yaml lacks."""
    for name, watched in jobs(config.study(PARAMS)).items():
        for key in watched.keys:
            *above, last = key.split(".")
            assert last in at(PARAMS, above), (name, key)


def test_a_stage_of_shards_makes_them_too(tmp_path, monkeypatch):
    """Their rules have no stages: what they read is read by the stage of the whole."""
    params = copy.deepcopy(PARAMS)
    params["scales"]["smoke"]["shards"] = 2
    for name in ("Snakefile", "benchmarks", "profiles", "src", "workflow", "miniatures"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    study = config.study(params)
    found = stages.document(study, dag.read(study))["stages"]
    assert not {"encode", "score-shard"} & found.keys()
    for name, part, read in (
        ("retrieval", "encode", "code/encode"),
        ("teacher-scores", "score_shard", "supervision/one-hot"),
    ):
        do = found[name]["do"]
        assert f" --with {part} " in do["cmd"] and f"results/smoke/{read}" in do["deps"]
        assert not any("-of-2" in dep for dep in do["deps"])


def test_a_check_reads_the_dag_once(tmp_path, monkeypatch):
    """DVC asks for each stage."""
    monkeypatch.setattr(stages, "CHECKED", tmp_path / "checked")
    study, asked, text = config.load("params.yaml"), [], stages.FILE.read_text(encoding="utf-8")
    monkeypatch.setattr(stages, "text", lambda study: asked.append(study) or text)
    stages.check(study)
    stages.check(study)
    assert asked == [study]
    monkeypatch.setattr(stages, "text", lambda study: "another")
    (tmp_path / "checked").write_text("of another params.yaml", encoding="utf-8")
    with pytest.raises(UserError, match="run `make stages`"):
        stages.check(study)
