"""The schema of params.yaml: which keys there are, and what each may hold.

The keys of a dataset are those of its kind (`dualenc.data.datasets`).
"""

# ruff: noqa: RUF012 (pydantic copies defaults)

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WrapValidator
from pydantic_core import PydanticCustomError

from dualenc.data.datasets import Dataset
from dualenc.data.sources import Source
from dualenc.paper.measures import MEASURE, called
from dualenc.runtime.values import (
    Count,
    Fraction,
    ListSize,
    Name,
    Names,
    Number,
    Positive,
    Seed,
    Share,
    Size,
    Strict,
    Text,
    Texts,
    Weight,
    Width,
    once,
    real,
    whole,
)
from dualenc.study.kinds import Kind


def _measures(values: list[str]) -> list[str]:
    """Names of measures, each of which may appear once, under one of its names."""
    for measure in values:
        if not MEASURE.fullmatch(measure):
            allowed = "RR@k, MRR@k, nDCG@k or R@k with a cutoff k, such as RR@10, or RR(rel=2)@10"
            raise PydanticCustomError(
                "not_allowed", "{value} is not a measure; give {allowed}", {"value": repr(measure), "allowed": allowed}
            )
    once([called(measure) for measure in values])
    return values


Measures = Annotated[list[Text], Field(min_length=1), AfterValidator(_measures)]
Need = Literal[
    *("metrics", "runs", "curves", "retrieval", "checkpoints", "lists", "text", "models"),
    *("score-matrices", "score-updates"),
]


class Bm25(Strict):
    """Parameters of the first stage (``dualenc.retrieval.candidates``)."""

    k1: Weight
    b: Fraction
    stop_words: Literal["english", "none"]
    stemmer: Literal["english", "none"]


class Objectives(Strict):
    """Weights of the parts of the pre-training loss (``dualenc.miniatures.pretraining``)."""

    pair: Weight
    contrastive: Weight
    masked: Weight
    sentences: Weight
    pieces: Weight


class Counts(Strict):
    """How many queries and passages of a train split are read as texts, without their labels."""

    queries: Count
    passages: Count


TextCounts = Annotated[dict[Text, Counts], Field(min_length=1)]


class SentenceEncoder(Strict):
    """A sentence encoder in an installed Python package, whose import name this is (`miniatures.sentence_encoder`).

    ``path`` is its folder within the package, ``sha256`` that of its model.safetensors. It reads ``max_length`` tokens
    of a text. ``directions`` of what it says about words are kept; cosines are divided by the ``temperature``.
    """

    package: Text
    path: Text
    sha256: Text
    max_length: whole(3, 512)
    directions: whole(1, 10**4)
    temperature: Size


ORIGIN = {"hub", "revision", "package", "path", "sha256", "keep"}
"""What an ``Encoder`` says of where it is from, if others have pre-trained it."""


class Encoder(Strict):
    """A BERT of this shape: in ``folder``, from the Hugging Face hub or a ``package``, or made by ``pretrain``.

    ``hub`` is a model, such as google/bert_uncased_L-2_H-128_A-2, and ``revision`` a commit of it; without one its
    builds can be planned, but it is not downloaded. ``package`` is the import name of an installed Python package,
    ``path`` the model's folder within it and ``sha256`` that of its model.safetensors. Of the layers of either, those
    in ``keep`` are taken (from 0), or all. ``grows_from`` names the encoder of the same width whose layers the
    pre-training starts from; without it, ``start`` says what it starts from (``dualenc.miniatures.initialisation`` or
    random weights). ``steps`` and ``objectives`` are those of its pre-training where they are not the scale's.
    """

    layers: whole(1, 1000)
    width: Width
    heads: Width
    folder: Text | None = None
    hub: Text | None = None
    revision: Text | None = None
    package: Text | None = None
    path: Text | None = None
    sha256: Text | None = None
    keep: Annotated[list[whole(0, 999)], Field(min_length=1)] | None = None
    grows_from: Text | None = None
    start: Literal["words", "random"] = "words"
    steps: Count | None = None
    objectives: Objectives | None = None

    @property
    def fetched(self) -> bool:
        """Whether others have pre-trained it, so that the ``fetch`` rule gets it."""
        return bool(self.hub or self.package)


