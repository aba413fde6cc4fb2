"""Claim C7: distillation moves a dual-encoder's margins towards its teacher's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.analysis import margins
from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {"experiments": ["ca", "de", "de-softmax-ce", "de-m3se"], "needs": ["runs"]}
REQUIRES = {"runs": ["ca", "de", "de-softmax-ce", "de-m3se"]}
CLAIM = "Distillation shifts the margins of a dual-encoder (DE) towards those of cross-attention (CA)."
PAPER = "Figures 2, 7 and 8 show it as distributions of normalised margins, for softmax CE and M³SE, without numbers."
TEST = (
    "For each test query, how far its mean normalised margin is from CA's: the distance of the one-hot DE minus "
    "that of the distilled one has to be above 0, for softmax CE and for M³SE. Premise: CA's margins are larger "
    "than the one-hot DE's."
)
REASON = "The paper claims a direction, not a size."


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    margin = {
        name: evidence.averaged(
            margins.normalised(pairs).groupby("qid").margin.mean() for pairs in evidence.per_seed(params, root, name)
        )
        for name in ("ca", "de", "de-softmax-ce", "de-m3se")
    }
    one_hot = margin["ca"] - margin["de"]
    numbers = [evidence.mean("ca − de, normalised margin", one_hot, params, above=0.0, premise=True)]
    for name in ("de-softmax-ce", "de-m3se"):
        nearer = one_hot.abs() - (margin["ca"] - margin[name]).abs()
        numbers.append(evidence.mean(f"distance from ca, de − {name}, normalised margin", nearer, params, above=0.0))
    return numbers
