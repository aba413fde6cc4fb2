"""Cross-attention (CA): BERT on [CLS] query [SEP] passage [SEP], score = w . dropout(pool), a raw logit.

Saved, it is ``CrossEncoder(path)``.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments

from dualenc.encoders import batches, last_layer
from dualenc.scorers import reading, starting
from dualenc.scorers.reading import Texts

ABOUT = {"reads": "pair", "heads": ["pooler"], "searches": None, "shown": True}
OPTIONS = ("dropout",)
LOADER, TRAINER, ARGUMENTS = CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
FILES: list[str] = []
OUTPUT = "scores"
"""What the library calls the scores of pairs."""
SCORES = "a raw logit, no probability"
PIPELINE, TAGS = "text-ranking", ["cross-encoder", "reranker"]
PAIR_HEAD = "cls.seq_relationship.weight"  # (2, width): belongs together, does not


def weights(width: int) -> tuple[str, dict[str, tuple[int, ...]]]:
    """The file of the weights that are not the encoder's, and their shapes."""
    return "model.safetensors", {"classifier.weight": (1, width), "classifier.bias": (1,)}


def start(encoder: str | Path, *, max_length: int, dropout: float) -> CrossEncoder:
    """A model that starts from the encoder in a folder, and from its sentence-pair head if it has one.

    BERT's head tells passages that follow from those that do not; that of our miniatures, the relevant one from BM25's
    others. Without such a head the scorer's starts from random weights. Raises ``UserError`` if the folder lacks a file
    or a weight.
    """
    starting.check(encoder, ABOUT["heads"])
    model = CrossEncoder(
        str(encoder),
        num_labels=1,
        max_length=max_length,
        activation_fn=torch.nn.Identity(),
        model_kwargs=starting.FLOAT32,
        config_kwargs={"classifier_dropout": dropout},
        local_files_only=True,
        device=starting.device(),
    )
    starting.lengthen(model[0].model.bert, max_length)
    with safe_open(Path(encoder) / "model.safetensors", framework="pt") as weights:
        if PAIR_HEAD in weights.keys():  # noqa: SIM118 (not a dict)
            belongs, random = weights.get_tensor(PAIR_HEAD).float()
            with torch.no_grad():
                model[0].model.classifier.weight.copy_((belongs - random)[None])
    return model


def quicken(model: CrossEncoder) -> None:
    """Let the last layer compute no more than what the score is made of."""
    last_layer.first_state_only(model.transformers_model.base_model)


def score(model: CrossEncoder, source: Texts, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Scores (N,) float32 of the pairs in these rows."""
    lengths = source.queries.lengths()[queries] + source.passages.lengths()[passages] + 3
    lengths = np.minimum(lengths, model.max_length)
    result = np.empty(len(queries), dtype=np.float32)
    for batch in reading.in_batches(lengths, source, "scoring", "pairs"):
        result[batch] = differentiable(model, source, queries[batch], passages[batch]).float().cpu().numpy()
    return result


def differentiable(model: CrossEncoder, source: Texts, queries: np.ndarray, passages: np.ndarray) -> torch.Tensor:
    """Scores (N,) of the pairs in these rows, in one batch, differentiable in the parameters."""
    features = batches.pairs(source.queries, source.passages, queries, passages, source.special, model.max_length)
    return model(reading.to_device(model, features))[OUTPUT].view(-1)
