"""DVC beside Snakemake, on the finished copy: neither takes for done what the other would make again."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

REPOSITORY = Path(__file__).parents[2]
LONG = pytest.mark.long
RUN = "results/smoke/runs/{}/seed-1"


@pytest.fixture(scope="module")
def git():
    """Call git in a folder."""
    person = {f"GIT_{role}_{key}": f"x@{key}.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}

    def call(folder, *arguments):
        options = {
            "cwd": folder,
            "env": os.environ | person,
            "check": True,
            "capture_output": True,
            "encoding": "utf-8",
        }
        return subprocess.run(["git", *arguments], **options).stdout

    return call


@pytest.fixture(scope="module")
def recorded(finished, call_in, git, tmp_path_factory):
    """A git repository with a build at the smoke scale that was recorded, committed and pushed to a folder."""
    folder = tmp_path_factory.mktemp("recorded") / "repository"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("__pycache__", "scratch"))
    for name in (".gitignore", ".dvcignore", "requirements.lock"):
        shutil.copy2(REPOSITORY / name, folder)
    tracked = subprocess.run(
        ["git", "ls-files", ".dvc"], cwd=REPOSITORY, capture_output=True, encoding="utf-8", check=True
    )
    for name in tracked.stdout.split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, folder / name)
    set_value(folder, "scale", "smoke")
    git(folder, "init", "-q")
    store = tmp_path_factory.mktemp("store")
    for command in (
        ["dualenc", "stages"],
        ["dualenc", "record"],
        ["dvc", "remote", "add", "-q", "-d", "store", store],
        ["dvc", "push", "-q"],
    ):
        result = call_in(folder, *command)
        assert result.returncode == 0, result.stdout
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a build")
    return folder


@pytest.fixture(scope="module")
def clone(recorded, call_in, git, tmp_path_factory):
    """A clone with what DVC and git brought; scratch folders, logs and Snakemake's records are not there."""
    folder = tmp_path_factory.mktemp("clone") / "repository"
    git(recorded, "clone", "-q", str(recorded), str(folder))
    for key in ("name", "email"):
        git(folder, "config", f"user.{key}", "x")
    assert call_in(folder, "dvc", "pull", "-q").returncode == 0
    assert call_in(folder, "dualenc", "restore").stdout == "Restored: Snakemake has nothing to do.\n"
    return folder


@pytest.fixture
def workspace(clone, git, monkeypatch):
    """The clone, as the working directory; what a test does to its files is undone."""
    monkeypatch.chdir(clone)
    yield clone
    git(clone, "reset", "-q", "--hard")
    with Repo(str(clone)) as repo:
        repo.checkout(force=True)


