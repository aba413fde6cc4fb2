"""Models along a training, for figures that look at them."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from dualenc.data.runs import write_run
from dualenc.encoders import tokens
from dualenc.runtime import provenance, states
from dualenc.runtime.files import atomic
from dualenc.scorers import distributed, models
from dualenc.steps.inputs import check_sets, data, read_lists, rerank_sets
from dualenc.steps.train import made_of
from dualenc.study.schema import Experiment
from dualenc.training import resumable, trainer

SPLITS = ("train", "test")


def checkpoints(
    folder: Path, token_folder: Path, encoder: Path, lists: Path, evaluation: Path, experiment: Experiment,
    settings: Mapping, seed: int, scratch: Path, output: Path,
) -> None:  # fmt: skip
    """Train one model again and keep it at some steps: ``step-<k>/`` with ``model/`` and ``{train,test}.run.gz``.

    ``settings`` has ``lengths``, ``tokens_per_batch`` and ``checkpoints``, the steps. What a training passes through
    is a function of its parameters and its seed, so these are the models that ``steps.train`` passed through.
    Raises ``UserError`` as ``tokens.check_encoder`` does.
    """
    tokens.check_encoder(encoder, token_folder)
    inputs = made_of(folder, token_folder, encoder, lists)
    about = {"experiment": experiment.model_dump(), **settings, "seed": seed}
    state = states.state_folder(scratch, about, inputs, provenance.code("training.trainer"))
    texts = data(folder, token_folder, settings["tokens_per_batch"])
    with resumable.locked(state):
        check_sets(evaluation, texts, SPLITS)
        read = read_lists(lists, folder, texts.query_rows["train"])
        source, lengths = texts.sources["train"], settings["lengths"]
        job = trainer.Training(encoder, read, source, experiment, lengths, seed, state)
        kept = trainer.keep(job, settings["checkpoints"])
        for step, saved in kept.items():
            model = models.load(saved, experiment.model)
            runs = rerank_sets(model, texts, evaluation, SPLITS, state / f"scores-{step}")
            if not distributed.first():
                continue
            with atomic(output / f"step-{step}") as temporary:
                shutil.copytree(saved, temporary / "model")
                for split, run in runs.items():
                    write_run(temporary / f"{split}.run.gz", run, tag=f"{output.parent.name}-{seed}-step-{step}")
        if distributed.first():
            shutil.rmtree(state)
