"""The schema of params.yaml: which keys there are, and what each may hold."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
Need = Literal[
    *("metrics", "runs", "curves", "retrieval", "checkpoints", "lists", "text", "models"),
    *("score-matrices", "score-updates"),
]


class Strict(BaseModel):
    """A mapping with exactly the fields that it declares."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Splits(Strict):
    """One number for each split."""

    train: float
    validation: float
    test: float


def _sets(sets: dict[str, str]) -> dict[str, str]:
    missing = next((split for split in Splits.model_fields if split not in sets), None)
    if missing:
        raise PydanticCustomError("splits", "it names no {split} split", {"split": missing})
    wrong = next((name for name in sets if not SET.fullmatch(name)), None)
    if wrong is not None:
        raise PydanticCustomError("splits", "{name} must be one word of letters, digits and hyphens", {"name": wrong})
    return sets


SET = re.compile(r"(?!(passages|retrieval)$)[A-Za-z0-9-]+")  # as file names and columns of tables hold it
Sets = Annotated[dict[str, str], AfterValidator(_sets)]
"""Where train, validation and test come from, and any further test sets."""


class Source(Strict):
    """A file that comes from elsewhere: the one at ``path``, or at ``url`` with its size in bytes and its MD5."""

    path: str | None = None
    url: str | None = None
    size: Positive | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None


class PydocsDataset(Strict):
    """Docstrings of installed packages: first sentence -> the rest (``dualenc.datasets.pydocs``)."""

    kind: Literal["pydocs"]
    packages: list[str]
    max_words: Positive
    min_query_words: Positive
    min_passage_words: Positive
    max_passages: Positive
    fractions: Splits
    max_queries: Splits


class TsvDataset(Strict):
    """Tab-separated files: collection, queries and qrels (``dualenc.datasets.tsv``)."""

    kind: Literal["tsv"]
    path: str
    splits: Sets
    max_words: Positive | None
    max_passages: Annotated[int, Field(ge=0)] | None
    max_queries: Splits


class IrDataset(Strict):
    """Ids of ir_datasets (``dualenc.datasets.irds``). ``encoding`` is a choice for MS MARCO's passages only."""

    kind: Literal["ir_datasets"]
    splits: Sets
    encoding: Literal["raw", "fixed"] = "fixed"
    max_words: Positive | None
    max_passages: Annotated[int, Field(ge=0)] | None
    max_queries: Splits


class DprDataset(Strict):
    """Questions with pools of passages as DPR prepared them (``dualenc.datasets.dpr``).

    ``hard_negatives`` and ``random_negatives`` are how many of them a pool has at most.
    """

    kind: Literal["dpr"]
    train: Source
    dev: Source
    titles: bool
    hard_negatives: Positive
    random_negatives: Annotated[int, Field(ge=0)]
    max_queries: Splits


Dataset = Annotated[PydocsDataset | TsvDataset | IrDataset | DprDataset, Field(discriminator="kind")]


class Bm25(Strict):
    """Parameters of the first stage (``dualenc.candidates``)."""

    k1: Annotated[float, Field(ge=0)]
    b: Fraction
    stop_words: Literal["english", "none"]
    stemmer: Literal["english", "none"]


class Objectives(Strict):
    """Weights of the parts of the pre-training loss (``dualenc.pretraining``)."""

    masked: Annotated[float, Field(ge=0)]
    pair: Annotated[float, Field(ge=0)]
    contrastive: Annotated[float, Field(ge=0)]


class Encoder(Strict):
    """A BERT of this shape: the one in ``folder``, from the Hugging Face hub, or pre-trained by the ``pretrain`` rule.

    ``hub`` is a model, such as google/bert_uncased_L-2_H-128_A-2, and ``revision`` a commit of it;
    without one its builds can be planned, but it is not downloaded.
    ``grows_from`` names the encoder of the same width whose layers the pre-training starts from; without it, ``start``
    says what it starts from (``dualenc.initialisation`` or random weights). ``steps`` and ``objectives`` are those of
    its pre-training where they are not the scale's.
    """

    layers: Positive
    width: Positive
    heads: Positive
    folder: str | None = None
    hub: str | None = None
    revision: str | None = None
    grows_from: str | None = None
    start: Literal["words", "random"] = "words"
    steps: Annotated[int, Field(ge=0)] | None = None
    objectives: Objectives | None = None


class Lengths(Strict):
    """Maximal lengths in tokens, special tokens included: one text of a dual-encoder, one pair of a CA model."""

    text: Positive
    pair: Positive


class Pretraining(Strict):
    """How miniatures are pre-trained, and on the train text of which datasets.

    ``corpora`` maps a dataset to how often each of its lists counts in an epoch. ``grown_steps`` are those of an
    encoder that grows from another one.
    """

    corpora: dict[str, Positive]
    objectives: Objectives
    steps: Positive
    grown_steps: Positive
    batch_size: Positive
    list_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]
    warmup: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    masked_lists: Fraction
    masked: Fraction
    gain: Annotated[float, Field(gt=0)]
    evaluate_every: Positive
    seed: int


