"""A trained model."""

import shutil
from pathlib import Path

from dualenc.data.collection import SPLITS, read_qrels
from dualenc.data.runs import Ranking
from dualenc.encoders.tokens import check_encoder
from dualenc.runtime import provenance, states
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic, atomic_entries
from dualenc.scorers import distributed, models
from dualenc.steps.arguments import File, Folder, Nodes, OutputFolder, Params, Processes, Scratch, Seed, launched
from dualenc.steps.inputs import (
    Data,
    data,
    passage_rows,
    read_candidates,
    read_lists,
    worth_ranking,
    write_about,
    write_curve,
)
from dualenc.study.settings import Train
from dualenc.training import resumable, supervision, trainer


def train(
    params: Params[Train], dataset: Folder, tokens: Folder, encoder: Folder, lists: File, evaluation: Folder,
    seed: Seed, checkpoints: OutputFolder, scratch: Scratch, output: OutputFolder,
    processes: Processes = 1, nodes: Nodes = 1,
) -> None:  # fmt: skip
    """Train one model, and keep it as it was at some early steps.

    Writes ``model/`` and ``curve.csv``, with the probes of validation that chose the model's step; in the folder
    ``checkpoints`` ``step-<k>/model/`` for each k of ``params.checkpoints``. Raises ``UserError`` if the processes
    cannot share a batch, and as ``tokens.check_encoder`` and `dualenc.steps.arguments.launched` do.
    """
    batch_size = params.experiment.batch_size
    if batch_size % processes:
        raise UserError(f"--processes {processes} cannot share a batch of {batch_size}: give a divisor of it.")
    with launched(processes, nodes):
        check_encoder(encoder, tokens)
        inputs = made_of(dataset, tokens, encoder, lists)
        about = {**params.model_dump(), "seed": seed}
        judged = [evaluation / f"{split}.{kind}" for split in SPLITS for kind in ("run.gz", "qrels.tsv")]
        state = states.state_folder(scratch, about, inputs + judged, provenance.code("training.trainer"))
        texts = data(dataset, tokens, params.tokens_per_batch)
        with distributed.locked(state):
            read = read_lists(lists, dataset, texts.query_rows["train"])
            source, lengths = texts.sources["train"], about["lengths"]
            job = trainer.Training(encoder, read, source, params.experiment, lengths, seed, state)
            probed = SPLITS if params.curves else ["validation"]
            probes = {split: probe(evaluation, split, texts, **about["probes"]) for split in probed}
            asked = passage_rows(dataset, *(one.candidates for one in probes.values()))
            model, curve = trainer.train(job, probes, asked, params.checkpoints)
            if not distributed.first():
                return
            for step in params.checkpoints:
                with atomic(checkpoints / f"step-{step}" / "model") as temporary:
                    shutil.copytree(resumable.saved_model(state, step), temporary)
            with atomic_entries(output) as temporary:
                model.save(str(temporary / "model"), create_model_card=False)
                write_curve(temporary, curve)
                write_about(temporary, about, inputs, model.transformers_model.config.hidden_size)
            shutil.rmtree(state)


def made_of(folder: Path, token_folder: Path, encoder: Path, lists: Path) -> list[Path]:
    """The files that stand for all that training reads."""
    of_encoder = [encoder / name for name in models.FILES["encoder"]]
    return [lists, *of_encoder, token_folder / "manifest.json", folder / "manifest.json"]


def probe(evaluation: Path, split: str, texts: Data, queries: int, depth: int) -> trainer.Probe:
    """The first ``queries`` (in hash order) of an evaluation set with their first ``depth`` candidates, as a probe.

    Raises ``UserError`` if none of them has a relevant passage among its candidates.
    """
    qrels = read_qrels(evaluation / f"{split}.qrels.tsv")
    sample = supervision.in_hash_order(list(qrels))[:queries]
    run = read_candidates(evaluation, split, texts.query_rows[split])
    judged = {qid: qrels[qid] for qid in sample}
    first = {qid: Ranking(*(column[:depth] for column in run[qid])) for qid in sample if qid in run}
    candidates = worth_ranking(first, judged)
    if not candidates:
        raise UserError(
            f"none of the first {len(sample)} queries of {split} has a relevant passage among its first {depth} "
            "candidates, so no probe could tell one model from another: raise the queries or depth of probes."
        )
    return trainer.Probe(texts.sources[split], candidates, judged, texts.query_rows[split])
