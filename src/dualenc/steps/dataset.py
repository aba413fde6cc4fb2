"""The dataset folder."""

from pathlib import Path

from dualenc.data.kinds import dpr, pydocs, tsv
from dualenc.study.schema import Dataset, DprDataset, IrDataset, TsvDataset


def dataset(parameters: Dataset, output: Path, workers: int) -> None:
    """Build the dataset folder ``output``."""
    if isinstance(parameters, DprDataset):
        dpr.build(output, parameters)
        return
    values = parameters.model_dump(exclude={"kind"})
    if isinstance(parameters, TsvDataset):
        tsv.build(output, **values)
    elif isinstance(parameters, IrDataset):
        from dualenc.data.kinds import irds  # only now: ir_datasets takes a second to import

        irds.build(output, **values)
    else:
        pydocs.build(output, **values, workers=workers)
