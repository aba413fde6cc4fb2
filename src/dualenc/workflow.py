"""What the Snakefile needs to know: which files an artefact needs, and the slice of params.yaml of each job."""

import json
from pathlib import PurePosixPath
from typing import Any

from dualenc.config import Study

UNTRAINED = ("random", "bm25")  # orders of the candidates that no model made
ENCODER_FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def as_json(slice_: dict[str, Any]) -> str:
    """A slice as a job's command line carries it. Braces are doubled: Snakemake formats parameters."""
    return json.dumps(slice_, separators=(",", ":"))


def runs_folder(run: str) -> PurePosixPath:
    """Folder, below ``results/<scale>``, of the runs to evaluate: the candidates themselves if nothing re-ranks."""
    return PurePosixPath("evaluation") if run in UNTRAINED else PurePosixPath("runs", run)


def run_folders(study: Study, artefact: str) -> list[PurePosixPath]:
    """Folders, below ``results/<scale>``, of all runs that an artefact shows, untrained ones too."""
    seeds = [f"seed-{seed}" for seed in study.at.seeds]
    trained = [PurePosixPath("runs", name, seed) for name in study.runs(artefact) for seed in seeds]
    return [PurePosixPath("runs", name) for name in UNTRAINED] + trained


def dataset_slice(study: Study, dataset: str) -> dict[str, Any]:
    """What decides a dataset."""
    return study.params.datasets[dataset].model_dump()


def candidates_slice(study: Study) -> dict[str, Any]:
    """What decides the candidates."""
    return {"bm25": study.at.bm25.model_dump(), "depth": study.at.depth}


def tokenizer_slice(study: Study) -> dict[str, Any]:
    """What decides the tokenizer."""
    return {"vocabulary": study.at.vocabulary, "max_length": study.at.lengths.pair}


def lists_slice(study: Study) -> dict[str, Any]:
    """What decides the training lists, beside the candidates."""
    return {"list_length": study.at.list_length, "train_lists": study.at.train_lists}


def evaluation_sets_slice(study: Study) -> dict[str, Any]:
    """What decides the evaluation sets, beside the candidates."""
    return {"train_evaluation": study.at.train_evaluation, "depth": study.at.depth}


def corpus_slice(study: Study) -> dict[str, Any]:
    """What decides the lists of a corpus, beside its text."""
    return {**candidates_slice(study), "list_length": study.at.list_length}


def pretrain_slice(study: Study, encoder: str) -> dict[str, Any]:
    """What decides one miniature, beside the data."""
    return {
        "encoder": study.params.encoders[encoder].model_dump(),
        "pretraining": study.at.pretraining.model_dump(),
        "lengths": study.at.lengths.model_dump(),
        "tokens_per_batch": study.at.tokens_per_batch,
    }


def encoder_folder(study: Study, encoder: str) -> PurePosixPath:
    """Where a miniature is: the folder that params.yaml names, or the one that the ``pretrain`` rule makes."""
    folder = study.params.encoders[encoder].folder
    if folder and not study.params.pretrain:
        return PurePosixPath(folder)
    return PurePosixPath("results", study.scale, "encoders", encoder)


def tokenizer_folder(study: Study) -> PurePosixPath:
    """Where the tokenizer is: beside the student's weights if these are given, or made by its rule."""
    student = study.at.encoders["student"][-1]
    if study.params.encoders[student].folder and not study.params.pretrain:
        return encoder_folder(study, student)
    return PurePosixPath("results", study.scale, "tokenizer")


def train_slice(study: Study, run: str) -> dict[str, Any]:
    """What decides one trained model, beside its seed, its start and its lists."""
    return {
        "experiment": study.run(run).model_dump(),
        "lengths": study.at.lengths.model_dump(),
        "tokens_per_batch": study.at.tokens_per_batch,
        "probe_queries": study.at.probe_queries,
    }


def teacher_scores_slice(study: Study) -> dict[str, Any]:
    """How the teacher scores."""
    return {"tokens_per_batch": study.at.tokens_per_batch}


def evaluation_slice(study: Study) -> dict[str, Any]:
    """How runs are judged."""
    return study.evaluation.model_dump()


def artefact_slice(study: Study, artefact: str) -> dict[str, Any]:
    """What a figure or table is told, beside the metrics of its runs."""
    runs = []
    for name in study.runs(artefact):
        experiment = study.run(name)
        shape = study.params.encoders[experiment.encoder]
        about = {"name": name, "experiment": name.partition(".")[0], "encoder": experiment.encoder}
        about |= {"width": shape.width, "layers": shape.layers, "model": experiment.model, "loss": experiment.loss}
        runs.append(about)
    return {
        "artefact": artefact,
        "scale": study.scale,
        "dataset": study.at.dataset,
        "seeds": study.at.seeds,
        "runs": runs,
        "evaluation": study.evaluation.model_dump(),
    }


def lists_of(study: Study, run: str) -> PurePosixPath:
    """The lists, below ``results/<scale>``, that a run is trained on: with its teacher's scores if it has one."""
    teacher = study.run(run).teacher
    return PurePosixPath("supervision", teacher or "one-hot", "lists.parquet")
