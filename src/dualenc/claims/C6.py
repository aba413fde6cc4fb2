"""Claim C6: distillation trades train effectiveness for test effectiveness."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {"experiments": ["ca", "de", "de-m3se"], "seeds": "all"}
REQUIRES = {"measures": ["MRR@10"], "runs": ["ca", "de", "de-m3se"]}
CLAIM = "Distillation may cost train effectiveness while gaining test effectiveness."
PAPER = (
    "Figures 1 and 4: with the widest encoder, M³SE gains .039 test MRR@10 over one-hot labels (table 1), and its "
    "train curve saturates below theirs."
)
TEST = (
    "M³SE − one-hot in MRR@10 has to be above 0 on test and below 0 on train. Premise: CA is above the one-hot DE "
    "on test; otherwise there is nothing to distil."
)
REASON = "The paper claims two directions, not sizes."


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    found = evidence.systems(params, root)
    return [
        evidence.better_teacher(found, params),
        evidence.gain(found, "de-m3se", "de", "test", params, above=0.0),
        evidence.gain(found, "de-m3se", "de", "train", params, below=0.0),
    ]
