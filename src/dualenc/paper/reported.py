"""The numbers that the paper (Menon et al., ICML 2022) prints, from ``reported.yaml``."""

import re
from functools import cache
from importlib import resources

import pandas as pd
import yaml


def cells(table: str) -> pd.DataFrame:
    """Every cell of one of the paper's tables, a line each, in reading order.

    ``value`` is the number (NaN in a cell without one) and ``mark`` what is printed after it or instead of it.
    The other columns say what the cell measures and are those of the table in ``reported.yaml``, such as
    experiment, layers, width, dataset, evalset and measure.
    """
    about = _tables()[table]
    lines = []
    for row in about["rows"]:
        keys = {key: value for key, value in row.items() if key != "values"}
        for column, printed in zip(about["columns"], row["values"], strict=True):
            number, mark = re.fullmatch(r"(\d+\.\d+)?(.*)", str(printed)).groups()
            value = float(number) if number else float("nan")
            lines.append({**about["common"], **column, **keys, "value": value, "mark": mark})
    frame = pd.DataFrame(lines)
    whole = [name for name in ("layers", "width") if name in frame]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def note(table: str) -> str:
    """What the marks in one of the paper's tables mean."""
    return _tables()[table]["note"]


@cache
def _tables() -> dict:
    return yaml.safe_load((resources.files("dualenc.paper") / "reported.yaml").read_text(encoding="utf-8"))
