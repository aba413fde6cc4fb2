"""Claim C3: cross-attention separates positives from negatives more clearly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.analysis import margins, negatives
from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {"experiments": ["ca", "de"], "needs": ["runs"]}
REQUIRES = {"runs": ["ca", "de"]}
CLAIM = (
    "Cross-attention (CA) separates positives from negatives with larger normalised margins, and gives most "
    "negatives nearly the same score; a dual-encoder's (DE) negatives are diffuse."
)
PAPER = "Figures 2, 5, 6 and 7 show it as distributions, without numbers."
TEST = (
    "For each test query: the mean normalised margin of its pairs of a positive and a negative, CA − DE; and the "
    "interquartile range of its negatives' scores over the maximal score range, DE − CA. Both have to be above 0."
)
REASON = "The paper claims a direction, not a size."


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    margin, spread = {}, {}
    for name in ("ca", "de"):
        seeds = evidence.per_seed(params, root, name)
        margin[name] = evidence.averaged(margins.normalised(pairs).groupby("qid").margin.mean() for pairs in seeds)
        spread[name] = evidence.averaged(negatives.spread(pairs) for pairs in seeds)
    return [
        evidence.mean("ca − de, normalised margin", margin["ca"] - margin["de"], params, above=0.0),
        evidence.mean("de − ca, normalised spread of negatives", spread["de"] - spread["ca"], params, above=0.0),
    ]