class Evaluation(Strict):
    """How runs are judged and compared (``dualenc.evaluation``, ``dualenc.statistics``).

    ``sets`` has the measures of further test sets that are not to have ``measures``.
    """

    measures: list[str]
    sets: dict[str, list[str]] = {}
    confidence: Fraction
    resamples: Positive
    permutations: Positive
    seed: int


class Experiment(Strict):
    """One model and how it is trained, resolved."""

    model: Literal["cross-attention", "dual-encoder", "late-interaction"]
    encoder: str
    loss: str
    loss_parameters: dict[str, float]
    teacher: str | None
    list_size: Annotated[int, Field(ge=2)]
    selection: Literal["sampled", "top"]
    in_batch: bool
    uniform: Annotated[int, Field(ge=0)]
    batch_size: Positive
    steps: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Fraction
    dropout: Fraction
    token_dropout: Fraction
    mlm_weight: Annotated[float, Field(ge=0)]
    mlm_masked: Fraction
    pooling: Literal["cls", "mean"]
    gain: Annotated[float, Field(gt=0)]
    evaluate_every: Positive
    patience: Positive


class ScoreMatrix(Strict):
    """Size of the blocks of scores that are factorised (``dualenc.analysis.factorisation``)."""

    queries: Positive
    passages: Positive


class ScoreUpdates(Strict):
    """Gradient steps on single pairs (``dualenc.score_updates``): how many, watched by how many others, how large."""

    pairs: Positive
    others: Positive
    step: Annotated[float, Field(gt=0)]


class Sizes(Strict):
    """About how large the data are, for `dualenc plan` alone: nothing is made by these numbers.

    ``queries`` are those of each evaluation set but train; tokens are means, without special tokens.
    """

    passages: Positive
    passage_tokens: Positive
    query_tokens: Positive
    queries: dict[str, Positive]


class PublishedScores(Source):
    """Scores of training triples (``dualenc.published_scores``) that stand for those of the run ``teacher``.

    ``tolerance`` is how much the scores of one pair may differ, ``allowed_defects`` how many rows may be wrong.
    """

    teacher: str
    tolerance: Annotated[float, Field(ge=0)]
    allowed_defects: Annotated[int, Field(ge=0)]


class Scale(Strict):
    """Everything that is large or small: data, lists, lengths, models, steps.

    ``candidates`` are those of BM25 or the dataset's own, in either case at most ``depth`` for a query. ``processes``
    train one model together, spread over ``nodes``; each of them, and every other job with a model, has ``gpus``.
    """

    dataset: str
    candidates: Literal["bm25", "official"] = "bm25"
    bm25: Bm25
    depth: Positive
    list_length: Annotated[int, Field(ge=2)]
    train_lists: Positive
    published_scores: PublishedScores | None = None
    train_evaluation: Positive
    probe_queries: Positive
    retrieval_depth: Positive
    shards: Positive
    early: Positive
    score_matrix: ScoreMatrix
    score_updates: ScoreUpdates
    lengths: Lengths
    sizes: Sizes
    vocabulary: Positive
    encoders: dict[str, list[str]]
    seeds: Annotated[list[int], Field(min_length=1)]
    pretraining: Pretraining
    tokens_per_batch: Positive
    gpus: Annotated[int, Field(ge=0)]
    processes: Positive = 1
    nodes: Positive = 1
    experiments: dict[str, dict[str, Any]]
    artefacts: dict[str, dict[str, Any]]


class Artefact(Strict):
    """A figure, a table or a claim: the experiments that it shows, each with its own encoder or over families.

    Those ``besides`` have their own encoder in any case. ``needs`` are the kinds of files that it is made from,
    ``options`` numbers that only it uses.
    """

    kind: Literal["figure", "table", "claim"]
    experiments: list[str]
    encoders: Names = []
    besides: list[str] = []
    needs: list[Need] = ["metrics"]
    seeds: Literal["first", "all"] = "first"
    options: dict[str, Any] = {}


class Cluster(Strict):
    """What jobs ask a cluster for (``dualenc.resources``), beside what ``dualenc.plan`` reckons that they take.

    ``minutes`` and ``mem_mb`` are those of any job, ``minutes_per_million`` and ``mem_mb_per_million`` come on top for
    each million passages that it reads; ``slack`` is by how much a plan may be exceeded. None asks for more than
    ``most_minutes``: what takes longer goes on in its next attempt.
    """

    slack: Annotated[float, Field(ge=1)]
    minutes: Positive
    most_minutes: Positive
    mem_mb: Positive
    minutes_per_million: Annotated[float, Field(ge=0)]
    mem_mb_per_million: Annotated[float, Field(ge=0)]


class Params(Strict):
    """params.yaml, before experiments and artefacts are resolved."""

    scale: str
    threads: Positive
    pretrain: bool
    cluster: Cluster
    datasets: dict[str, Dataset]
    encoders: dict[str, Encoder]
    evaluation: Evaluation
    experiments: dict[str, dict[str, Any]]
    artefacts: dict[str, dict[str, Any]]
    scales: dict[str, Scale | None]
