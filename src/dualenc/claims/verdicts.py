"""What the paper claims, and whether the rebuilt numbers confirm it.

The claim ``<id>`` is the module ``dualenc.claims.<id>``. It has ``CLAIM`` and ``PAPER``, what is claimed and what the
paper found, ``TEST`` and ``REASON``, what is measured here and why the thresholds are what they are, and
``parts(params, root) -> list[Part]``, where ``params`` is the claim's slice of params.yaml and ``root`` the folder
``results/<scale>``. Thresholds are the claim's ``options`` in params.yaml; ``TEST`` and ``REASON`` name them in braces.
"""

import math
from typing import NamedTuple

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"


class Part(NamedTuple):
    """One number that a claim rests on, with its interval; the claim says that it lies between ``above`` and ``below``.

    ``what`` says in words what the number is. A ``premise`` has to hold for the claim to say anything: a gap that is
    to be closed has to be there.
    """

    what: str
    value: float
    low: float
    high: float
    above: float = -math.inf
    below: float = math.inf
    premise: bool = False


def part_verdict(part: Part) -> str:
    """Confirmed or refuted if the whole interval is on one side of the threshold, undecided if it includes it."""
    if part.above < part.low and part.high < part.below:
        return CONFIRMED
    if part.high < part.above or part.low > part.below:
        return REFUTED
    return UNDECIDED


def verdict(parts: list[Part]) -> str:
    """Confirmed if all parts are, refuted if any is; undecided otherwise, and wherever a premise is not confirmed."""
    premises = {part_verdict(part) for part in parts if part.premise}
    others = {part_verdict(part) for part in parts if not part.premise}
    if premises - {CONFIRMED}:
        return UNDECIDED
    if REFUTED in others:
        return REFUTED
    return CONFIRMED if others == {CONFIRMED} else UNDECIDED
