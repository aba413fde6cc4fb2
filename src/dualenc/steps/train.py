"""A trained model and its runs."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from dualenc import models, provenance, resumable, scoring, supervision, training
from dualenc.datasets import SPLITS, read_qrels
from dualenc.files import atomic, atomic_entries
from dualenc.parameters import Experiment
from dualenc.runs import read_run, write_run
from dualenc.steps.inputs import rows, write_about, write_curve


def train(
    folder: Path, token_folder: Path, encoder: Path, lists: Path, evaluation: Path, experiment: Experiment,
    settings: Mapping, seed: int, scratch: Path, output: Path,
) -> None:  # fmt: skip
    """Train one model and re-rank every evaluation set with it: ``model/``, ``curve.csv``, ``<set>.run.gz``.

    ``settings`` has ``lengths``, ``tokens_per_batch`` and ``probe_queries``. A finished model stays in its state
    folder: when only the evaluation sets change, the next call re-ranks without training again.
    """
    inputs = [lists, encoder / "model.safetensors", token_folder / "manifest.json", folder / "manifest.json"]
    about = {"experiment": experiment.model_dump(), **settings, "seed": seed}
    probe_inputs = [
        evaluation / f"{split}.{kind}" for split in ("train", "validation") for kind in ("run.gz", "qrels.tsv")
    ]
    state = resumable.state_folder(scratch, about, inputs + probe_inputs, provenance.code("training"))
    passage_rows = rows(folder, "passages")
    query_rows = {split: rows(folder, split) for split in SPLITS}
    sources = {split: scoring.texts(token_folder, split, settings["tokens_per_batch"]) for split in SPLITS}
    with resumable.locked(state):
        finished = state / "finished"
        if not finished.exists():
            probes = {
                split: probe(evaluation, split, sources[split], query_rows[split], settings["probe_queries"])
                for split in ("train", "validation")
            }
            model, curve = training.train(
                encoder,
                supervision.read(lists, query_rows["train"], passage_rows),
                sources["train"],
                probes,
                passage_rows,
                experiment=experiment,
                lengths=settings["lengths"],
                seed=seed,
                state=state,
            )
            with atomic(finished) as temporary:
                model.save(str(temporary / "model"), create_model_card=False)
                write_curve(temporary, curve)
            for path in state.glob("checkpoint-*"):
                shutil.rmtree(path)
        with atomic_entries(output) as temporary:
            shutil.copytree(finished, temporary, dirs_exist_ok=True)
            model = models.load(temporary / "model", experiment.model)
            for split in SPLITS:
                run = read_run(evaluation / f"{split}.run.gz")
                scored = scoring.rerank(model, sources[split], run, query_rows[split], passage_rows)
                write_run(temporary / f"{split}.run.gz", scored, tag=f"{output.parent.name}-{seed}")
            write_about(temporary, about, inputs)


def probe(evaluation: Path, split: str, source: scoring.Texts, query_rows: Mapping[str, int], count: int):
    """The first ``count`` queries (in hash order) of an evaluation set, as a probe."""
    qrels = read_qrels(evaluation / f"{split}.qrels.tsv")
    sample = supervision.in_hash_order(list(qrels))[:count]
    run = read_run(evaluation / f"{split}.run.gz")
    candidates = {qid: run[qid] for qid in sample if qid in run}
    return training.Probe(source, candidates, {qid: qrels[qid] for qid in sample}, query_rows)
