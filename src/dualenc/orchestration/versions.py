"""What ties Snakemake, which decides what has to run, to DVC, which keeps what came out.

Each has its own record of what is up to date: Snakemake in ``.snakemake``, DVC in ``dvc.lock``. ``stage`` makes a stage
of dvc.yaml by the one Snakemake job that it stands for, so that both know. After a build by Snakemake, ``record`` tells
DVC; after a ``dvc pull`` or ``dvc checkout``, ``restore`` tells Snakemake. Neither takes anything on trust: one side
has to prove that it is complete before the other is told.

Tables, figures and claims are files of git that no stage has. ``record`` writes to ``results/<scale>/recorded.json``
what they were, and from which results, code and parameters; ``restore`` takes them as up to date if all of that holds.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from dualenc.orchestration import builds, origins, stages
from dualenc.runtime import provenance
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5, read_json, write_json
from dualenc.study import shown
from dualenc.study.config import Study

LOCK = Path("dvc.lock")
ARTEFACTS = ("table", "figure", "claim")
"""Rules for which, and for what follows from them, DVC has no stages."""


def stage(study: Study, rule: str, parts: Sequence[str], target: str) -> int:
    """Make ``target`` by one job of ``rule``, whatever else Snakemake would run; returns Snakemake's status.

    ``parts`` are the rules of its temporary inputs, which have no stages of their own.

    Raises ``UserError`` if dvc.yaml is out of date, or if the scale is being built.
    """
    stages.check(study)
    # No hooks: one job gains nothing from a process that waits for the next, and needs no summary.
    arguments = ["--cores", str(os.cpu_count()), "--no-hooks", "--force", "--quiet", "host", "reason"]
    command = [*_snakemake(), *arguments, "--allowed-rules", rule, *parts, "--", target]
    with builds.locked(study.scale) as lock:  # Snakemake inherits it, lest it run on without one
        return subprocess.run(command, pass_fds=[lock], check=False).returncode


def record(study: Study) -> str:
    """Commit what Snakemake has built to dvc.lock and DVC's cache; returns what the user may do next.

    Raises ``UserError`` if Snakemake has anything left to do: DVC would take old results for those of new parameters.
    Also raised if the scale is being built.
    """
    stages.check(study)
    with builds.locked(study.scale):
        pending = _pending()
        if pending:
            raise UserError(f"nothing is recorded, as {_some(pending, 'job')} would still run: run `make all` first.")
        root = Path("results", study.scale)
        gone = _status(study)[1]
        _run("dvc", "commit", "--force", "--quiet", *(stages.names() - gone if gone else ()))
        _run("dvc", "add", "--quiet", str(root / "report.html"))
        write_json(root / "recorded.json", _artefacts(study))
        changed, _ = _status(study)
        if changed:
            raise UserError(f"recorded, but DVC finds changes in {_some(changed, 'stage')}: see `dvc status`.")
        return "Recorded. To share it: git add dvc.lock results figures && git commit && dvc push"


def restore(study: Study) -> str:
    """Tell Snakemake that what DVC and git have fetched is up to date; returns what is left to do.

    Raises ``UserError`` if a file is not the one that dvc.lock says, Snakemake still misses one, or the scale is being
    built.
    """
    stages.check(study)
    with builds.locked(study.scale):
        changed, _ = _status(study)
        if changed:
            raise UserError(
                f"nothing is restored, as DVC finds changes in {_some(changed, 'stage')}: `dvc status` shows them, "
                "`dvc pull` fetches what is missing, `dvc repro` remakes what parameters or code have changed."
            )
        recorded = Path("results", study.scale, "recorded.json")
        found = _artefacts(study)
        whole = recorded.exists() and read_json(recorded) == found
        without = [] if whole else ["--omit-from", *ARTEFACTS]
        if not whole:  # Snakemake does not look at outputs: it has to forget them, if it knows them at all
            forget = [*_snakemake(), "--cores", "1", "--cleanup-metadata", *found["files"]]
            subprocess.run(forget, capture_output=True, check=False)
        # --forceall: without it, what is not pending gets no record, and a later edit of params.yaml would go
        # unnoticed. --no-hooks: they would take the lock that is held here.
        _run(*_snakemake(), "--cores", "1", "--no-hooks", "--touch", "--forceall", *without)
        pending = _pending()
        if not pending:
            return "Restored: Snakemake has nothing to do."
        if whole:
            raise UserError(f"{_some(pending, 'job')} would still run: run `make all`, then `make record`.")
        return (
            f"Restored except for {_some(pending, 'job')}: the tables, figures or claims here were not recorded with "
            "these results. `make all` remakes them."
        )


def _artefacts(study: Study) -> dict[str, Any]:
    """What was made from recorded results, and from which: MD5 of dvc.lock, parameters and code, and of each file."""
    code = {path for name in (*ARTEFACTS, "claims", "report") for path in provenance.code(f"steps.{name}")}
    for name, artefact in study.artefacts.items():
        code.update(provenance.code(f"{artefact.kind}s.{name}"))
    params = json.dumps({name: shown.artefact(study, name) for name in study.artefacts}, sort_keys=True)
    made_by = hashlib.md5(params.encode() + "".join(md5(path) for path in sorted(code)).encode()).hexdigest()
    root = Path("results", study.scale)
    folders = [root / "tables", root / "figure-data", root / "claims", root / "report", Path("figures", study.scale)]
    files = sorted([*root.glob("claims.*"), *(path for folder in folders for path in folder.rglob("*.*"))])
    return {"results": md5(LOCK), "made_by": made_by, "files": {str(path): md5(path) for path in files}}


def _snakemake() -> list[str]:
    return [sys.executable, "-m", "snakemake"]


def _pending() -> list[str]:
    """Messages of the jobs that Snakemake would run."""
    return re.findall(r"^Job \d+: (.*)$", _run(*_snakemake(), "--dry-run"), flags=re.MULTILINE)


def _status(study: Study) -> tuple[list[str], set[str]]:
    """Names of the stages, and of files that have none, that are not as dvc.lock says, and of those that only seem so.

    These lack the files that they were made from, which DVC does not keep, and have everything else: a clone has
    results, and should not need what they were made from.
    """
    given = {Path(name).absolute() for name in origins.given(study)}
    found = json.loads(_run("dvc", "status", "--json"))
    gone = {name for name, changes in found.items() if all(_is_gone(change, given) for change in changes)}
    return [name for name in found if name not in gone], gone


def _is_gone(change: Any, given: Collection[Path]) -> bool:
    """Whether a change is that given files are missing, and nothing else."""
    if not isinstance(change, dict) or set(change) != {"changed deps"}:
        return False
    return all(Path(name).absolute() in given and how == "deleted" for name, how in change["changed deps"].items())


def _run(*command: str) -> str:
    """What a command prints. Raises ``UserError`` if it fails, with its last words."""
    own = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": os.pathsep.join([own, os.environ["PATH"]])}
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    if result.returncode:
        words = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
        name = next(part for part in command if part not in (sys.executable, "-m"))
        raise UserError(f"{name} exited with status {result.returncode}: {' '.join(words[-2:])}")
    return result.stdout


def _some(names: Sequence[str], kind: str) -> str:
    """A few names and how many there are."""
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} {kind}{'s' if len(names) > 1 else ''} ({few})"
