"""Claim C12: an update on one pair moves other pairs more in a dual-encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.analysis import influence
from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {"experiments": ["ca", "de"], "needs": ["score-updates"]}
REQUIRES = {"runs": ["ca", "de"]}
CLAIM = (
    "A gradient step on one (query, passage) pair moves the scores of other pairs with the same query or the same "
    "passage more in a dual-encoder (DE) than in cross-attention (CA)."
)
PAPER = "Section 3.3 argues this, and a slide of the talk names it (noisy score updates); neither gives numbers."
TEST = (
    "At the end of training, for steps on test pairs: how much further other pairs move, relative to the stepped "
    "pair's own move, if they share its query (or its passage) than if they share nothing; DE − CA has to be above "
    "0, for queries and for passages."
)
REASON = "The paper claims a direction, not a size. What moves all scores alike changes no ranking, so it is taken out."


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    updates = {name: influence.read(root, name, params["seeds"][0]) for name in ("ca", "de")}
    at_end = {name: frame[frame.checkpoint == "end"] for name, frame in updates.items()}
    numbers = []
    for shared in ("query", "passage"):
        excess = {name: influence.excess(frame, shared) for name, frame in at_end.items()}
        what = f"de − ca, excess change of pairs with the same {shared}"
        numbers.append(evidence.mean(what, excess["de"] - excess["ca"], params, above=0.0))
    return numbers