def set_value(folder, key, value):
    """Set a value of a params.yaml by its dotted key."""
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    *above, last = key.split(".")
    place = params
    for name in above:
        place = place[name]
    place[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def changed_by_dvc(folder):
    """Stages that DVC finds changed, and those that depend on them."""
    with Repo(str(folder)) as repo:
        found = set(repo.status())
        while True:
            outs = {out.fs_path for stage in repo.index.stages if stage.addressing in found for out in stage.outs}
            more = {
                stage.addressing
                for stage in repo.index.stages
                for dep in stage.deps
                if any(f"{dep.fs_path}/".startswith(f"{out}/") or out.startswith(f"{dep.fs_path}/") for out in outs)
            }
            if more <= found:
                return found
            found |= more


def changed_by_snakemake(call_in, folder):
    """Stages whose jobs Snakemake would run; jobs that no stage has are left out."""
    table = call_in(folder, "snakemake", "--cores", "2", "--summary").stdout.splitlines()
    head = next(number for number, line in enumerate(table) if line.startswith("output_file\t"))
    pending = [line.split("\t") for line in table[head + 1 :] if line.endswith("\tupdate pending")]
    files = {str(folder / row[0]) for row in pending}
    with Repo(str(folder)) as repo:
        return {
            stage.addressing
            for stage in repo.index.stages
            if any(f"{file}/".startswith(f"{out.fs_path}/") for out in stage.outs for file in files)
        } - {"results/smoke/report.html.dvc"}


def messages(output):
    """Of the jobs that Snakemake ran, or would run."""
    return set(re.findall(r"^Job \d+: (.*)$", output, flags=re.MULTILINE))


def test_a_clone_needs_no_training(clone, call_in):
    assert call_in(clone, "dvc", "status").stdout == "Data and pipelines are up to date.\n"
    assert "Nothing to be done" in call_in(clone, "snakemake", "-n").stdout
    for kind in ("figures/smoke", "results/smoke/tables", "results/smoke/figure-data"):
        shutil.rmtree(clone / kind)
    again = call_in(clone, "snakemake", "--cores", "2", "tab1", "fig1", "fig5")
    assert messages(again.stdout) == {"Making tab1", "Drawing fig1", "Drawing fig5"}, again.stdout


@pytest.mark.parametrize(
    ("key", "value", "some"),
    [
        ("experiments.de-mse.weight_decay", 0.5, "evaluate@de-mse"),
        ("scales.smoke.experiments.base.learning_rate", 1e-4, "teacher-scores@ca"),
        ("experiments.lists.weight_decay", 0.5, "train@de-m3se-k2"),
        ("scales.smoke.bm25", {"k1": 1.2, "b": 0.4, "stop_words": "english", "stemmer": "english"}, "candidates"),
        pytest.param("scales.smoke.pretraining.steps", 30, "pretrain-small-1-32", marks=LONG),
        pytest.param("scales.smoke.lengths", {"text": 40, "pair": 64}, "train-with-checkpoints@de", marks=LONG),
        pytest.param(
            "scales.smoke.score_matrix", {"queries": 20, "passages": 40}, "score-matrix@ca", marks=pytest.mark.long
        ),
        pytest.param("evaluation.resamples", 100, "evaluate@bm25", marks=LONG),
        pytest.param("datasets.pydocs-stdlib.min_query_words", 5, "dataset", marks=LONG),
        ("threads", 2, None),
        ("src/dualenc/losses.py", None, "code-train"),
        pytest.param("src/dualenc/retrieval/dense.py", None, "retrieval@de", marks=LONG),
        ("src/dualenc/tables/tab1.py", None, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_both_would_make_the_same_again(workspace, call_in, key, value, some):
    if key.endswith(".py"):
        with open(workspace / key, "a", encoding="utf-8") as file:
            file.write("# a comment\n")
    else:
        set_value(workspace, key, value)
    stages = changed_by_dvc(workspace)
    assert stages == changed_by_snakemake(call_in, workspace)
    assert (some in stages) if some else not stages


def test_one_experiment_again(workspace, call_in):
    set_value(workspace, "experiments.de-mse.weight_decay", 0.5)
    refused = call_in(workspace, "dualenc", "record")
    assert refused.returncode == 2 and "nothing is recorded, as " in refused.stdout and "de-mse" in refused.stdout
    refused = call_in(workspace, "dualenc", "restore")
    assert refused.returncode == 2 and "nothing is restored, as " in refused.stdout
    assert "experiment-de-mse" in refused.stdout
    result = call_in(workspace, "dvc", "repro", "evaluate@de-mse")
    assert result.returncode == 0, result.stdout
    ran = {"Writing the experiment de-mse", "Training de-mse, seed 1", "Re-ranking with de-mse, seed 1"}
    ran |= {"Evaluating de-mse/seed-1"}
    assert messages(result.stdout) == ran
    target = f"{RUN.format('de-mse')}/metrics.json"
    assert "Nothing to be done" in call_in(workspace, "snakemake", "-n", target).stdout
    with Repo(str(workspace)) as repo:
        assert set(repo.status()) == {"retrieval@de-mse"}
    pending = messages(call_in(workspace, "snakemake", "-n").stdout)
    assert "Making tab1" in pending and not any(message.startswith("Training") for message in pending)


@pytest.mark.long
def test_two_experiments_at_once(workspace, call_in):
    for name, key in (("slow", "de-mse.weight_decay=0.5"), ("fast", "de-margin-mse.learning_rate=0.01")):
        stage = f"evaluate@{key.partition('.')[0]}"
        queued = call_in(workspace, "dvc", "exp", "run", "--queue", "-n", name, "-S", f"+experiments.{key}", stage)
        assert queued.returncode == 0, queued.stdout
    call_in(workspace, "dvc", "queue", "start", "-j", "2")
    for _ in range(120):
        time.sleep(1)
        status = call_in(workspace, "dvc", "queue", "status").stdout
        if not re.search("Queued|Running", status):
            break
    assert status.count("Success") == 2, status
    with Repo(str(workspace)) as repo:
        assert repo.status() == {}  # the workspace is as it was
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=workspace, capture_output=True, encoding="utf-8", check=True
    )
    shown = json.loads(call_in(workspace, "dvc", "exp", "show", "--json").stdout.splitlines()[-1])
    revisions = {name: data for entry in shown for name, data in named(entry, head.stdout.strip())}
    metrics = {name: data["metrics"] for name, data in revisions.items()}

    def lock(name, run):
        outs = revisions[name]["outs"]
        return outs[f"{RUN.format(run)}/test.run.gz"]["hash"]

    assert set(metrics) == {"slow", "fast", "HEAD"}
    assert lock("slow", "de-mse") != lock("HEAD", "de-mse") == lock("fast", "de-mse")
    assert lock("fast", "de-margin-mse") != lock("HEAD", "de-margin-mse") == lock("slow", "de-margin-mse")


def named(entry, head):
    """(name, data) of a commit and of its experiments, as ``dvc exp show`` has them."""
    if entry["rev"] == head:
        yield "HEAD", entry["data"]
    for experiment in entry["experiments"] or []:
        yield experiment["name"], experiment["revs"][0]["data"]


@pytest.mark.long
def test_what_is_interrupted_is_not_done(workspace, call_in):
    set_value(workspace, "experiments.de-mse.steps", 4000)
    environment = os.environ | {"PYTHONPATH": str(workspace / "src")}
    command = [shutil.which("dvc"), "repro", "train@de-mse"]
    log = workspace / "logs/smoke/train/de-mse/seed-1.log"
    log.unlink(missing_ok=True)
    with subprocess.Popen(command, cwd=workspace, env=environment, start_new_session=True) as process:
        for _ in range(600):
            if log.exists() and "step " in log.read_text(encoding="utf-8"):
                break
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (workspace / RUN.format("de-mse") / "model" / "model.safetensors").exists()
    assert "train@de-mse" in changed_by_dvc(workspace)
    assert call_in(workspace, "dualenc", "restore").returncode == 2
    assert "Training de-mse, seed 1" in messages(call_in(workspace, "snakemake", "-n").stdout)


def test_what_is_missing_is_not_restored(workspace, call_in):
    (workspace / RUN.format("de") / "model" / "model.safetensors").unlink()
    refused = call_in(workspace, "dualenc", "restore")
    assert refused.returncode == 2 and "train-with-checkpoints@de" in refused.stdout and "dvc pull" in refused.stdout


@pytest.mark.long
def test_tables_of_other_results_are_made_again(workspace, call_in):
    with open(workspace / "results/smoke/tables/tab1.csv", "a", encoding="utf-8") as file:
        file.write("\n")
    result = call_in(workspace, "dualenc", "restore")
    assert result.returncode == 0 and "were not recorded with these results" in result.stdout, result.stdout
    pending = messages(call_in(workspace, "snakemake", "-n").stdout)
    assert "Making tab1" in pending and "Making the report" in pending
    assert not any(message.startswith(("Training", "Evaluating")) for message in pending)


def test_stages_of_another_params_yaml_are_refused(workspace, call_in):
    set_value(workspace, "scales.smoke.seeds", [1, 2])
    for command in (["record"], ["restore"], ["stage", "train", f"{RUN.format('de')}/curve.csv"]):
        refused = call_in(workspace, "dualenc", *command)
        assert refused.returncode == 2 and "run `make stages`" in refused.stdout
    call_in(workspace, "dualenc", "stages")
    with Repo(str(workspace)) as repo:
        assert "train@de-seed-2" in repo.status()
