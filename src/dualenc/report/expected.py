"""Expected against obtained: what a scale should give, from ``expected.yaml``, next to what it gave."""

from collections.abc import Collection
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from dualenc.evaluation.metrics import Metrics
from dualenc.evaluation.results import BM25, RETRIEVAL
from dualenc.runtime.files import read_json

OUTCOMES = {True: "within", False: "**outside**", None: "not built"}


def rows(scale: str, root: Path, made: Collection[str]) -> list[dict[str, Any]]:
    """The expectations of a scale, each with the ``obtained`` mean over seeds and whether it is ``within``.

    ``root`` is the results folder, and ``made`` what a build makes there: files that earlier ones left do not count. A
    run that is not evaluated has None for both.
    """
    found = []
    for one in _expected().get(scale, []):
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
    lines = [
        f"| {one['run']} | {one['evalset']} | {one['measure']} | {one['value']:.3f} ± {one['tolerance']:.3f} | "
        + ("—" if one["obtained"] is None else f"{one['obtained']:.3f}")
        + f" | {OUTCOMES[one['within']]} | {one['source']} |"
        for one in rows(scale, root, made)
    ]
    if not lines:
        return ""
    head = ["| run | evaluated on | measure | expected | obtained | | source |", "|:--|:--|:--|--:|--:|:--|:--|"]
    return "\n".join([*head, *lines])


def _files(root: Path, run: str, evalset: str, made: Collection[str]) -> list[tuple[Path, str]]:
    """The metrics of all seeds of a run, and what they call the evaluation set."""
    parent, evalset = (RETRIEVAL, "test") if evalset == RETRIEVAL else ("runs", evalset)
    pattern = f"{parent}/{run}/metrics.json" if run == BM25 else f"{parent}/{run}/seed-*/metrics.json"
    return [(path, evalset) for path in sorted(root.glob(pattern)) if str(path) in made]


@cache
def _expected() -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load((resources.files("dualenc.report") / "expected.yaml").read_text(encoding="utf-8"))
