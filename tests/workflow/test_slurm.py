"""The workflow on a real Slurm of two nodes: `snakemake --profile slurm`, as it is typed, but for shorter waiting."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import yaml

import local_slurm
from conftest import BIN, copy_repository

OF_EVERY_RULE = ("tab1", "fig7", "C12", "P1")
"""Artefacts for which each rule has a job, but for those that collect what all artefacts say."""
SHORTLY = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10")
AGAIN = ("--rerun-triggers", "mtime", "--force")  # the code is elsewhere, but not newer
JOB = re.compile(r"Slurm job ([0-9_]+) on (\w+), GPUs ([0-9,]*)$", flags=re.MULTILINE)
STEP = re.compile(r"^step (\d+)", flags=re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def slurm() -> Iterator[None]:
    reason = local_slurm.missing()
    if reason:
        pytest.skip(reason)
    with local_slurm.running(nodes=2, cpus=4, gpus=2):
        yield


@pytest.fixture
def cluster(finished: Path, tmp_path: Path) -> Path:
    """A copy of the repository with what was built at the smoke scale, and the link that makes the profile's name."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, symlinks=True)
    shutil.rmtree(copy / "scratch")
    (copy / "slurm").symlink_to("workflow/profiles/slurm")
    return copy


def set_params(folder: Path, experiment: dict | None = None, **values: object) -> None:
    """Set keys of the smoke scale, and of its base experiment."""
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["scales"]["smoke"] |= values
    params["scales"]["smoke"]["experiments"]["base"] |= experiment or {}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen, Path]]:
    """Snakemake with the profile, and the file of what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")}
    environment |= {"PATH": os.pathsep.join([str(BIN), environment["PATH"]]), "PYTHONPATH": str(folder / "src")}
    command = [BIN / "snakemake", "--profile", "slurm", *SHORTLY, "--config", "scale=smoke", *arguments]
    log = folder / "snakemake.log"
    with (
        open(log, "w", encoding="utf-8") as file,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file) as process,
    ):
        try:
            yield process, log
        finally:
            process.kill()


def run(folder: Path, *arguments: str) -> str:
    """What it prints when it succeeds."""
    with started(folder, *arguments) as (process, log):
        assert process.wait(1800) == 0, log.read_text(encoding="utf-8")
        return log.read_text(encoding="utf-8")


def until(condition: Callable[[], object], process: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, log.read_text(encoding="utf-8")
        time.sleep(0.1)


def model(run_name: str) -> str:
    return f"results/smoke/runs/{run_name}/seed-1/model/model.safetensors"


def training_log(folder: Path, run_name: str) -> str:
    path = folder / f"logs/smoke/train/{run_name}/seed-1.log"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_trainings_are_an_array_in_fresh_processes_and_leave_the_same_bits(cluster, finished):
    before = {name: (finished / model(name)).read_bytes() for name in ("de", "ca")}
    printed = run(cluster, *AGAIN, "--", *map(model, before))
    array = re.search(r"Submitted array job with Snakemake IDs [0-9,]+ and SLURM job ID (\d+)", printed)
    assert array, printed
    for name, weights in before.items():
        (job, _, gpus), *_ = JOB.findall(training_log(cluster, name))
        assert job.startswith(array[1]) and gpus == ""
        assert (cluster / model(name)).read_bytes() == weights
        # Of a fork Snakemake would see its command alone, which imports little.
        times = cluster / f"results/smoke/times/train/{name}/seed-1.tsv"
        assert pd.read_csv(times, sep="\t").max_rss[0] > 150


@pytest.mark.long
@pytest.mark.parametrize("nodes", [1, 2])
def test_a_training_by_several_processes_has_the_gpus_that_it_asked_for(cluster, nodes):
    set_params(cluster, gpus=1, processes=2, nodes=nodes)
    params = (cluster / "workflow/profiles/slurm/config.yaml").read_text(encoding="utf-8")
    chosen = "# set-resources:\n#   pretrain: &model {slurm_partition: gpu}"
    assert chosen in params
    (cluster / "workflow/profiles/slurm/config.yaml").write_text(
        params.replace(chosen, "set-resources:\n  pretrain: &model {slurm_partition: gpu}").replace(
            "#   train_with_checkpoints: *model", "  train_with_checkpoints: *model"
        ),
        encoding="utf-8",
    )
    run(cluster, *AGAIN, "--", model("de"))
    log = training_log(cluster, "de")
    jobs = JOB.findall(log)
    own = {(node, gpus) for _, node, gpus in jobs if gpus}
    assert len({job for job, _, _ in jobs}) == 1, log
    if nodes == 1:
        assert {gpus for _, gpus in own} == {"0,1"} and len({node for node, _ in own}) == 1, log
    else:
        assert {len(gpus) for _, gpus in own} == {1} and {node for node, _ in own} == {"node1", "node2"}, log
    provenance = json.loads((cluster / "results/smoke/runs/de/seed-1/provenance.json").read_text(encoding="utf-8"))
    assert provenance["processes"] == 2


@contextmanager
def long_training(folder: Path) -> Iterator[tuple[subprocess.Popen, Path, str]]:
    """A training that has written a checkpoint and is stopped there; its Slurm id comes third."""
    set_params(folder, {"steps": 400, "evaluate_every": 100})
    with started(folder, "--rerun-triggers", "mtime", "--force", "--", model("de")) as (process, log):
        until(lambda: list(folder.glob("scratch/*/checkpoint-*/whole")), process, log)
        (pid,) = [pid for pid in pids("dualenc", "train", str(folder))]
        os.kill(pid, signal.SIGSTOP)
        ((job, _, _), *_) = JOB.findall(training_log(folder, "de"))
        yield process, log, job


def pids(*words: str) -> Iterator[int]:
    """Processes of Python that have these arguments, and run in the folder that is the last word."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (path / "cmdline").read_text(encoding="utf-8").split("\0")
            ours = "python" in arguments[0] and any(one.endswith(words[0]) for one in arguments[:3])
            if ours and words[1] in arguments and os.readlink(path / "cwd") == words[2]:
                yield int(path.name)
        except OSError:
            continue


