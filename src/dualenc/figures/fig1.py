"""Figure 1: train and test effectiveness against embedding size, deep encoders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualenc.figures import drawing, embedding_size

PAPER_LAYERS = 6
SHOWS = {"experiments": ["ca", "de", "de-m3se"], "encoders": "deep", "seeds": "all"}
REQUIRES = {"measures": ["MRR@10"], "distinct": ["series", "width"]}
CAPTION = (
    "Is the gap between dual-encoders (DE) and cross-attention models (CA) one of capacity or of "
    "generalisation? In the paper, a wide enough DE reaches CA's MRR@10 on train queries but stays behind "
    "on test queries, and distillation with M³SE (DIST) lifts test at some cost in train. Look for DE's "
    "line to meet CA's under train, for the distance that remains under test, and for DIST between the "
    "two. Points are means over seeds and queries; bands are bootstrap intervals over queries, each "
    "averaged over seeds first; thin vertical bars go from the worst to the best seed; the dashed line is "
    "BM25, whose candidates are re-ranked. The grey part shows what the paper prints for MS MARCO: its "
    "table 2, and DIST on test at the two sizes of its tables 1 and 4. Where the "
    "rebuilt dataset is a different one, compare the shapes, not the heights."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """Every point of the figure; see `dualenc.figures.embedding_size.data`."""
    return embedding_size.data(params, root, paper_layers=PAPER_LAYERS)


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """The figure of `data`'s points."""
    return embedding_size.draw(frame, params, paper_layers=PAPER_LAYERS)


if __name__ == "__main__":
    drawing.alone("fig1")
