"""Claim P1: scores are dot products of embeddings of large enough dimension."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dualenc.analysis import factorisation
from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {"experiments": ["ca"], "needs": ["score-matrices"], "options": {"tolerance": 1e-9}}
REQUIRES = {"runs": ["ca"], "options": {"tolerance": "threshold"}}
CLAIM = "Any continuous score function is a dot product of query and passage embeddings of large enough dimension."
PAPER = "Proposition 1 and its proof. Figure S2 is this project's own: the paper gives no numbers for it."
TEST = (
    "For the finite case, the matrix of cross-attention (CA) scores of a block of test queries and passages: the "
    "relative error of its best factorisation has to fall with the dimension (no rise above {tolerance:g}) and "
    "vanish at full dimension (below {tolerance:g})."
)
REASON = "Rounding errors of float64 are far smaller, and errors that would show in a plot far larger."


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    tolerance = params["options"]["tolerance"]
    matrix = factorisation.read(root, "ca", params["seeds"][0], "test").to_numpy()
    errors = factorisation.best_errors(factorisation.centred(matrix))
    return [
        evidence.exact(f"relative error at dimension {len(errors)}, {errors[0]:.2f} at 1", errors[-1], below=tolerance),
        evidence.exact("largest rise of the error with the dimension", np.diff(errors).max(), below=tolerance),
    ]
