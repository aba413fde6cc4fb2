"""The schema of params.yaml: which keys there are, and what each may hold."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

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
    splits: dict[Literal["train", "validation", "test"], str]
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


Dataset = Annotated[PydocsDataset | TsvDataset | DprDataset, Field(discriminator="kind")]


class Bm25(Strict):
    """Parameters of the first stage (``dualenc.candidates``)."""

    k1: Annotated[float, Field(ge=0)]
    b: Fraction
    stop_words: Literal["english", "none"]
    stemmer: Literal["english", "none"]


class Encoder(Strict):
    """A BERT of this shape: the one in ``folder``, from the Hugging Face hub, or pre-trained by the ``pretrain`` rule.

    ``hub`` is a model, such as google/bert_uncased_L-2_H-128_A-2, and ``revision`` a commit of it.
    ``grows_from`` names the encoder of the same width whose layers the pre-training starts from; ``steps`` are those of
    its pre-training where they are not the scale's.
    """

    layers: Positive
    width: Positive
    heads: Positive
    folder: str | None = None
    hub: str | None = None
    revision: str | None = None
    grows_from: str | None = None
    steps: Positive | None = None


class Lengths(Strict):
    """Maximal lengths in tokens, special tokens included: one text of a dual-encoder, one pair of a CA model."""

    text: Positive
    pair: Positive


class Objectives(Strict):
    """Weights of the parts of the pre-training loss (``dualenc.pretraining``)."""

    masked: Annotated[float, Field(ge=0)]
    pair: Annotated[float, Field(ge=0)]
    contrastive: Annotated[float, Field(ge=0)]


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
    """How runs are judged and compared (``dualenc.evaluation``, ``dualenc.statistics``)."""

    measures: list[str]
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


class PublishedScores(Source):
    """Scores of training triples (``dualenc.published_scores``) that stand for those of the run ``teacher``.

    ``tolerance`` is how much the scores of one pair may differ, ``allowed_defects`` how many rows may be wrong.
    """

    teacher: str
    tolerance: Annotated[float, Field(ge=0)]
    allowed_defects: Annotated[int, Field(ge=0)]


class Scale(Strict):
    """Everything that is large or small: data, lists, lengths, models, steps."""

    dataset: str
    bm25: Bm25
    depth: Positive
    list_length: Annotated[int, Field(ge=2)]
    train_lists: Positive
    published_scores: PublishedScores | None = None
    train_evaluation: Positive
    probe_queries: Positive
    retrieval_depth: Positive
    early: Positive
    score_matrix: ScoreMatrix
    score_updates: ScoreUpdates
    lengths: Lengths
    vocabulary: Positive
    encoders: dict[str, list[str]]
    seeds: Annotated[list[int], Field(min_length=1)]
    pretraining: Pretraining
    tokens_per_batch: Positive
    gpus: Annotated[int, Field(ge=0)]
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


class Params(Strict):
    """params.yaml, before experiments and artefacts are resolved."""

    scale: str
    threads: Positive
    pretrain: bool
    datasets: dict[str, Dataset]
    encoders: dict[str, Encoder]
    evaluation: Evaluation
    experiments: dict[str, dict[str, Any]]
    artefacts: dict[str, dict[str, Any]]
    scales: dict[str, Scale | None]
