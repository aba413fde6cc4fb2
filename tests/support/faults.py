"""Kill `dualenc` at random moments while everything is built, again and again, until the build succeeds.

    python tests/support/faults.py --kills 20

Builds the smoke scale twice in folders of its own: undisturbed, and with processes of jobs ended by SIGKILL, each time
followed by another `snakemake`, as a user would type it. Then every result is compared, byte by byte.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SECONDS = (2.0, 20.0)  # from the start of a run to a kill
# What says how a result came about, and not what it is.
ABOUT = ("times", "report.html", "report", "provenance.json")
DRAWN = (".pdf", ".png")


def main(
    kills: Annotated[int, typer.Option(min=0, help="processes to kill")] = 20,
    cores: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    seed: Annotated[int, typer.Option(help="of the moments and the processes; their load has a part in it, too")] = 0,
) -> None:
    """Print what was killed and what was compared; exit status 1 if anything differs or is missing."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        whole, killed = Path(folder, "undisturbed"), Path(folder, "killed")
        for copy in (whole, killed):
            files = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPOSITORY, encoding="utf-8")
            for name in files.split("\0")[:-1]:
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, copy / name, follow_symlinks=False)
        start = time.monotonic()
        if build(whole, cores).wait() != 0:
            sys.exit("the build fails without any kill")
        print(f"undisturbed: {time.monotonic() - start:.0f} s", flush=True)
        victims, differing = disturb(killed, whole, kills, cores, random.Random(seed))
    for name, count in sorted(victims.items()):
        print(f"  {name} {count}")
    sys.exit(1 if differing else 0)


def disturb(killed: Path, whole: Path, kills: int, cores: int, generator: random.Random) -> tuple[Counter, list[str]]:
    """Kill so many processes in builds in ``killed``; which ones, and the results that are not those of ``whole``.

    A build that succeeds before is compared, and a new one begun.
    """
    victims: Counter = Counter()
    runs, differing, start = 0, [], time.monotonic()
    while True:
        runs += 1
        run, status = build(killed, cores), None
        while status is None and victims.total() < kills:
            try:
                status = run.wait(generator.uniform(*SECONDS))
            except subprocess.TimeoutExpired:
                victims.update(kill(killed, generator))
        if run.wait() != 0:
            continue
        found, wrong = compared(killed, whole)
        differing += wrong
        print(
            f"{victims.total()} kills, {runs} runs, {time.monotonic() - start:.0f} s: {found} files compared, "
            f"{len(wrong)} differ{': ' + ', '.join(wrong[:5]) if wrong else ''}",
            flush=True,
        )
        if victims.total() >= kills:
            return victims, differing
        for name in ("results", "figures", "scratch", "logs"):
            shutil.rmtree(killed / name, ignore_errors=True)


def build(folder: Path, cores: int) -> subprocess.Popen:
    """A run of Snakemake, its output in ``build.log``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")}
    environment |= {"PATH": os.pathsep.join([str(BIN), environment["PATH"]]), "PYTHONPATH": str(folder / "src")}
    command = [BIN / "snakemake", "--cores", str(cores), "--scheduler", "greedy", "--config", "scale=smoke"]
    with open(folder / "build.log", "a", encoding="utf-8") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def kill(folder: Path, generator: random.Random) -> list[str]:
    """Kill one process of a job in a folder, if there is one; what it did."""
    found = sorted(processes(folder))
    if not found:
        return []
    pid, what = generator.choice(found)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return []
    return [what]


def processes(folder: Path) -> Iterator[tuple[int, str]]:
    """Processes of `dualenc` that run in a folder, and whose: of a rule, by the log that they write, or of all.

    For a job there are its command and, once the workflow's process is ready, two that are forked from that.
    """
    for path in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (path / "cmdline").read_text(encoding="utf-8").split("\0")
            if os.readlink(path / "cwd") != str(folder):
                continue
            log = Path(os.readlink(path / "fd/1"))
        except OSError:
            continue
        if any(one.endswith("/dualenc") or "warm.serve()" in one for one in arguments):
            of_a_rule = log.is_relative_to(folder / "logs/smoke")
            what = log.relative_to(folder / "logs/smoke").parts[0].removesuffix(".log") if of_a_rule else "none"
            yield int(path.name), what


def compared(folder: Path, whole: Path) -> tuple[int, list[str]]:
    """How many results there are in ``whole``, and which of them ``folder`` lacks or has with other bytes."""
    names = []
    for root in ("results", "figures"):
        for path in (whole / root).rglob("*"):
            if path.is_file() and not set(path.relative_to(whole).parts) & set(ABOUT):
                names.append(path.relative_to(whole))
    wrong = [
        str(name)
        for name in names
        if not (folder / name).exists()
        or (name.suffix not in DRAWN and (folder / name).read_bytes() != (whole / name).read_bytes())
    ]
    return len(names), wrong


if __name__ == "__main__":
    typer.run(main)
