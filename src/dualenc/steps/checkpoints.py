"""Models along a training, for figures that look at them."""

import shutil

from dualenc.data.runs import write_run
from dualenc.encoders.tokens import check_encoder
from dualenc.runtime import provenance, states
from dualenc.runtime.files import atomic
from dualenc.scorers import distributed, models
from dualenc.steps.arguments import File, Folder, Nodes, OutputFolder, Params, Processes, Scratch, Seed, launched
from dualenc.steps.inputs import check_sets, data, read_lists, rerank_sets
from dualenc.steps.train import made_of
from dualenc.study.settings import Checkpoints
from dualenc.training import resumable, trainer

SPLITS = ("train", "test")


def checkpoints(
    params: Params[Checkpoints], dataset: Folder, tokens: Folder, encoder: Folder, lists: File, evaluation: Folder,
    seed: Seed, scratch: Scratch, output: OutputFolder, processes: Processes = 1, nodes: Nodes = 1,
) -> None:  # fmt: skip
    """Train one model again up to some early steps and keep it there.

    Writes ``step-<k>/`` with ``model/`` and ``{train,test}.run.gz``. What a training passes through is a function of
    its parameters and its seed, so these are the models that ``steps.train`` passed through. Raises ``UserError`` as
    ``tokens.check_encoder`` and `dualenc.steps.arguments.launched` do.
    """
    with launched(params.experiment.batch_size, processes, nodes):
        check_encoder(encoder, tokens)
        inputs = made_of(dataset, tokens, encoder, lists)
        about = {**params.model_dump(), "seed": seed}
        state = states.state_folder(scratch, about, inputs, provenance.code("training.trainer"))
        texts = data(dataset, tokens, params.tokens_per_batch)
        with resumable.locked(state):
            check_sets(evaluation, texts, SPLITS)
            read = read_lists(lists, dataset, texts.query_rows["train"])
            source, lengths = texts.sources["train"], about["lengths"]
            job = trainer.Training(encoder, read, source, params.experiment, lengths, seed, state)
            kept = trainer.keep(job, params.checkpoints)
            for step, saved in kept.items():
                model = models.load(saved, params.experiment.model)
                runs = rerank_sets(model, texts, evaluation, SPLITS, state / f"scores-{step}")
                if not distributed.first():
                    continue
                with atomic(output / f"step-{step}") as temporary:
                    shutil.copytree(saved, temporary / "model")
                    for split, run in runs.items():
                        write_run(temporary / f"{split}.run.gz", run, tag=f"{output.parent.name}-{seed}-step-{step}")
            if distributed.first():
                shutil.rmtree(state)
