"""Claim C2: on test, a dual-encoder of the same size is behind cross-attention."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {"experiments": ["ca", "de"], "encoders": ["shallow", "deep"], "seeds": "all", "options": {"gap": 0.02}}
REQUIRES = {"measures": ["MRR@10"], "paired": ["ca", "de"], "options": {"gap": "threshold"}}
CLAIM = (
    "At the same size, a dual-encoder (DE) stays clearly behind the cross-attention model (CA) on test queries: the "
    "gap is one of generalisation, not of capacity."
)
PAPER = (
    "Figures 1 and 3, table 2: at width 768, test MRR@10 of CA and DE is .364 and .310 with six layers, .334 and "
    ".281 with two, while the train gaps are .004 and .023."
)
TEST = (
    "At the widest encoder of each depth: CA − DE in test MRR@10 has to be above {gap}, and this gap has to be "
    "larger than the one on train, with train and test queries resampled independently."
)
REASON = (
    "A difference that shows at two decimals, and less than half the gap of .054 that the paper finds. The second "
    "part is what tells generalisation from capacity, and needs no threshold other than 0."
)


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    found = evidence.systems(params, root)
    numbers = []
    for pair in evidence.widest(params["runs"]):
        ca, de = pair["ca"], pair["de"]
        numbers.append(evidence.gain(found, ca, de, "test", params, above=params["options"]["gap"]))
        test, train = (
            evidence.values(found[ca], evalset) - evidence.values(found[de], evalset) for evalset in ("test", "train")
        )
        what = f"{ca} − {de}, gap on test − gap on train, {evidence.MEASURE}"
        numbers.append(evidence.unpaired(what, test, train, params, above=0.0))
    return numbers
