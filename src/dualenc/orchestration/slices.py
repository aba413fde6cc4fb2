"""The slices of params.yaml: what decides the result of a job, which its command gets and Snakemake and DVC watch.

A function has the name of the rule whose jobs get its slice. A slice knows the keys of params.yaml that its values are
from: these are what DVC watches for the job's stage.

What all jobs of a command share (``shared``), and what all runs of an experiment do (``experiment``), is also written
to a file that they have as an input: DVC reads the whole of params.yaml for each stage that watches a part of it, and
that way does so for fifty stages instead of two hundred.
"""

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import chain as chain_of
from typing import Any

from dualenc.orchestration import origins, workflow
from dualenc.study import shown
from dualenc.study.config import Study
from dualenc.study.schema import ORIGIN

SHARED = {
    "train": ["lengths", "tokens_per_batch", "probes"],
    "rerank": ["tokens_per_batch"],
    "teacher_scores": ["tokens_per_batch"],
    "encode": ["tokens_per_batch", "shards"],
    "retrieval": ["tokens_per_batch", "retrieval_depth"],
    "score_matrix": ["tokens_per_batch", "score_matrix"],
    "score_updates": ["tokens_per_batch", "score_updates", "early"],
}
"""Command -> keys of the scale that decide all its jobs."""


class Slice(dict):
    """Values as a command gets them; ``watched`` are the keys of params.yaml that they are from.

    ``a | b`` has the values and the keys of both.
    """

    def __init__(self, values: Mapping[str, Any] = {}, watched: Sequence[str] = ()):
        super().__init__(values)
        self.watched = list(watched)

    def __or__(self, other: Mapping[str, Any]) -> "Slice":
        return Slice({**self, **other}, [*self.watched, *getattr(other, "watched", [])])


def as_json(slice_: Mapping[str, Any]) -> str:
    """A slice as a job's command line carries it."""
    return json.dumps(slice_, separators=(",", ":"))


def _of_scale(study: Study, *keys: str) -> Slice:
    """The values of some keys of the scale; ``pretraining.texts`` is a key of a key and gives ``texts``."""
    at = study.at.model_dump()
    values = {key.split(".")[-1]: reduce(lambda value, part: value[part], key.split("."), at) for key in keys}
    return Slice(values, [f"scales.{study.scale}.{key}" for key in keys])


def shared(study: Study, command: str) -> Slice:
    """What decides all jobs of a command alike, where it has many."""
    if command == "evaluate":
        return evaluate(study)
    if command == "dataset":
        read = {name: study.params.datasets[name] for name in origins.datasets(study)}
        texts = [name for name, one in read.items() if "packages" in type(one).model_fields]
        return Slice(origins.packages(study), [f"datasets.{name}.packages" for name in texts])
    return _of_scale(study, *SHARED.get(command, []))


def evaluate(study: Study) -> Slice:
    """How runs are judged."""
    keys = ["measures", "confidence", "resamples", "permutations", "seed"]
    keys += ["sets"] if len(study.test_sets) > 1 else []
    return Slice(shown.evaluation(study), [f"evaluation.{key}" for key in keys])


def experiment(study: Study, experiment: str) -> Slice:
    """What decides all runs of an experiment alike, and for which of them an artefact needs more than the model.

    The layers of ``experiments`` that it is made of are watched as wholes, and what the scale says about such
    artefacts.
    """
    chain, scale = study.chain(experiment), f"scales.{study.scale}"
    keys = [f"experiments.{name}" for name in chain]
    keys += [f"{scale}.experiments.{name}" for name in chain if name in study.at.experiments]
    keys += [f"{scale}.artefacts.{name}" for name in wanting(study, experiment) if name in study.at.artefacts]
    wanted = {what: _of_experiment(study, what, experiment) for what in workflow.ALONG}
    told = {"experiment": study.run(experiment).model_dump(), **wanted}
    return Slice(told, keys) | (_of_scale(study, "early") if wanted["checkpoints"] else {})


def wanting(study: Study, experiment: str) -> list[str]:
    """The artefacts that decide for which runs of an experiment more than the model is needed."""
    found = [workflow.asking(study, what) for what in workflow.ALONG if _of_experiment(study, what, experiment)]
    return list(dict.fromkeys(chain_of(*found)))


