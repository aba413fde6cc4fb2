"""Claim C4: a baseline shift makes matching raw scores fail."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.analysis import margins, shift
from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {
    "experiments": ["ca", "de", "de-mse", "de-margin-mse"],
    "needs": ["metrics", "runs"],
    "options": {"shift": 1.0},
}
REQUIRES = {"measures": ["MRR@10"], "runs": ["ca", "de", "de-mse", "de-margin-mse"], "options": {"shift": "threshold"}}
CLAIM = (
    "Scores of a dual-encoder (DE) carry a baseline shift relative to those of cross-attention (CA), so a student "
    "that has to match raw scores (MSE) fails."
)
PAPER = (
    "Figure 6: DE's scores are of the order of 700. Table 1: test MRR@10 is .289 with MSE, .310 with one-hot labels "
    "and .334 with margin MSE, which no shift affects."
)
TEST = (
    "The absolute difference of a test query's mean scores by DE and by CA, over CA's maximal score range, has to "
    "be above {shift}; and in test MRR@10, one-hot − MSE and margin MSE − MSE have to be above 0."
)
REASON = (
    "At {shift}, matching the mean score alone takes a change as large as all that the teacher says about a query. "
    "For the two differences, the paper claims a direction, not a size."
)


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    found = evidence.systems(params, root)
    seeds = zip(*(evidence.per_seed(params, root, name) for name in ("de", "ca")), strict=True)
    shifts = evidence.averaged(shift.between(de, ca).abs() / margins.score_range(ca) for de, ca in seeds)
    what = "size of de's shift against ca, in score ranges of ca"
    return [
        evidence.mean(what, shifts, params, above=params["options"]["shift"]),
        evidence.gain(found, "de", "de-mse", "test", params, above=0.0),
        evidence.gain(found, "de-margin-mse", "de-mse", "test", params, above=0.0),
    ]
