"""The first page of the report: claims, figure 1, table 1, and what each artefact costs."""

import base64
import csv
import html
import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

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
        f'<p class="found">{found(records, root / "tables" / "tab1.csv", scale)}</p>',
        _chips(records),
        "The paper is Menon et al., ICML 2022. The menu on the left has all figures, tables and claims, with their "
        "captions, the data behind them, and how they were made.",
        "## Figure 1",
        f"![Figure 1](data:image/png;base64,{image})",
        artefacts.caption("figure", "fig1"),
        "## Table 1",
        required(root / "tables" / "tab1.md").read_text(encoding="utf-8"),
        "## Claims of the paper",
        *(_folded(name, about) for name, about in records.items()),
        "The page under Results, Claims says how verdicts are made, and what limits them at this scale.",
        *(["## Expected and obtained", compared] if compared else []),
        "## What it costs",
        _cost_table(cost_of),
        "Seconds are those of the jobs that an artefact needs if nothing has been made yet, summed as if they ran one "
        "after another. Most jobs are shared by several artefacts; the last columns count those that only this one "
        "needs.",
    ]
    return "\n\n".join(parts) + "\n"


def found(records: Mapping[str, Any], table: Path, scale: str) -> str:
    """What a scale shows, in a few sentences: verdicts, CA's lead on test and on train, and what distillation gains.

    ``table`` is table 1's CSV, from whose rows the numbers are. Those of rows that it lacks are left out.
    """
    counts = Counter(about["verdict"] for about in records.values())
    confirmed, refuted, undecided = (f"{counts[verdict]} {verdict}" for verdict in page.MARKS)
    said = [f"At scale {scale}, of {len(records)} claims of the paper: {confirmed}, {refuted} and {undecided}."]
    rows = pd.read_csv(required(table), encoding="utf-8")
    by_run = {row["run"]: row for row in rows.to_dict("records")}
    if by_run.get("ca", {}).get("reference") == "de":
        test, train = (_gain(by_run["ca"], evalset) for evalset in ("test", "train"))
        said.append(
            f"Cross-attention (CA) is ahead of the dual-encoder (DE) by {test} MRR@10 on test queries and by {train} "
            "on train queries."
        )
    distilled = rows[rows.group.str.startswith("Distilled") & rows["test_MRR@10_gain"].notna()]
    if len(distilled):
        best = distilled.loc[distilled["test_MRR@10_gain"].idxmax()]
        said.append(
            f"The best of {len(distilled)} distilled DEs on test, {best.label}, differs from the one-hot DE by "
            f"{_gain(best, 'test')} there and by {_gain(best, 'train')} on train."
        )
    return html.escape(" ".join(said))


def _gain(row: Mapping[str, Any], evalset: str) -> str:
    """How far a row of table 1 is ahead of its reference."""
    value, low, high = (row[f"{evalset}_MRR@10_gain{end}"] for end in ("", "_low", "_high"))
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _chips(records: Mapping[str, Any]) -> str:
    """A verdict each, which leads to its evidence."""
    chips = [
        f'<li class="{about["verdict"]}"><a href="#{name}" title="{html.escape(about["claim"])}">'
        f"{name} {page.MARKS[about['verdict']]}</a></li>"
        for name, about in records.items()
    ]
    return f'<ul class="verdicts">{"".join(chips)}</ul>'


def _folded(name: str, about: Mapping[str, Any]) -> str:
    """A claim with its verdict, and its evidence, which is shown when it is asked for."""
    why, _ = page.deciding(about)
    mark = f"{page.MARKS[about['verdict']]} {about['verdict']}{why}"
    claim = f'{html.escape(about["claim"])} <span class="{about["verdict"]}">{mark}</span>'
    text = "\n".join(page.evidence(about))
    # The target of a link is inside: a browser that goes there unfolds it.
    return f'<details><summary><b>{name}</b> {claim}</summary><span id="{name}"></span>\n\n{text}\n\n</details>'


def _cost_table(cost_of: Mapping[str, Cost]) -> str:
    lines = ["| artefact | | jobs | seconds | its own jobs | their seconds |"]
    lines += ["| :-- | :-- | --: | --: | --: | --: |"]
    for name, cost in cost_of.items():
        numbers = f"{cost.jobs} | {cost.seconds:,.0f} | {cost.own_jobs} | {cost.own_seconds:,.0f}"
        lines.append(f"| {name} | {artefacts.title(cost.kind, name)} | {numbers} |")
    return "\n".join(lines)