class Probes(Strict):
    """What training re-ranks along the way: the first ``depth`` candidates of so many queries of a split."""

    queries: Positive
    depth: Positive


class Lengths(Strict):
    """Maximal lengths in tokens, special tokens included: one text of a dual-encoder, one pair of a CA model.

    A text has two special tokens and a pair three, and some of the text has to remain.
    """

    text: whole(3, 10**5)
    pair: whole(5, 10**5)


class Pretraining(Strict):
    """How miniatures are pre-trained, and on the train text of which datasets.

    ``corpora`` maps a dataset to how often each of its lists counts in an epoch, ``texts`` one to how many of its texts
    are read without labels, ``most_texts`` of them all. ``grown_steps`` and ``grown_learning_rate`` are those of an
    encoder that grows from another. A step reads ``batch_size`` lists and ``texts_per_step`` texts; a share
    ``masked_texts`` of these has a share ``masked`` of hidden words.
    """

    corpora: Annotated[dict[Text, whole(1, 1000)], Field(min_length=1)]
    texts: TextCounts
    most_texts: Positive
    sentence_encoder: SentenceEncoder | None = None
    objectives: Objectives
    steps: Positive
    grown_steps: Positive
    grown_learning_rate: Size
    batch_size: Positive
    list_size: ListSize
    learning_rate: Size
    warmup: Fraction
    weight_decay: Weight
    texts_per_step: whole(2, 10**4)
    masked_texts: Fraction
    masked: Fraction
    gain: Size
    evaluate_every: Positive
    seed: Seed


class Evaluation(Strict):
    """How runs are judged and compared (``dualenc.evaluation.metrics``, ``dualenc.evaluation.statistics``).

    ``sets`` has the measures of further test sets that are not to have ``measures``.
    """

    measures: Measures
    sets: dict[Text, Measures] = {}
    confidence: real(0, 1, open="low high")
    resamples: Positive
    permutations: Positive
    seed: Seed


class Experiment(Strict):
    """One model and how it is trained, resolved."""

    model: Kind
    encoder: Text
    loss: Text
    loss_parameters: dict[Text, Number]
    teacher: Text | None
    list_size: ListSize
    selection: Literal["sampled", "top"]
    in_batch: bool
    uniform: Count
    batch_size: Positive
    steps: Positive
    learning_rate: Size
    weight_decay: Weight
    warmup: Fraction
    dropout: Share
    token_dropout: Share
    mlm_weight: Weight
    mlm_masked: Fraction
    sparsity: Weight
    pooling: Literal["cls", "mean"]
    gain: Size
    evaluate_every: Positive
    patience: Positive


class ScoreMatrix(Strict):
    """Size of the blocks of scores that are factorised (``dualenc.analysis.factorisation``)."""

    queries: Positive
    passages: Positive


class ScoreUpdates(Strict):
    """Gradient steps on single pairs (`analysis.score_updates`): how many, watched by how many others, how large."""

    pairs: Positive
    others: Positive
    step: Size


class Sizes(Strict):
    """About how large the data are, for `dualenc plan` alone: nothing is made by these numbers.

    ``queries`` are those of each evaluation set but train; tokens are means, without special tokens.
    """

    passages: Positive
    passage_tokens: Positive
    query_tokens: Positive
    queries: dict[Text, Positive]


class PublishedScores(Source):
    """Scores of training triples (``dualenc.training.published_scores``) that replace those of the run ``teacher``.

    ``tolerance`` is how much the scores of one pair may differ, ``allowed_defects`` how many rows may be wrong.
    """

    teacher: Text
    tolerance: Weight
    allowed_defects: Count


class Choice(Strict):
    """What an artefact shows, as a scale may change it: experiments, each with its own encoder or over families.

    Those ``besides`` have their own encoder in any case. ``options`` are numbers that only this artefact uses.
    """

    experiments: Texts = []
    encoders: Names = []
    besides: Texts = []
    seeds: Literal["first", "all"] = "first"
    options: dict[str, Any] = {}


class Shows(Choice):
    """What the module of an artefact declares in ``SHOWS``: ``needs`` are the kinds of files that it is made from."""

    needs: Annotated[list[Need], AfterValidator(once)] = ["metrics"]


class Artefact(Shows):
    """A figure, a table or a claim, resolved."""

    kind: Literal["figure", "table", "claim"]


