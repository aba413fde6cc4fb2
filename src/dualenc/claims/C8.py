"""Claim C8: more passages for each query help up to a point."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.claims import evidence
from dualenc.claims.verdicts import Part

SHOWS = {
    "experiments": [
        "ca",
        "de",
        "de-m3se-k2",
        "de-m3se-k4",
        "de-m3se-k8",
        "de-m3se",
        "de-softmax-ce-k2",
        "de-softmax-ce-k4",
        "de-softmax-ce-k8",
        "de-softmax-ce",
    ],
    "options": {"margin": 0.01},
}
REQUIRES = {"measures": ["MRR@10"], "runs": ["ca", "de"], "options": {"margin": "threshold"}}
CLAIM = "More passages for each query help distillation up to about 20; then the effect saturates."
PAPER = (
    "Table 6, test MRR@10 with 2, 10, 20 and 100 passages: .327, .333, .338 and .334 with softmax CE; .323, .326, "
    ".349 and .325 with M³SE."
)
TEST = (
    "In test MRR@10, for either loss: the second-largest list size, which stands for 20, minus the smallest has to "
    "be above 0; the largest minus the second-largest has to be below {margin}. Premise: CA is above the one-hot DE "
    "on test; otherwise there is nothing to distil."
)
REASON = (
    "About the gain of .011 that the paper finds with softmax CE from 2 to 20: a smaller further gain is saturation."
)


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. Raises `UserError` if a file that it needs is missing."""
    found = evidence.systems(params, root)
    numbers = [evidence.better_teacher(found, params)]
    for loss in ("softmax-ce", "m3se"):
        runs = sorted((run for run in params["runs"] if run["loss"] == loss), key=lambda run: run["list_size"])
        if len(runs) > 2:
            fewest, *_, enough, most = (run["name"] for run in runs)
            numbers.append(evidence.gain(found, enough, fewest, "test", params, above=0.0))
            numbers.append(evidence.gain(found, most, enough, "test", params, below=params["options"]["margin"]))
    return numbers
