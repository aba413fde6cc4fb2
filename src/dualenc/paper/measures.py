"""What measures are called."""

import re

MEASURE = re.compile(r"(?:nDCG|(?:M?RR|R)(?:\(rel=[1-9]\d*\))?)@[1-9]\d*")
"""The measures that `dualenc.evaluation.metrics` knows."""


def called(measure: str) -> str:
    """The name of a measure in results: ``MRR@10``, the mean, for ``RR@10``."""
    return re.sub("^RR", "MRR", measure)
