"""Two ways to do the same work, timed in turns: what each comparison says of itself, and what is written of it."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import torch

from dualenc.runtime.files import read_json, write_json

TURNS, SECONDS = 2, 8.0  # a comparison has so many turns at least, and no more once it took so long

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"  # of the tables in docs/performance.md


class Comparison(NamedTuple):
    """Work of a ``path`` of this project, and the same by something else.

    ``ours`` and ``theirs`` do it once and return the seconds that count. ``amount`` of ``unit`` are done in these
    seconds ("lists"), or, if it is None, seconds themselves are shown. ``target`` is the least ratio that is wanted.
    ``limit`` is how many of ``unit`` the machine could do in a second if only its matrix products or its memory
    counted. ``setting`` says what was compared, for the reader. ``memory`` is False where other processes do the work.
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
    memory: bool = True


def seconds(work: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


def measure(comparison: Comparison, repetitions: int) -> dict[str, Any]:
    """The entry of a comparison: medians of up to ``repetitions`` in turns, after one of each that does not count.

    ``TURNS`` of them or more, as many as ``SECONDS`` allow.
    """
    ways = (comparison.ours, comparison.theirs)
    held = [peak(way) for way in ways]
    start, taken = perf_counter(), []
    while len(taken) < repetitions and (len(taken) < TURNS or perf_counter() - start < SECONDS):
        taken.append([way() for way in ways])
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
        "mib": [_round(one) for one in held] if comparison.memory and None not in held else None,
    }


def peak(work: Callable[[], Any]) -> float | None:
    """The MiB that a call holds at most, beyond what was held before it: of a GPU, or of this process on Linux."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what an earlier call gave back would be missing in what this one takes
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak, VmHWM, counts from now on
    except (AttributeError, OSError):  # another system, or another C library
        work()
        return None
    before = _status("VmRSS")
    work()
    return max(0, _status("VmHWM") - before) / 2**10


def _status(name: str) -> int:
    """A line of this process's status, in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _round(value: float) -> float:
    """Three digits: more are noise."""
    return float(f"{value:.3g}")


def record(file: Path, entries: Sequence[dict[str, Any]], machine: Mapping[str, str]) -> None:
    """Add entries to a file of results, in the place of those of the same processor, path and opponent.

    ``machine`` has the ``processor``, and the ``software`` that was measured on it.
    """
    known = {_key(one): one for one in (read_json(file) if file.exists() else [])}
    for entry in entries:
        made = {**entry, **machine, "date": str(date.today())}
        known[_key(made)] = made
    write_json(file, list(known.values()))


def _key(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return entry["processor"], entry["path"], entry["against"]


def tables(entries: Sequence[dict[str, Any]]) -> str:
    """What docs/performance.md shows of a file of results: of each processor, in a section of its own."""
    processors = dict.fromkeys(entry["processor"] for entry in entries)
    sections = [_section(one, [entry for entry in entries if entry["processor"] == one]) for one in processors]
    return "\n".join([BEGIN, *sections, END])


def _section(processor: str, entries: Sequence[dict[str, Any]]) -> str:
    """The comparisons on a processor, and the parts of whole builds."""
    compared = sorted((entry for entry in entries if entry["ratio"] is not None), key=lambda entry: entry["path"])
    parts = [entry for entry in entries if entry["ratio"] is None]
    software, dates = (sorted({entry[name] for entry in entries}) for name in ("software", "date"))
    shown = [
        "| part | core-seconds | share |",
        "|---|---|---|",
        *(f"| {entry['path']} | {entry['ours']:,g} | {entry['setting']} |" for entry in parts),
        "",
    ]
    return "\n".join(
        [
            f"## On {processor}",
            "",
            "| path | against | ours | theirs | ours is x times as fast | wanted | of the limit | ours, theirs hold |",
            "|---|---|---|---|---|---|---|---|",
            *map(line, compared),
            "",
            *(shown if parts else []),
            f"Measured with {'; '.join(software)}; {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}.",
            "",
        ]
    )


def line(entry: dict[str, Any]) -> str:
    """The row of a comparison."""
    low, high = min(entry["ratios"]), max(entry["ratios"])
    limit = f"{entry['limit_share']:.0%}" if entry["limit_share"] else ""
    memory = ", ".join(f"{mib:,.0f} MiB" for mib in entry["mib"] or [])
    numbers = [f"{entry[side]:,g} {entry['unit']}" for side in ("ours", "theirs")]
    ratio = f"{entry['ratio']:g} ({low:g} to {high:g})"
    return f"| {entry['path']}: {entry['setting']} | {entry['against']} | {' | '.join(numbers)} | {ratio} | " + (
        f"{entry['target'] or ''} | {limit} | {memory} |"
    )
