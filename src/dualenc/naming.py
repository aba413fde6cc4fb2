"""What measures are called, and what runs are called in figures."""

import re
from collections.abc import Mapping
from typing import Any

from dualenc.losses import LOSSES

MEASURE = re.compile(r"(?:nDCG|(?:M?RR|R)(?:\(rel=[1-9]\d*\))?)@[1-9]\d*")
"""The measures that `dualenc.evaluation` knows."""
NAMES = {"mse": "MSE", "margin-mse": "margin MSE", "m3se": "M³SE", "rankdistil-b": "RankDistil-B"}
NAMES |= {"softmax-ce": "softmax CE"}


def called(measure: str) -> str:
    """The name of a measure in results: ``MRR@10``, the mean, for ``RR@10``."""
    return re.sub("^RR", "MRR", measure)


def series(run: Mapping[str, Any]) -> str:
    """The paper's name for the kind of a run: CA, DE (one-hot) or DIST (distilled)."""
    if run["model"] == "cross-attention":
        return "CA"
    return "DIST" if LOSSES[run["loss"]].needs_teacher else "DE"


def label(run: Mapping[str, Any]) -> str:
    """The paper's name for a run in a figure, such as CA, DE or DIST (M³SE)."""
    kind = series(run)
    return f"{kind} ({NAMES.get(run['loss'], run['loss'])})" if kind == "DIST" else kind
