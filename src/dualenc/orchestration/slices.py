"""The slices of params.yaml: what decides the result of a job, as its command is told and as Snakemake watches.

A function has the name of the rule whose jobs get its slice. What all jobs of a command share (``shared``), and what
all runs of an experiment do (``experiment``), is also written to a file that they have as an input: DVC reads the whole
of params.yaml for each stage that watches a part of it, and that way does so for fifty stages instead of two hundred.
"""

import json
from typing import Any

from dualenc.orchestration import origins
from dualenc.study import shown
from dualenc.study.config import Study

SHARED = {
    "train": ["lengths", "tokens_per_batch", "probes"],
    "checkpoints": ["lengths", "tokens_per_batch", "early"],
    "teacher_scores": ["tokens_per_batch"],
    "encode": ["tokens_per_batch", "shards"],
    "retrieval": ["tokens_per_batch", "shards", "retrieval_depth"],
    "score_matrix": ["tokens_per_batch", "score_matrix"],
    "score_updates": ["tokens_per_batch", "score_updates", "early"],
}
"""Command -> keys of the scale that decide all its jobs."""


def as_json(slice_: dict[str, Any]) -> str:
    """A slice as a job's command line carries it."""
    return json.dumps(slice_, separators=(",", ":"))


def shared(study: Study, command: str) -> dict[str, Any]:
    """What decides all jobs of a command alike, where it has many."""
    if command == "evaluate":
        return shown.evaluation(study)
    if command == "dataset":
        return origins.packages(study)
    return {key: value for key, value in study.at.model_dump().items() if key in SHARED.get(command, [])}


def experiment(study: Study, experiment: str) -> dict[str, Any]:
    """What decides all runs of an experiment alike, and for which of them train and test are probed."""
    return {"experiment": study.run(experiment).model_dump(), "curves": curves(study, experiment)}


def curves(study: Study, experiment: str) -> list[tuple[str, int]]:
    """The runs of an experiment, with their seeds, of which an artefact shows how train and test change along them."""
    runs = {(run, seed) for name in with_curves(study) for run in study.runs(name) for seed in study.seeds(name)}
    return sorted((run, seed) for run, seed in runs if study.split(run)[0] == experiment)


def with_curves(study: Study) -> list[str]:
    """The artefacts that show how train and test change along their runs."""
    return [name for name, artefact in study.artefacts.items() if "curves" in artefact.needs]


def dataset(study: Study, dataset: str) -> dict[str, Any]:
    """What decides a dataset."""
    return study.params.datasets[dataset].model_dump()


def candidates(study: Study) -> dict[str, Any]:
    """What decides the candidates. Where train lists come from published scores, few train queries need some."""
    if study.at.candidates == "official":
        return {"official": dataset(study, study.at.dataset), "depth": study.at.depth}
    few = {"train_queries": study.at.train_evaluation} if study.at.published_scores else {}
    return {"bm25": study.at.bm25.model_dump(), "depth": study.at.depth, **few}


def tokenizer(study: Study) -> dict[str, Any]:
    """What decides the tokenizer."""
    return {"vocabulary": study.at.vocabulary, "max_length": study.at.lengths.pair}


def lists(study: Study) -> dict[str, Any]:
    """What decides the training lists, apart from the candidates."""
    return {"list_length": study.at.list_length, "train_lists": study.at.train_lists}


def published_scores(study: Study) -> dict[str, Any]:
    """What decides the training lists that are made from published scores."""
    return {**lists(study), "published_scores": study.at.published_scores.model_dump()}


def evaluation_sets(study: Study) -> dict[str, Any]:
    """What decides the evaluation sets, apart from the candidates."""
    return {"train_evaluation": study.at.train_evaluation, "depth": study.at.depth}


def corpus(study: Study) -> dict[str, Any]:
    """What decides the lists of a corpus, apart from its text."""
    return {"bm25": study.at.bm25.model_dump(), "depth": study.at.depth, "list_length": study.at.list_length}


def texts(study: Study) -> dict[str, Any]:
    """What decides the texts without labels, apart from the data."""
    about = study.at.pretraining
    return {
        "texts": {name: counts.model_dump() for name, counts in about.texts.items()},
        "most_texts": about.most_texts,
        "sentence_encoder": about.sentence_encoder.model_dump() if about.sentence_encoder else None,
        "tokens_per_batch": study.at.tokens_per_batch,
    }


def pretrain(study: Study, encoder: str) -> dict[str, Any]:
    """What decides one miniature, apart from the data."""
    return {
        "encoder": study.params.encoders[encoder].model_dump(exclude={"hub", "revision"}),
        "pretraining": study.at.pretraining.model_dump(),
        "lengths": study.at.lengths.model_dump(),
        "tokens_per_batch": study.at.tokens_per_batch,
    }


def fetch(study: Study, encoder: str) -> dict[str, Any]:
    """What decides an encoder from the hub; it has to have room for the longest input."""
    return {"encoder": study.params.encoders[encoder].model_dump(), "positions": study.at.lengths.pair}


def train(study: Study, run: str, seed: int) -> dict[str, Any]:
    """What decides one trained model, apart from its start and its lists.

    ``curves``: whether an artefact shows how train and test change along this training.
    """
    return {
        "experiment": study.run(run).model_dump(),
        "lengths": study.at.lengths.model_dump(),
        "tokens_per_batch": study.at.tokens_per_batch,
        "probes": study.at.probes.model_dump(),
        "curves": (run, seed) in curves(study, study.split(run)[0]),
    }


def checkpoints(study: Study, run: str) -> dict[str, Any]:
    """What decides the models along a training, apart from its seed, its start and its lists."""
    slice_ = train(study, run, study.at.seeds[0]) | {"checkpoints": study.checkpoint_steps}
    del slice_["probes"], slice_["curves"]  # nothing is probed
    return slice_


def teacher_scores(study: Study, teacher: str) -> dict[str, Any]:
    """How the teacher scores."""
    return {"model": study.run(teacher).model, "tokens_per_batch": study.at.tokens_per_batch}


def score_shard(study: Study, teacher: str) -> dict[str, Any]:
    """How the teacher scores a shard."""
    return {**teacher_scores(study, teacher), "shards": study.at.shards}


def encode(study: Study) -> dict[str, Any]:
    """How a dual-encoder encodes a shard."""
    return {"shards": study.at.shards, "tokens_per_batch": study.at.tokens_per_batch}


def retrieval(study: Study, run: str) -> dict[str, Any]:
    """How a model searches the whole collection."""
    return {**teacher_scores(study, run), "depth": study.at.retrieval_depth}


def score_matrix(study: Study, run: str) -> dict[str, Any]:
    """Which block of scores is made, and how the model scores."""
    return {**study.at.score_matrix.model_dump(), **teacher_scores(study, run)}


def score_updates(study: Study, run: str) -> dict[str, Any]:
    """Which steps are taken, at which checkpoints, and how the model scores."""
    settings = study.at.score_updates.model_dump() | {"checkpoints": study.checkpoint_steps}
    return {**settings, **teacher_scores(study, run)}