class Scale(Strict):
    """Everything that is large or small: data, lists, lengths, models, steps.

    ``candidates`` are those of BM25 or the dataset's own, in either case at most ``depth`` for a query. ``processes``
    train one model together, spread over ``nodes``; each of them, and every other job with a model, has ``gpus``.
    """

    dataset: Text
    candidates: Literal["bm25", "official"] = "bm25"
    bm25: Bm25
    depth: Positive
    list_length: ListSize
    train_lists: Positive
    published_scores: PublishedScores | None = None
    train_evaluation: Positive
    probes: Probes
    retrieval_depth: Positive
    shards: whole(1, 10**4)
    early: Positive
    score_matrix: ScoreMatrix
    score_updates: ScoreUpdates
    lengths: Lengths
    sizes: Sizes
    vocabulary: whole(6, 10**7)
    encoders: dict[Name, Annotated[Texts, Field(min_length=1)]]
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(once)]
    pretraining: Pretraining
    tokens_per_batch: Positive
    gpus: whole(0, 1000)
    processes: whole(1, 10**5) = 1
    nodes: whole(1, 10**5) = 1
    experiments: dict[str, dict[str, Any]]
    artefacts: dict[Name, Choice] = {}


class Requirements(Strict):
    """What the module of an artefact declares in ``REQUIRES``, so that a choice is checked before anything runs.

    ``measures`` are those of ``evaluation`` that it shows, ``options`` its options, each of a kind of ``OPTIONS``. Of
    its runs: ``runs`` it names, and ``paired`` are experiments that it compares at every encoder; it shows ``count`` of
    them, of exactly these ``models`` or ``series`` (`dualenc.paper.naming`); ``only`` are the values that a field of a
    run may have, and ``distinct`` the fields by which it tells runs apart. A run whose name ends in ``without`` is
    compared with the one without it.
    """

    measures: list[str] = []
    options: dict[str, str] = {}
    runs: list[str] = []
    paired: list[str] = []
    count: int | None = None
    models: list[str] = []
    series: list[str] = []
    only: dict[str, list[str]] = {}
    distinct: list[str] = []
    without: str | None = None


def _unequal(pair: list[float]) -> list[float]:
    if pair[0] == pair[1]:
        raise PydanticCustomError("not_allowed", "give two different margins")
    return pair


def _as_written(value: Any, within: Callable[[Any], Any]) -> Any:
    """A whole number stays one where it is shown as it was written."""
    number = within(value)
    return value if isinstance(value, int) else number


Written = WrapValidator(_as_written)
Margin = Annotated[real(-1000, 1000), Written]
OPTIONS: dict[str, Any] = {
    "share": Annotated[real(0, 1, open="low"), Written],
    "threshold": Annotated[Weight, Written],
    "count": Positive,
    "counts": Annotated[list[Positive], Field(min_length=1), AfterValidator(once)],
    "characters": whole(10),
    "measure": Text,
    "run": Text,
    "margins": Annotated[
        list[Annotated[list[Margin], Field(min_length=2, max_length=2), AfterValidator(_unequal)]], Field(min_length=1)
    ],
    "temperatures": Annotated[list[Annotated[Size, Written]], Field(min_length=1), AfterValidator(once)],
}
"""Kinds of options of artefacts, and what each may hold."""


class Cluster(Strict):
    """What jobs ask a cluster for (`orchestration.resources`), in addition to what `orchestration.plan` estimates.

    ``minutes`` and ``mem_mb`` are those of any job, ``minutes_per_million`` and ``mem_mb_per_million`` come on top for
    each million passages that it reads; ``slack`` is by how much a plan may be exceeded. None asks for more than
    ``most_minutes``: what takes longer resumes in its next attempt.
    """

    slack: real(1, 1000)
    minutes: Positive
    most_minutes: Positive
    mem_mb: Positive
    minutes_per_million: Weight
    mem_mb_per_million: Weight


class Params(Strict):
    """params.yaml, before experiments are resolved."""

    scale: Text
    threads: whole(1, 1024)
    pretrain: bool
    cluster: Cluster
    datasets: dict[Name, Dataset]
    encoders: dict[Name, Encoder]
    evaluation: Evaluation
    experiments: dict[Name, dict[str, Any]]
    scales: dict[Name, Scale | None]