def _of_experiment(study: Study, what: str, experiment: str) -> list[tuple[str, int]]:
    return sorted(pair for pair in workflow.wanted(study, what) if study.split(pair[0])[0] == experiment)


def dataset(study: Study, dataset: str) -> Slice:
    """What decides a dataset."""
    return Slice(study.params.datasets[dataset].model_dump(), [f"datasets.{dataset}"])


def candidates(study: Study) -> Slice:
    """What decides the candidates. Where train lists come from published scores, few train queries need some."""
    if study.at.candidates == "official":
        own = dataset(study, study.at.dataset)
        return Slice({"official": dict(own)}, [f"scales.{study.scale}.candidates", *own.watched]) | _of_scale(
            study, "depth"
        )
    few = ["train_evaluation"] if study.at.published_scores else []
    return _of_scale(study, "bm25", "depth", *few)


def tokenizer(study: Study) -> Slice:
    """What decides the tokenizer."""
    return _of_scale(study, "vocabulary", "lengths.pair")


def lists(study: Study) -> Slice:
    """What decides the training lists, apart from the candidates."""
    return _of_scale(study, "list_length", "train_lists")


def import_scores(study: Study) -> Slice:
    """What decides the training lists that are made from published scores."""
    return _of_scale(study, "list_length", "train_lists", "published_scores")


def evaluation_sets(study: Study) -> Slice:
    """What decides the evaluation sets, apart from the candidates."""
    return _of_scale(study, "train_evaluation", "depth")


def corpus(study: Study) -> Slice:
    """What decides the lists of a corpus, apart from its text."""
    return _of_scale(study, "bm25", "depth", "list_length")


def texts(study: Study) -> Slice:
    """What decides the texts without labels, apart from the data."""
    keys = ("texts", "most_texts", "sentence_encoder")
    return _of_scale(study, *(f"pretraining.{key}" for key in keys), "tokens_per_batch")


def pretrain(study: Study, encoder: str) -> Slice:
    """What decides one miniature, apart from the data."""
    own = Slice({"encoder": study.params.encoders[encoder].model_dump(exclude=ORIGIN)})
    return own | Slice({}, [f"encoders.{encoder}"]) | _of_scale(study, "pretraining", "lengths", "tokens_per_batch")


def fetch(study: Study, encoder: str) -> Slice:
    """What decides an encoder that others have pre-trained; it has to have room for the longest input."""
    own = Slice({"encoder": study.params.encoders[encoder].model_dump()}, [f"encoders.{encoder}"])
    return own | _of_scale(study, "lengths.pair")


def train(study: Study, run: str, seed: int) -> Slice:
    """What decides one trained model, apart from its start and its lists.

    ``curves``: whether an artefact shows how train and test change along this training. ``checkpoints``: the early
    steps at which its model is kept, if an artefact looks at those.
    """
    return shared(study, "train") | {
        "experiment": study.run(run).model_dump(),
        "curves": (run, seed) in workflow.wanted(study, "curves"),
        "checkpoints": study.checkpoint_steps if (run, seed) in workflow.wanted(study, "checkpoints") else [],
    }


def rerank(study: Study, run: str) -> Slice:
    """How a model scores the candidates."""
    return shared(study, "rerank") | {"model": study.run(run).model}


def teacher_scores(study: Study, teacher: str) -> Slice:
    """How the teacher scores."""
    return shared(study, "teacher_scores") | {"model": study.run(teacher).model}


def score_shard(study: Study, teacher: str) -> Slice:
    """How the teacher scores a shard."""
    return teacher_scores(study, teacher) | _of_scale(study, "shards")


def encode(study: Study) -> Slice:
    """How a dual-encoder encodes a shard."""
    return shared(study, "encode")


def retrieval(study: Study, run: str) -> Slice:
    """How a model searches the whole collection."""
    return shared(study, "retrieval") | {"model": study.run(run).model}


def score_matrix(study: Study, run: str) -> Slice:
    """Which block of scores is made, and how the model scores."""
    return shared(study, "score_matrix") | {"model": study.run(run).model}


def score_updates(study: Study, run: str) -> Slice:
    """Which steps are taken, at which checkpoints, and how the model scores."""
    told = shared(study, "score_updates")
    del told["early"]
    return told | {"model": study.run(run).model, "checkpoints": study.checkpoint_steps}
