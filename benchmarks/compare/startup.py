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
OPPONENT = "import sentence_transformers"


def comparisons(device: str, scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Cold, in a process of its own, and forked from the warm process of a workflow run."""
    theirs = partial(seconds, partial(_run, [sys.executable, "-c", OPPONENT], os.environ, ""))
    for command, (job, message) in list(_jobs(scratch).items())[: 1 if quick else None]:
        for how, variables in (("cold", {warm.ADDRESS: "off"}), ("warm", _warm_process())):
            yield Comparison(
                path=f"start of a job: {command}, {how}",
                against=OPPONENT,
                setting="a new process" if how == "cold" else "a fork of the process that has imported all",
                ours=partial(seconds, partial(_run, job, os.environ | variables, message)),
                theirs=theirs,
                amount=None,
                unit="s",
                target=1 if command in TRAINERLESS or how == "warm" else None,
                memory=False,
            )


def warm_start(scratch: Path, repetitions: int) -> float:
    """Median seconds that a job of a workflow run takes before its own work."""
    job, message = _jobs(scratch)["evaluate"]
    return median(seconds(partial(_run, job, os.environ | _warm_process(), message)) for _ in range(repetitions))


def _jobs(scratch: Path) -> dict[str, tuple[list[str], str]]:
    """Command -> its command line, with folders that are missing, and what the step then says."""
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
        "evaluate": (["--evaluation", absent, "--runs", absent, "--splits", "test"], "there is no such run"),
        "table": (["tab1", "--root", absent], "does not exist"),
        "figure": (["fig1", "--root", absent, *("--data", output, "--pdf", output, "--png", output)], "does not exist"),
        "train": ([*inputs, "--seed", "1", "--checkpoints", output], "No such file"),
    }
    outputs = {command: [] if command == "figure" else ["--output", output] for command in arguments}
    program = [sys.executable, "-m", "dualenc"]
    return {
        command: ([*program, command, *words, "--params", slices.as_json(slice_[command]), *outputs[command]], message)
        for command, (words, message) in arguments.items()
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


def _run(command: list[str], environment: dict[str, str], message: str) -> None:
    """Run a command that is to end well, or with a ``message``."""
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=not message)
    if message not in done.stderr.strip().rpartition("\n")[2]:
        raise RuntimeError(f"{' '.join(command)} was to end with {message!r}: {done.stderr}")
