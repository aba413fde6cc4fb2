"""Claim C9: a distilled late-interaction student can exceed its teacher."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {"experiments": ["ca", "colbert", "colbert-softmax-ce"]}
REQUIRES = {"measures": ["MRR@10"], "runs": ["ca", "colbert", "colbert-softmax-ce"]}
CLAIM = "A distilled late-interaction (ColBERT) student can exceed its cross-attention (CA) teacher."
PAPER = (
    "Tables 7 and S1: test MRR@10 is .376 for ColBERT with softmax CE, .370 for CA and .356 for ColBERT with "
    "one-hot labels."
)
TEST = (
    "ColBERT with softmax CE − CA in test MRR@10 has to be above 0. Premise: CA is above ColBERT with one-hot "
    "labels; otherwise the student did not need the teacher to exceed it."
)
REASON = "The paper claims a direction, not a size; softmax CE is the loss with which it finds this."


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    found = evidence.systems(params, root)
    return [
        evidence.gain(found, "ca", "colbert", "test", params, above=0.0, premise=True),
        evidence.gain(found, "colbert-softmax-ce", "ca", "test", params, above=0.0),
    ]
