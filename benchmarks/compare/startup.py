"""Start-up of a job: from the start of its process to the first line that is the step's own, against one import.

The command lines are those of the workflow, with the slices of params.yaml, but the folders that they name are missing:
so a step ends at its first look at its inputs, with the error that says so. By then it has parsed its arguments and
imported what it needs, and has done nothing else. The error is looked for, so that no other failure is timed.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from statistics import median
from time import sleep

from harness import Comparison, seconds

from dualenc import warm
from dualenc.orchestration import slices
from dualenc.study import config, shown

ROOT = Path(__file__).parents[2]
TRAINERLESS = ("evaluate", "table", "figure")
FORKED = ("evaluate", "train")  # are measured warm, too: a fork takes the same time, whatever it will do
OPPONENT = "import sentence_transformers"
MESSAGE = "does not exist"  # what each says of a folder


def comparisons(device: str, scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Cold, in a process of its own, and forked from the warm process of a workflow run."""
    theirs = partial(seconds, partial(_run, [sys.executable, "-c", OPPONENT], os.environ))
    for command, job in list(_jobs(scratch).items())[: 1 if quick else None]:
        ways = {"cold": {warm.ADDRESS: "off"}}
        if command in FORKED:
            ways["warm"] = _warm_process()
        for how, variables in ways.items():
            yield Comparison(
                path=f"start of a job: {command}, {how}",
                against=OPPONENT,
                setting="a new process" if how == "cold" else "a fork of the process that has imported all",
                ours=partial(seconds, partial(_run, job, os.environ | variables, MESSAGE)),
                theirs=theirs,
                amount=None,
                unit="s",
                target=1 if command in TRAINERLESS or how == "warm" else None,
                memory=False,
            )


def warm_start(scratch: Path, repetitions: int) -> float:
    """Median seconds that a job of a workflow run takes before its own work."""
    job = partial(_run, _jobs(scratch)["evaluate"], os.environ | _warm_process(), MESSAGE)
    return median(seconds(job) for _ in range(repetitions))


def _jobs(scratch: Path) -> dict[str, list[str]]:
    """Command -> its command line, with folders that are missing."""
    study = config.load(ROOT / "params.yaml", {"scale": "mini"})
    absent, output = str(scratch / "absent"), str(scratch / "output")
    run = study.runs("tab1")[0]
    slice_ = {
        "evaluate": slices.evaluate(study),
        "table": shown.artefact(study, "tab1"),
        "figure": shown.artefact(study, "fig1"),
        "train": slices.train(study, run, 1),
    }
    folders = ("dataset", "tokens", "encoder", "lists", "evaluation", "scratch")
    inputs = [word for folder in folders for word in (f"--{folder}", absent)]
    arguments = {
        "evaluate": ["--evaluation", absent, "--runs", absent, "--splits", "test"],
        "table": ["tab1", "--root", absent],
        "figure": ["fig1", "--root", absent, "--data", output, "--pdf", output, "--png", output],
        "train": [*inputs, "--seed", "1", "--checkpoints", output],
    }
    outputs = {command: [] if command == "figure" else ["--output", output] for command in arguments}
    program = [sys.executable, "-m", "dualenc"]
    return {
        command: [*program, command, *words, "--params", slices.as_json(slice_[command]), *outputs[command]]
        for command, words in arguments.items()
    }


@cache
def _warm_process() -> dict[str, str]:
    """The variable that leads jobs to a warm process of this one, which has imported all and listens."""
    os.environ.pop(warm.ADDRESS, None)
    warm.start()
    address = os.environ.pop(warm.ADDRESS)
    with socket.socket(socket.AF_UNIX) as connection:
        while connection.connect_ex(address):
            sleep(0.1)
    return {warm.ADDRESS: address}


def _run(command: list[str], environment: dict[str, str], message: str = "") -> None:
    """Run a command that is to end well, or with a ``message``."""
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=not message)
    if message not in " ".join(done.stderr.replace("│", " ").split()):
        raise RuntimeError(f"{' '.join(command)} was to end with {message!r}: {done.stderr}")
