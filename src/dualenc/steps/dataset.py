"""The dataset folder."""

from pathlib import Path

from dualenc.datasets import pydocs
from dualenc.parameters import PydocsDataset


def dataset(parameters: PydocsDataset, output: Path, workers: int) -> None:
    """Build the dataset folder ``output``."""
    values = parameters.model_dump(exclude={"kind"})
    values["max_queries"] = {split: int(count) for split, count in values["max_queries"].items()}
    pydocs.build(output, **values, workers=workers)
