"""What each command gets as ``--params``: the shape of its slice of params.yaml (`orchestration.slices`)."""

import json
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from dualenc.data.datasets import Dataset
from dualenc.runtime.errors import UserError
from dualenc.runtime.lookup import shown
from dualenc.runtime.shape import checked
from dualenc.study import schema
from dualenc.study.kinds import Kind
from dualenc.study.schema import (
    Bm25,
    Encoder,
    Evaluation,
    Experiment,
    Lengths,
    Positive,
    Pretraining,
    Probes,
    PublishedScores,
    SentenceEncoder,
    Strict,
    TextCounts,
)


class Candidates(Strict):
    """The first stage: BM25, of some train queries or of all, or what a dataset brings itself."""

    bm25: Bm25 | None = None
    official: Dataset | None = None
    depth: Positive
    train_evaluation: Positive | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bm25 is None) == (self.official is None):
            raise ValueError("it has to have either bm25 or official")
        return self


class Tokenizer(Strict):
    """A tokenizer to train, and the longest pair that it is for."""

    vocabulary: Positive
    pair: Positive


class Lists(Strict):
    """Training lists."""

    list_length: int = Field(ge=2)
    train_lists: Positive


class ImportScores(Lists):
    """Training lists from published scores."""

    published_scores: PublishedScores


class EvaluationSets(Strict):
    """What models are evaluated on."""

    train_evaluation: Positive
    depth: Positive


class Corpus(Strict):
    """Lists to pre-train on."""

    bm25: Bm25
    depth: Positive
    list_length: int = Field(ge=2)


class Pretrain(Strict):
    """A miniature to pre-train."""

    encoder: Encoder
    pretraining: Pretraining
    lengths: Lengths
    tokens_per_batch: Positive


class UnlabelledTexts(Strict):
    """Texts to pre-train on, without labels."""

    texts: TextCounts
    most_texts: Positive
    sentence_encoder: SentenceEncoder | None
    tokens_per_batch: Positive


class Fetch(Strict):
    """An encoder that others have pre-trained, and the longest pair that it has to have room for."""

    encoder: Encoder
    pair: Positive


class Train(Strict):
    """A training run, what is probed along it, and the steps at which its model is kept."""

    experiment: Experiment
    lengths: Lengths
    tokens_per_batch: Positive
    probes: Probes
    curves: bool
    checkpoints: list[int]


class Scorer(Strict):
    """The kind of a model, and how many tokens it reads at once."""

    model: Kind
    tokens_per_batch: Positive


class ScoreShard(Scorer):
    """A model whose scores are made in shards."""

    shards: Positive


class Encode(Strict):
    """A collection that is encoded in shards."""

    shards: Positive
    tokens_per_batch: Positive


class Retrieval(Strict):
    """A model that searches a whole collection, and how many passages it retrieves for a query."""

    model: Kind
    retrieval_depth: Positive
    tokens_per_batch: Positive


class ScoreMatrix(Scorer):
    """The size of a block of scores."""

    score_matrix: schema.ScoreMatrix


class ScoreUpdates(Scorer):
    """Gradient steps on single pairs, and the checkpoints at which they are taken."""

    score_updates: schema.ScoreUpdates
    checkpoints: list[int]


class ShownRun(Strict):
    """A run that a figure, a table or a claim shows."""

    name: str
    experiment: str
    encoder: str
    width: Positive
    layers: Positive
    model: Kind
    loss: str
    loss_parameters: dict[str, float]
    teacher: str | None
    list_size: Positive


class Artefact(Strict):
    """A figure, a table or a claim."""

    artefact: str
    scale: str
    dataset: str
    seeds: list[int] = Field(min_length=1)
    runs: list[ShownRun]
    checkpoints: list[int]
    evaluation: Evaluation
    options: dict[str, Any]
    candidates: Literal["official"] | None = None


SHAPES: dict[str, Any] = {
    "dataset": Dataset,
    "candidates": Candidates,
    "tokenizer": Tokenizer,
    "lists": Lists,
    "import-scores": ImportScores,
    "evaluation-sets": EvaluationSets,
    "corpus": Corpus,
    "texts": UnlabelledTexts,
    "pretrain": Pretrain,
    "fetch": Fetch,
    "train": Train,
    "rerank": Scorer,
    "teacher-scores": Scorer,
    "score-shard": ScoreShard,
    "encode": Encode,
    "retrieval": Retrieval,
    "score-matrix": ScoreMatrix,
    "score-updates": ScoreUpdates,
    "evaluate": Evaluation,
    **dict.fromkeys(("table", "figure", "claim"), Artefact),
}
"""Command -> the type of its slice."""


def read(command: str, text: str) -> Any:
    """The slice of a command from its JSON. Raises ``UserError`` that says which key of ``--params`` is wrong."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--params: {shown(text)} is not JSON ({error}).") from None
    return checked(value, SHAPES[command], "--params")
