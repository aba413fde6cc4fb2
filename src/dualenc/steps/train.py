"""A trained model and its runs."""

import shutil
from pathlib import Path

from dualenc.data.collection import SPLITS, evaluated, read_qrels
from dualenc.data.runs import Ranking, write_run
from dualenc.encoders.tokens import check_encoder
from dualenc.runtime import provenance, states
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic, atomic_entries
from dualenc.scorers import distributed, models
from dualenc.steps.arguments import File, Folder, Nodes, OutputFolder, Params, Processes, Scratch, Seed, launched
from dualenc.steps.inputs import (
    Data,
    check_sets,
    data,
    passage_rows,
    read_candidates,
    read_lists,
    rerank_sets,
    worth_ranking,
    write_about,
    write_curve,
)
from dualenc.study.settings import Train
from dualenc.training import resumable, supervision, trainer


def train(
    params: Params[Train], dataset: Folder, tokens: Folder, encoder: Folder, lists: File, evaluation: Folder,
    seed: Seed, scratch: Scratch, output: OutputFolder, processes: Processes = 1, nodes: Nodes = 1,
) -> None:  # fmt: skip
    """Train one model and re-rank the evaluation sets with it.

    Writes ``model/``, ``curve.csv``, and ``<set>.run.gz`` of all sets but validation, which chooses the step, by
    probes: its numbers are in ``curve.csv``. A finished model stays in its state folder: when only what is re-ranked
    changes, the next call re-ranks without training again. Raises ``UserError`` as ``tokens.check_encoder`` and
    `dualenc.steps.arguments.launched` do.
    """
    with launched(params.experiment.batch_size, processes, nodes):
        check_encoder(encoder, tokens)
        inputs = made_of(dataset, tokens, encoder, lists)
        about = {**params.model_dump(), "seed": seed}
        judged = [evaluation / f"{split}.{kind}" for split in SPLITS for kind in ("run.gz", "qrels.tsv")]
        state = states.state_folder(scratch, about, inputs + judged, provenance.code("training.trainer"))
        texts = data(dataset, tokens, params.tokens_per_batch)
        sets = evaluated(texts.sources)
        with resumable.locked(state):
            finished = state / "finished"
            if not distributed.broadcast(finished.exists()):
                check_sets(evaluation, texts, sets)
                read = read_lists(lists, dataset, texts.query_rows["train"])
                source, lengths = texts.sources["train"], about["lengths"]
                job = trainer.Training(encoder, read, source, params.experiment, lengths, seed, state)
                probed = SPLITS if params.curves else ["validation"]
                probes = {split: probe(evaluation, split, texts, **about["probes"]) for split in probed}
                asked = passage_rows(dataset, *(one.candidates for one in probes.values()))
                model, curve = trainer.train(job, probes, asked)
                if distributed.first():
                    _finish(state, finished, model, curve)
                distributed.wait()
            model = models.load(finished / "model", params.experiment.model)
            keep = state / "scores"
            runs = rerank_sets(model, texts, evaluation, sets, keep)
            if not distributed.first():
                return
            with atomic_entries(output) as temporary:
                shutil.copytree(finished, temporary, dirs_exist_ok=True)
                for split, run in runs.items():
                    write_run(temporary / f"{split}.run.gz", run, tag=f"{output.parent.name}-{seed}")
                write_about(temporary, about, inputs, model.transformers_model.config.hidden_size)
            shutil.rmtree(keep)


def _finish(state: Path, finished: Path, model: models.Model, curve: list[tuple[int, str, str, float]]) -> None:
    with atomic(finished) as temporary:
        model.save(str(temporary / "model"), create_model_card=False)
        write_curve(temporary, curve)
    for path in state.glob("checkpoint-*"):
        shutil.rmtree(path)


def made_of(folder: Path, token_folder: Path, encoder: Path, lists: Path) -> list[Path]:
    """The files that stand for all that a training reads."""
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
            "candidates, so no probe could tell one model from another: raise queries or depth of probes."
        )
    return trainer.Probe(texts.sources[split], candidates, judged, texts.query_rows[split])
