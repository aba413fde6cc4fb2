"""The candidates in the order of a model."""

import shutil
from typing import Annotated

import typer

from dualenc.data.runs import write_run
from dualenc.runtime import provenance, states
from dualenc.scorers import distributed, models, scoring
from dualenc.steps.arguments import Folder, Nodes, OutputFolder, Params, Processes, Scratch, launched
from dualenc.steps.inputs import data, model_files, passage_rows, read_candidates
from dualenc.study.settings import Scorer


def rerank(
    params: Params[Scorer], dataset: Folder, tokens: Folder, evaluation: Folder, model: Folder,
    splits: Annotated[str, typer.Option(help="comma-separated evaluation sets")],
    tag: Annotated[str, typer.Option(help="name of the runs in their files")],
    scratch: Scratch, output: OutputFolder, processes: Processes = 1, nodes: Nodes = 1,
) -> None:  # fmt: skip
    """Re-rank the candidates of evaluation sets with a model.

    Writes ``<set>.run.gz``. The sets are re-ranked together, so that a passage that is a candidate in several of them
    is encoded once. Scores that are done stay in a state folder in ``scratch`` until all are. Raises ``UserError`` as
    `dualenc.steps.arguments.launched` does.
    """
    with launched(processes, nodes):
        names = splits.split(",")
        inputs = [*model_files(model), dataset / "manifest.json", tokens / "manifest.json"]
        inputs += [evaluation / f"{split}.run.gz" for split in names]
        # Early models of runs that start alike are equal, and may be re-ranked at the same time.
        about = {**params.model_dump(), "tag": tag}
        state = states.state_folder(scratch, about, inputs, provenance.code("steps.rerank"))
        with distributed.locked(state):
            texts = data(dataset, tokens, params.tokens_per_batch)
            runs = {split: read_candidates(evaluation, split, texts.query_rows[split]) for split in names}
            known = passage_rows(dataset, *runs.values())
            sets = [
                scoring.Candidates(texts.sources[split], run, texts.query_rows[split]) for split, run in runs.items()
            ]
            found = scoring.rerank_sets(models.load(model, params.model), sets, known, state / "scores")
            distributed.wait()  # the others may still read the parts, which the first one removes
            if not distributed.first():
                return
            for split, run in zip(names, found, strict=True):
                write_run(output / f"{split}.run.gz", run, tag=tag)
            shutil.rmtree(state)
