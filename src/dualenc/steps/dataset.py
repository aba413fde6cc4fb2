"""The dataset folder."""

from typing import Any

from dualenc.data import datasets
from dualenc.steps.arguments import OutputFolder, Params, threads


def dataset(params: Params[Any], output: OutputFolder) -> None:
    """Build a dataset folder.

    ``params`` are a `dualenc.data.datasets.Dataset`, the ``Parameters`` of one of the kinds.
    """
    datasets.kind(params).build(output, params, threads())
