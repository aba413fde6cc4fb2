"""The dataset folder."""

from pathlib import Path

from dualenc.data import datasets


def dataset(parameters: datasets.Dataset, output: Path, workers: int) -> None:
    """Build the dataset folder ``output``."""
    datasets.kind(parameters).build(output, parameters, workers)
