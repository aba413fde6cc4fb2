"""The verdicts on all claims, for machines (JSON) and for readers (Markdown)."""

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Literal

from pydantic import BaseModel

from dualenc.claims.verdicts import CONFIRMED, Part, part_verdict, verdict

ENDS = ("value", "low", "high")
MARKS = {"confirmed": "✓", "refuted": "✗", "undecided": "?"}
OWN_DATASETS = ("msmarco-passage", "natural-questions")
"""The paper's datasets, as params.yaml names them."""


class JudgedPart(BaseModel):
    """What a part of a verdict's file must contain."""

    what: str
    value: float | None
    low: float | None
    high: float | None
    above: float | None
    below: float | None
    premise: bool
    verdict: str


class Verdict(BaseModel):
    """What a verdict's file (`record`) must contain."""

    claim: str
    paper: str
    test: str
    reason: str
    verdict: Literal["confirmed", "refuted", "undecided"]
    parts: list[JudgedPart]
    runs: dict[str, str]
    scale: str
    dataset: str
    seeds: list[int]
    confidence: float
    resamples: int


def record(module: ModuleType, params: Mapping[str, Any], parts: list[Part]) -> dict[str, Any]:
    """One claim with its verdict, ready for JSON: an end of an interval that does not exist is null."""
    found = [{**part._asdict(), "verdict": part_verdict(part)} for part in parts]
    return {
        "claim": module.CLAIM,
        "paper": module.PAPER,
        "test": module.TEST.format(**params["options"]),
        "reason": module.REASON.format(**params["options"]),
        "verdict": verdict(parts),
        "parts": [
            {key: None if value in (math.inf, -math.inf) else value for key, value in part.items()} for part in found
        ],
        "runs": {run["name"]: run["encoder"] for run in params["runs"]},
        **{key: params[key] for key in ("scale", "dataset", "seeds")},
        **{key: params["evaluation"][key] for key in ("confidence", "resamples")},
    }


def markdown(records: Mapping[str, Mapping[str, Any]]) -> str:
    """All claims: a table of verdicts, how they are made and what limits them, then a section for each.

    ``records`` are `record`s of one scale by id.
    """
    first = next(iter(records.values()))
    lines = [f"# Claims of the paper, judged at scale {first['scale']}", "", *table(records), "", *_method(first)]
    for name, about in records.items():
        lines += ["", f"## {name}: {about['verdict']}", "", about["claim"], "", *evidence(about)]
    return "\n".join(lines) + "\n"


def evidence(about: Mapping[str, Any]) -> list[str]:
    """What the paper found, how its claim is tested here, and the numbers: lines of Markdown."""
    runs = ", ".join(f"{run} ({encoder})" for run, encoder in about["runs"].items())
    seeds = ", ".join(map(str, about["seeds"]))
    return [
        *[f"- Paper: {about['paper']}", f"- Test: {about['test']}", f"- Thresholds: {about['reason']}", ""],
        *[*_numbers(about["parts"]), ""],
        f"Made from: {runs}; seeds: {seeds}." if runs else "Made from the losses alone.",
    ]


def table(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of a Markdown table: each claim, the verdict and the numbers that decide it (`deciding`)."""
    lines = ["| | claim | verdict | decided by |", "| :-- | :-- | :-- | :-- |"]
    for name, about in records.items():
        why, parts = deciding(about)
        numbers = "<br>".join(f"{_escaped(part['what'])}: {_interval(part)}" for part in parts)
        mark = f"{MARKS[about['verdict']]} {about['verdict']}{why}"
        lines.append(f"| {name} | {about['claim']} | {mark} | {numbers} |")
    return lines


def deciding(about: Mapping[str, Any]) -> tuple[str, list[Mapping[str, Any]]]:
    """What to say after a verdict, and the parts that it comes from.

    These are the premises that are not met, or else the parts with this verdict.
    """
    unmet = [part for part in about["parts"] if part["premise"] and part["verdict"] != CONFIRMED]
    same = [part for part in about["parts"] if part["verdict"] == about["verdict"] and not part["premise"]]
    return (", premise not met", unmet) if unmet else ("", same)


def _method(about: Mapping[str, Any]) -> list[str]:
    """How verdicts are made and what limits them, from what one claim was judged with."""
    dataset = about["dataset"]
    method = (
        f"Verdicts are computed. Numbers come with their {100 * about['confidence']:g} % bootstrap interval over "
        f"queries ({about['resamples']:,} resamples), each averaged over the seeds first; differences are paired. "
        "A part is confirmed if its whole interval is on the claim's side of the threshold, refuted if the whole "
        "interval is on the other side, and undecided if the interval includes the threshold. A claim is confirmed if "
        "all its parts are, refuted if any is (there is no correction for their number), undecided otherwise or if a "
        "premise is not confirmed. Tests and thresholds were written down before the numbers were seen."
    )
    stand_in = (
        f" The dataset {dataset} stands in for the paper's MS MARCO and Natural Questions, and the encoders, "
        "small-<layers>-<width>, for BERT models of 2, 6 and 12 layers and widths of 128 to 768 that were pre-trained "
        "on far more text."
        if dataset not in OWN_DATASETS
        else ""
    )
    limits = (
        f"Limits of scale {about['scale']}.{stand_in} A verdict applies to this dataset, these models and these "
        "training runs: a claim that is refuted or undecided here may well hold at the paper's scale, and vice versa. "
        "Intervals cover other queries, not other training runs of the same models."
    )
    return [method, "", _escaped(limits)]


def _numbers(parts: list[Mapping[str, Any]]) -> list[str]:
    lines = ["| number | found | claimed | |", "| :-- | --: | :-- | :-- |"]
    for part in parts:
        kind = "premise " if part["premise"] else ""
        claimed = _claimed(part["above"], part["below"])
        lines.append(f"| {_escaped(part['what'])} | {_interval(part)} | {claimed} | {kind}{part['verdict']} |")
    return lines if parts else ["There is nothing to judge it by at this scale."]


def _interval(part: Mapping[str, Any]) -> str:
    """A number with its interval, if it has one."""
    if len({part[key] for key in ENDS}) == 1:
        return f"{part['value']:.2g}"
    value, low, high = (f"{part[key]:+.3f}" if abs(part["value"]) < 10 else f"{part[key]:+.4g}" for key in ENDS)
    return f"{value} [{low}, {high}]"


def _claimed(above: float | None, below: float | None) -> str:
    if above is None:
        return f"below {below:g}"
    return f"above {above:g}" if below is None else f"between {above:g} and {below:g}"


def _escaped(text: str) -> str:
    """Text without anything that Markdown takes for the end of a cell or for HTML."""
    return text.replace("|", "\\|").replace("<", "\\<")
