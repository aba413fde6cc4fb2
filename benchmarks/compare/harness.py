"""Two ways to do the same work, timed in turns: what each comparison says of itself, and what is written of it."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from dualenc.files import read_json, write_json

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"  # of the tables in docs/performance.md


class Comparison(NamedTuple):
    """Work of a ``path`` of this project, and the same by something else.

    ``ours`` and ``theirs`` do it once and return the seconds that count. ``amount`` of ``unit`` are done in these
    seconds ("lists"), or, if it is None, seconds themselves are shown. ``target`` is the least ratio that is wanted.
    ``limit`` is how many of ``unit`` the machine could do in a second if only its matrix products or its memory
    counted. ``setting`` says what was compared, for the reader.
    """

    path: str
    against: str
    setting: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    amount: float | None
    unit: str
    target: float | None
    limit: float | None = None


def seconds(work: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


def measure(comparison: Comparison, repetitions: int) -> dict[str, Any]:
    """The entry of a comparison: medians of ``repetitions`` in turns, after one of each that does not count."""
    ways = (comparison.ours, comparison.theirs)
    for way in ways:
        way()
    taken = [[way() for way in ways] for _ in range(repetitions)]
    ours, theirs = (list(one) for one in zip(*taken, strict=True))
    ratios = [other / own for own, other in taken]
    rate = [comparison.amount / median(one) if comparison.amount else median(one) for one in (ours, theirs)]
    return {
        "path": comparison.path,
        "against": comparison.against,
        "setting": comparison.setting,
        "ours": _round(rate[0]),
        "theirs": _round(rate[1]),
        "unit": f"{comparison.unit}/s" if comparison.amount else "s",
        "ratio": _round(median(ratios)),
        "ratios": [_round(ratio) for ratio in ratios],
        "target": comparison.target,
        "limit_share": _round(rate[0] / comparison.limit) if comparison.limit else None,
    }


def _round(value: float) -> float:
    """Three digits: more are noise."""
    return float(f"{value:.3g}")


def record(file: Path, entries: Sequence[dict[str, Any]], about: str) -> None:
    """Add entries to a file of results, in the place of those of the same path and opponent."""
    known = {(one["path"], one["against"]): one for one in (read_json(file) if file.exists() else [])}
    for entry in entries:
        known[entry["path"], entry["against"]] = entry | {"machine": about, "date": str(date.today())}
    write_json(file, list(known.values()))


def tables(entries: Sequence[dict[str, Any]]) -> str:
    """What docs/performance.md shows of a file of results: the comparisons, and the parts of whole builds."""
    compared = sorted((entry for entry in entries if entry["ratio"] is not None), key=lambda entry: entry["path"])
    parts = [entry for entry in entries if entry["ratio"] is None]
    machines, dates = (sorted({entry[name] for entry in entries}) for name in ("machine", "date"))
    return "\n".join(
        [
            BEGIN,
            "| path | against | ours | theirs | ours is x times as fast | wanted | of the machine's limit |",
            "|---|---|---|---|---|---|---|",
            *map(line, compared),
            "",
            "| part | core-seconds | share |",
            "|---|---|---|",
            *(f"| {entry['path']} | {entry['ours']:,g} | {entry['setting']} |" for entry in parts),
            "",
            f"Measured on {'; '.join(machines)}; {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}.",
            END,
        ]
    )


def line(entry: dict[str, Any]) -> str:
    """The row of a comparison."""
    low, high = min(entry["ratios"]), max(entry["ratios"])
    limit = f"{entry['limit_share']:.0%}" if entry["limit_share"] else ""
    numbers = [f"{entry[side]:,g} {entry['unit']}" for side in ("ours", "theirs")]
    ratio = f"{entry['ratio']:g} ({low:g} to {high:g})"
    return f"| {entry['path']}: {entry['setting']} | {entry['against']} | {' | '.join(numbers)} | {ratio} | " + (
        f"{entry['target'] or ''} | {limit} |"
    )
