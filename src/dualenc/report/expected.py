"""Expected against obtained: what a scale should give, from ``expected.yaml``, next to what it gave."""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from dualenc.evaluation.metrics import Metrics
from dualenc.evaluation.results import BM25, RETRIEVAL
from dualenc.runtime.files import read_json
from dualenc.study.config import Study

OUTCOMES = {True: "within", False: "**outside**", None: "not built"}


def runs(scale: str) -> list[str]:
    """The runs of which a scale has expectations."""
    return list(dict.fromkeys(one["run"] for one in _expected().get(scale, [])))


def files(study: Study, names: Collection[str]) -> list[str]:
    """The metrics that a scale's expectations of some runs are about, as Snakemake's targets."""
    root, found = Path("results", study.scale), []
    for one in _expected().get(study.scale, []):
        parent, seeds = ("runs", study.at.seeds) if one["evalset"] != RETRIEVAL else (RETRIEVAL, study.at.seeds[:1])
        if one["run"] in names:
            folder = root / parent / one["run"]
            found += [folder] if one["run"] == BM25 else [folder / f"seed-{seed}" for seed in seeds]
    return [str(folder / "metrics.json") for folder in dict.fromkeys(found)]


def rows(scale: str, root: Path, made: Collection[str], names: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The expectations of a scale, each with the ``obtained`` mean over seeds and whether it is ``within``.

    ``root`` is the results folder, and ``made`` what a build makes there: files that earlier ones left do not count. A
    run that is not evaluated has None for both. ``names`` are the runs to look at, all of them if None.
    """
    found = []
    for one in _expected().get(scale, []):
        if names is not None and one["run"] not in names:
            continue
        values = [
            metrics[evalset][one["measure"]]["mean"]
            for path, evalset in _files(root, one["run"], one["evalset"], made)
            if one["measure"] in (metrics := read_json(path, Metrics)).get(evalset, {})
        ]
        obtained = sum(values) / len(values) if values else None
        within = None if obtained is None else abs(obtained - one["value"]) <= one["tolerance"]
        found.append({**one, "obtained": obtained, "within": within})
    return found


def table(scale: str, root: Path, made: Collection[str]) -> str:
    """`rows` as a Markdown table, empty for a scale without expectations."""
    found = rows(scale, root, made)
    return as_table(found) if found else ""


def as_table(found: Iterable[Mapping[str, Any]]) -> str:
    """Some `rows` as a Markdown table."""
    lines = [
        f"| {one['run']} | {one['evalset']} | {one['measure']} | {one['value']:.3f} ± {one['tolerance']:.3f} | "
        + ("—" if one["obtained"] is None else f"{one['obtained']:.3f}")
        + f" | {OUTCOMES[one['within']]} | {one['source']} |"
        for one in found
    ]
    head = ["| run | evaluated on | measure | expected | obtained | | source |", "|:--|:--|:--|--:|--:|:--|:--|"]
    return "\n".join([*head, *lines])


def by_run(scale: str) -> str:
    """The expectations of a scale as a Markdown table with a row for each run, and the command that checks it."""
    expectations = _expected()[scale]
    columns = list(dict.fromkeys((one["evalset"], one["measure"]) for one in expectations))
    lines = ["| run | command | " + " | ".join(map(" ".join, columns)) + " |", "|:--|:--|" + "--:|" * len(columns)]
    for run in runs(scale):
        values = {(one["evalset"], one["measure"]): one for one in expectations if one["run"] == run}
        cells = [
            f"{one['value']:.3f} ± {one['tolerance']:.3f}" if (one := values.get(column)) else "" for column in columns
        ]
        lines.append(f"| {run} | `make verify ROW={run}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _files(root: Path, run: str, evalset: str, made: Collection[str]) -> list[tuple[Path, str]]:
    """The metrics of all seeds of a run, and what they call the evaluation set."""
    parent, evalset = (RETRIEVAL, "test") if evalset == RETRIEVAL else ("runs", evalset)
    pattern = f"{parent}/{run}/metrics.json" if run == BM25 else f"{parent}/{run}/seed-*/metrics.json"
    return [(path, evalset) for path in sorted(root.glob(pattern)) if str(path) in made]


@cache
def _expected() -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load((resources.files("dualenc.report") / "expected.yaml").read_text(encoding="utf-8"))
