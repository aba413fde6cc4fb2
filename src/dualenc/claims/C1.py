"""Claim C1: on train, a wide dual-encoder is as good as cross-attention."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {"experiments": ["ca", "de"], "encoders": ["shallow", "deep"], "seeds": "all", "options": {"margin": 0.03}}
REQUIRES = {"measures": ["MRR@10"], "paired": ["ca", "de"], "options": {"margin": "threshold"}}
CLAIM = "With a large enough embedding, a dual-encoder (DE) matches the cross-attention model (CA) on train queries."
PAPER = (
    "Figures 1 and 3, table 2: at width 768, train MRR@10 of CA and DE is .522 and .518 with six layers, .429 and "
    ".406 with two."
)
TEST = (
    "CA − DE in train MRR@10 at the widest encoder of each depth. Each interval has to lie within ±{margin}. Premise: "
    "CA does not trail DE by more than that; otherwise CA has not learned enough to be matched."
)
REASON = (
    "About half the gap of .054 that the paper finds on test with its widest six-layer encoder: a train gap within "
    "this margin is clearly smaller. The paper's own train gaps at width 768, .004 and .023, are within it."
)


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    margin = params["options"]["margin"]
    found = evidence.systems(params, root)
    pairs = [(pair["ca"], pair["de"]) for pair in evidence.widest(params["runs"])]
    learned = [evidence.gain(found, *pair, "train", params, above=-margin, premise=True) for pair in pairs]
    return learned + [evidence.gain(found, *pair, "train", params, below=margin) for pair in pairs]
