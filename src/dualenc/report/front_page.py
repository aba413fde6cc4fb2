"""The first page of the report: claims, figure 1, table 1, and what each artefact costs."""

import base64
import csv
import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dualenc.claims import page
from dualenc.report import expected
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json, required
from dualenc.study import artefacts

KINDS = {"table": ".csv", "figure": ".csv", "claim": ".json"}
"""Rules that make artefacts, and the suffix of the file that is named after the artefact."""


class Cost(NamedTuple):
    """Jobs and seconds that an artefact needs from scratch, and those that no other artefact needs too."""

    kind: str
    jobs: int
    seconds: float
    own_jobs: int
    own_seconds: float


def costs(summary: str, logs: Path, times: Path) -> dict[str, Cost]:
    """Artefact -> `Cost`, from what ``snakemake --detailed-summary`` prints and the benchmarks below ``times``.

    The log ``<logs>/<job>.log`` belongs to the benchmark ``<times>/<job>.tsv``. A job without log or benchmark (it
    only copies a file, or ran elsewhere) counts no seconds.
    """
    makers: dict[str, str] = {}
    inputs: dict[str, set[str]] = {}
    seconds: dict[str, float] = {}
    artefacts: dict[str, tuple[str, str]] = {}
    for row in _rows(summary):
        output, log = Path(row["output_file"]), Path(row["log-file(s)"])
        logged = log.is_relative_to(logs)
        job = str(log if logged else output)
        makers[str(output)] = job
        inputs.setdefault(job, set()).update(row["input-file(s)"].split(","))
        seconds[job] = _seconds(times / log.relative_to(logs).with_suffix(".tsv")) if logged else 0.0
        if KINDS.get(row["rule"]) == output.suffix:
            artefacts[output.stem] = row["rule"], job
    needed = {name: _ancestors(job, makers, inputs) for name, (_, job) in artefacts.items()}
    found = {}
    for name, (kind, _) in artefacts.items():
        own = needed[name].difference(*(jobs for other, jobs in needed.items() if other != name))
        both = [(len(jobs), sum(seconds[job] for job in jobs)) for jobs in (needed[name], own)]
        found[name] = Cost(kind, *both[0], *both[1])
    return found


def _ancestors(job: str, makers: Mapping[str, str], inputs: Mapping[str, set[str]]) -> set[str]:
    """All jobs that have to run for ``job``, itself included."""
    found, waiting = set(), [job]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += [makers[file] for file in inputs[one] if file in makers]
    return found


def _seconds(benchmark: Path) -> float:
    """What a benchmark says, 0 if there is none."""
    return seconds(benchmark) if benchmark.is_file() else 0.0


def seconds(benchmark: Path) -> float:
    """What a Snakemake benchmark says. Raises ``UserError`` if it is not one."""
    try:
        with open(benchmark, encoding="utf-8", newline="") as file:
            return float(next(csv.DictReader(file, delimiter="\t"))["s"])
    except (OSError, ValueError, KeyError, TypeError, StopIteration, csv.Error):
        raise UserError(f"{benchmark} is not a Snakemake benchmark: remove it, or run its job again.") from None


def made(summary: str) -> set[str]:
    """All files that the workflow makes, from the same summary."""
    return {row["output_file"] for row in _rows(summary)}


def _rows(summary: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(summary), delimiter="\t", quoting=csv.QUOTE_NONE)


def front(root: Path, figures: Path, scale: str, cost_of: Mapping[str, Cost], files: Collection[str]) -> str:
    """The first page, as Markdown; ``files`` are those that the workflow makes."""
    records = read_json(root / "claims.json", dict[str, page.Verdict])
    image = base64.b64encode(required(figures / "fig1.png").read_bytes()).decode()
    compared = expected.table(scale, root, files)
    parts = [
        "# In defense of dual-encoders for neural ranking, rebuilt",
        f"Figures, tables and claims of Menon et al. (ICML 2022), rebuilt at scale {scale}. The menu on the left has "
        "all of them, with their captions, the data behind them, and how they were made.",
        "## Claims of the paper",
        "\n".join(page.table(records)),
        "The page under Results, Claims says how verdicts are made, and what limits them at this scale.",
        "## Figure 1",
        f"![Figure 1](data:image/png;base64,{image})",
        artefacts.caption("figure", "fig1"),
        "## Table 1",
        required(root / "tables" / "tab1.md").read_text(encoding="utf-8"),
        *(["## Expected and obtained", compared] if compared else []),
        "## What it costs",
        _cost_table(cost_of),
        "Seconds are those of the jobs that an artefact needs if nothing has been made yet, summed as if they ran one "
        "after another. Most jobs are shared by several artefacts; the last columns count those that only this one "
        "needs.",
    ]
    return "\n\n".join(parts) + "\n"


def _cost_table(cost_of: Mapping[str, Cost]) -> str:
    lines = ["| artefact | | jobs | seconds | its own jobs | their seconds |"]
    lines += ["| :-- | :-- | --: | --: | --: | --: |"]
    for name, cost in cost_of.items():
        numbers = f"{cost.jobs} | {cost.seconds:,.0f} | {cost.own_jobs} | {cost.own_seconds:,.0f}"
        lines.append(f"| {name} | {artefacts.title(cost.kind, name)} | {numbers} |")
    return "\n".join(lines)
