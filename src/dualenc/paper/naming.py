"""What runs are called in figures."""

from collections.abc import Mapping
from typing import Any

from dualenc.losses import LOSSES

NAMES = {"mse": "MSE", "margin-mse": "margin MSE", "m3se": "M³SE", "rankdistil-b": "RankDistil-B"}
NAMES |= {"softmax-ce": "softmax CE"}


def series(run: Mapping[str, Any]) -> str:
    """The paper's name for the kind of a run: CA, DE (one-hot) or DIST (distilled)."""
    if run["model"] == "cross-attention":
        return "CA"
    return "DIST" if LOSSES[run["loss"]].needs_teacher else "DE"


def label(run: Mapping[str, Any]) -> str:
    """The paper's name for a run in a figure, such as CA, DE or DIST (M³SE)."""
    kind = series(run)
    return f"{kind} ({NAMES.get(run['loss'], run['loss'])})" if kind == "DIST" else kind