def limit(job: str) -> int:
    """Minutes that a job may run."""
    return int(re.search(r"TimeLimit=00:(\d+):00", local_slurm.output("scontrol", "show", "job", job))[1])


@pytest.mark.long
def test_a_job_that_ran_out_of_time_is_submitted_again_with_more_and_goes_on(cluster):
    with long_training(cluster) as (process, log, job):
        first = limit(job)
        subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=0:01"], check=True)
        until(lambda: "SLURM status is: 'TIMEOUT'" in log.read_text(encoding="utf-8"), process, log)
        until(lambda: f"job {job} " not in (text := training_log(cluster, "de")) and JOB.search(text), process, log)
        again = JOB.search(training_log(cluster, "de"))[1]
        assert limit(again) == 2 * first
        assert process.wait(300) == 0, log.read_text(encoding="utf-8")
    reported = [int(step) for step in STEP.findall(training_log(cluster, "de"))]
    assert min(reported) > 100 and max(reported) == 400, training_log(cluster, "de")


@pytest.mark.long
def test_a_requeued_job_goes_on(cluster):
    with long_training(cluster) as (process, log, job):
        subprocess.run(["scontrol", "requeue", job], check=True)  # which Slurm does after two minutes
        assert process.wait(400) == 0, log.read_text(encoding="utf-8")
    text = training_log(cluster, "de")
    assert JOB.search(text)[1] == job and min(map(int, STEP.findall(text))) > 100, text


@pytest.mark.long
def test_a_cancelled_job_ends_in_an_error_that_names_it(cluster):
    with long_training(cluster) as (process, log, job):
        subprocess.run(["scancel", job], check=True)
        assert process.wait(120) == 1
        printed = log.read_text(encoding="utf-8")
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in printed
    assert "Error in rule train_with_checkpoints:" in printed and "not tried again" in printed
    assert "Trying to restart" not in printed


@pytest.mark.long
def test_an_interrupt_cancels_the_jobs(cluster):
    with long_training(cluster) as (process, log, job):
        process.send_signal(signal.SIGINT)
        assert process.wait(120) != 0
        state = local_slurm.output("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}").strip()
        assert state in ("CANCELLED", "COMPLETING"), log.read_text(encoding="utf-8")


@pytest.mark.long
def test_every_rule_runs_on_slurm(finished, tmp_path):
    """The same files as on this machine alone and, as it is the same machine, the same numbers."""
    copy = copy_repository(tmp_path)
    (copy / "slurm").symlink_to("workflow/profiles/slurm")
    printed = run(copy, "--", *OF_EVERY_RULE)
    assert re.findall(r"has been submitted with SLURM jobid \d+", printed) and "Submitted array job" in printed
    rules = [{path.stem for path in (root / "results/smoke/times").iterdir()} for root in (copy, finished)]
    assert rules[0] == rules[1] - {"claims", "report"}
    names = [{path.relative_to(root) for path in (root / "results/smoke").rglob("*")} for root in (copy, finished)]
    assert names[0] < names[1]
    metrics = [name for name in names[0] if name.name == "metrics.json"]
    assert metrics
    for name in metrics:
        assert (copy / name).read_bytes() == (finished / name).read_bytes(), name
