"""Claim C5: the losses that keep the order of a list distil best."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {
    "experiments": ["ca", "de", "de-mse", "de-margin-mse", "de-rankdistil-b", "de-m3se", "de-softmax-ce"],
    "seeds": "all",
}
REQUIRES = {
    "measures": ["MRR@10"],
    "runs": ["ca", "de", "de-mse", "de-margin-mse", "de-rankdistil-b", "de-m3se", "de-softmax-ce"],
}
CLAIM = (
    "Distilling cross-attention (CA) into a dual-encoder (DE) with M³SE or softmax CE is better on test than "
    "one-hot labels, MSE, margin MSE and RankDistil-B."
)
PAPER = (
    "Table 1: test MRR@10 is .349 with M³SE and .346 with softmax CE, against .310, .289, .334 and .249. (With "
    "another student, table 5, margin MSE is ahead.)"
)
TEST = (
    "In test MRR@10, each of the two minus each of the four has to be above 0. Premise: CA is above the one-hot "
    "DE; otherwise there is nothing to distil."
)
REASON = "The paper claims a direction, not a size."


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    found = evidence.systems(params, root)
    numbers = [evidence.better_teacher(found, params)]
    for better in ("de-m3se", "de-softmax-ce"):
        for worse in ("de", "de-mse", "de-margin-mse", "de-rankdistil-b"):
            numbers.append(evidence.gain(found, better, worse, "test", params, above=0.0))
    return numbers
