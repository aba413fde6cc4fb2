"""A study of a few hundred docstrings and a BERT of two layers, made by the workflow's steps in seconds."""

import json
from pathlib import Path

from dualenc.data.kinds import pydocs
from dualenc.study import settings
from dualenc.study.schema import Bm25, Encoder, Experiment, Pretraining, SentenceEncoder

LENGTHS = {"text": 20, "pair": 32}  # shorter than most texts, and 32 - 3 is odd: truncation matters
SETTINGS = {
    **{"lengths": LENGTHS, "tokens_per_batch": 4096, "probes": {"queries": 20, "depth": 20}},
    **{"curves": True, "checkpoints": []},
}
PRETRAINING = {"lengths": LENGTHS, "tokens_per_batch": 4096}
DEPTH = 10
SENTENCE_ENCODER = SentenceEncoder(
    package="tiny_encoder", path="model", sha256="0" * 64, max_length=16, directions=3, temperature=0.1
)
OBJECTIVES = {"pair": 1.0, "contrastive": 1.0, "masked": 1.0, "sentences": 0.0, "pieces": 0.0}
ENCODER = Encoder(layers=2, width=16, heads=1)
DATASET = pydocs.Parameters(
    kind="pydocs",
    packages=[
        "asyncio",
        "collections",
        "concurrent",
        "email",
        "http",
        "importlib",
        "json",
        "logging",
        "unittest",
    ],
    max_words=60,
    min_query_words=3,
    min_passage_words=8,
    max_passages=1000,
    fractions={"train": 0.6, "validation": 0.2, "test": 0.2},
    max_queries={"train": 1000, "validation": 40, "test": 60},
)
BM25 = Bm25(k1=0.9, b=0.4, stop_words="english", stemmer="english")


def build(root: Path) -> Path:
    """Fill a folder: dataset, candidates, tokenizer, tokens, lists.parquet, evaluation and encoder."""
    from dualenc.steps.candidates import candidates
    from dualenc.steps.corpus import corpus
    from dualenc.steps.dataset import dataset
    from dualenc.steps.evaluation_sets import evaluation_sets
    from dualenc.steps.lists import lists
    from dualenc.steps.texts import texts
    from dualenc.steps.tokenizer import tokenizer
    from dualenc.steps.tokens import tokens

    folder = root / "dataset"
    unlabelled = {"texts": pretraining().texts, "most_texts": 200, "sentence_encoder": None, "tokens_per_batch": 4096}
    dataset(DATASET, folder)
    candidates(settings.Candidates(bm25=BM25, depth=DEPTH), folder, root / "candidates")
    tokenizer(settings.Tokenizer(vocabulary=600, pair=LENGTHS["pair"]), [folder], root / "tokenizer")
    tokens(folder, root / "tokenizer", root / "tokens")
    corpus(settings.Corpus(bm25=BM25, depth=DEPTH, list_length=5), folder, root / "corpora" / "dataset.parquet")
    lists(settings.Lists(list_length=5, train_lists=80), folder, root / "candidates", root / "lists.parquet")
    sets = settings.EvaluationSets(train_evaluation=30, depth=DEPTH)
    evaluation_sets(sets, folder, root / "candidates", root / "evaluation")
    (folder / "tokens").symlink_to(root / "tokens")
    texts(settings.UnlabelledTexts(**unlabelled), root, root / "tokenizer", root / "scratch", root / "texts")
    pretrain(root, root, ENCODER)
    return root


def pretrain(tiny: Path, root: Path, encoder: Encoder) -> Path:
    """Pre-train with the state in ``root/scratch``; the folder of the encoder."""
    from dualenc.steps.pretrain import pretrain

    params = settings.Pretrain(encoder=encoder, pretraining=pretraining(), **PRETRAINING)
    texts = tiny, tiny / "corpora", tiny / "texts", "dataset", tiny / "evaluation", tiny / "tokenizer"
    pretrain(params, *texts, root / "scratch", root / "encoder")
    return root / "encoder"


def pretraining(**changes) -> Pretraining:
    """A pre-training of a few steps."""
    parameters = {
        **{"corpora": {"dataset": 1}, "objectives": OBJECTIVES},
        "texts": {"dataset": {"queries": 20, "passages": 200}},
        "most_texts": 200,
        **{
            "steps": 20,
            "grown_steps": 10,
            "grown_learning_rate": 1e-3,
            "batch_size": 8,
            "list_size": 4,
            "evaluate_every": 10,
        },
        **{"texts_per_step": 16, "masked_texts": 0.5, "masked": 0.15, "gain": 1.0},
        **{"learning_rate": 3e-3, "warmup": 0.1, "weight_decay": 0.01, "seed": 1},
    }
    return Pretraining(**parameters | changes)


def experiment(**changes) -> Experiment:
    """A training of a few steps."""
    parameters = {
        **{"model": "dual-encoder", "encoder": "small-2-16", "teacher": None, "loss": "softmax-ce-onehot"},
        **{"loss_parameters": {"temperature": 1.0, "label_smoothing": 0.0}, "pooling": "mean", "gain": 1.0},
        **{"list_size": 4, "selection": "sampled", "batch_size": 4, "steps": 20, "evaluate_every": 10},
        **{"learning_rate": 1e-2, "weight_decay": 0.01, "warmup": 0.1, "dropout": 0.1, "patience": 9},
        **{
            "in_batch": False,
            "uniform": 0,
            "token_dropout": 0.0,
            "mlm_weight": 0.0,
            "mlm_masked": 0.15,
            "sparsity": 0.0,
        },
    }
    return Experiment(**parameters | changes)


def train(
    tiny: Path,
    root: Path,
    experiment: Experiment,
    *,
    seed: int = 1,
    lists: Path | None = None,
    evaluation: Path | None = None,
    told: dict = SETTINGS,
) -> Path:
    """Train with the state in ``root/scratch`` and re-rank; the folder of the trained model and its runs.

    Early models are in ``root/checkpoints``.
    """
    from dualenc.steps.train import train

    params = settings.Train(experiment=experiment, **told)
    data = tiny / "dataset", tiny / "tokens", tiny / "encoder", lists or tiny / "lists.parquet"
    output, evaluation = root / "run" / f"seed-{seed}", evaluation or tiny / "evaluation"
    train(params, *data, evaluation, seed, root / "checkpoints", root / "scratch", output)
    rerank(tiny, output / "model", output, experiment.model, evaluation=evaluation, scratch=root / "scratch")
    return output


def rerank(
    tiny: Path,
    model: Path,
    output: Path,
    kind: str,
    *,
    scratch: Path,
    evaluation: Path | None = None,
    tag: str = "run",
) -> None:
    """Re-rank all evaluation sets but validation."""
    from dualenc.data.collection import evaluated, splits
    from dualenc.steps.rerank import rerank

    params = settings.Scorer(model=kind, tokens_per_batch=SETTINGS["tokens_per_batch"])
    folders = tiny / "dataset", tiny / "tokens", evaluation or tiny / "evaluation", model
    sets = ",".join(evaluated(splits(tiny / "dataset")))
    rerank(params, *folders, sets, tag, scratch, output)


def train_command(tiny: Path, experiment: Experiment, scratch: Path, output: Path) -> list[object]:
    """Arguments of ``dualenc`` for what ``train`` does with seed 1."""
    params = json.dumps({"experiment": experiment.model_dump(), **SETTINGS})
    return [
        *["train", "--params", params, "--seed", 1, "--scratch", scratch, "--output", output],
        *["--dataset", tiny / "dataset", "--tokens", tiny / "tokens", "--encoder", tiny / "encoder"],
        *["--lists", tiny / "lists.parquet", "--evaluation", tiny / "evaluation"],
        *["--checkpoints", output.parents[1] / "checkpoints"],
    ]


def rerank_command(tiny: Path, kind: str, model: Path, scratch: Path, output: Path) -> list[object]:
    """Arguments of ``dualenc`` that re-rank train and test with a model of some kind."""
    params = {"model": kind, "tokens_per_batch": SETTINGS["tokens_per_batch"]}
    return [
        *["rerank", "--params", json.dumps(params), "--scratch", scratch, "--output", output, "--model", model],
        *["--dataset", tiny / "dataset", "--tokens", tiny / "tokens", "--evaluation", tiny / "evaluation"],
        *["--splits", "train,test", "--tag", "run"],
    ]


def pretrain_command(tiny: Path, parameters: Pretraining, scratch: Path, output: Path) -> list[object]:
    """Arguments of ``dualenc`` for a pre-training."""
    params = {"encoder": ENCODER.model_dump(), "pretraining": parameters.model_dump(), **PRETRAINING}
    return [
        *["pretrain", "--params", json.dumps(params), "--scratch", scratch, "--output", output],
        *["--data", tiny, "--corpora", tiny / "corpora", "--texts", tiny / "texts", "--dataset", "dataset"],
        *["--evaluation", tiny / "evaluation", "--tokenizer", tiny / "tokenizer"],
    ]
