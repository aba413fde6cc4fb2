"""Learned sparse (SPLADE-max, Formal et al., 2021): a text is a weight for each word piece of the vocabulary.

Weights are log(1 + relu(logit)) of the encoder's head for masked words, the largest over a text's tokens, and the score
of a pair is the dot product. Few word pieces have a weight, because the FLOPS regulariser (Paria et al., 2020) is added
to the training loss; so an inverted index can search by them. Saved, it is ``SparseEncoder(path)``.
"""

from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from sentence_transformers import SparseEncoder, SparseEncoderTrainer, SparseEncoderTrainingArguments
from sentence_transformers.sparse_encoder.losses import FlopsLoss
from sentence_transformers.sparse_encoder.modules import SpladePooling

from dualenc.encoders.batches import Features
from dualenc.encoders.tokens import Tokens
from dualenc.scorers import reading, starting, vectors
from dualenc.scorers.reading import Texts

ABOUT = {"reads": "text", "heads": ["words"], "searches": "sparse", "shown": False}
OPTIONS: tuple[str, ...] = ()
LOADER, TRAINER, ARGUMENTS = SparseEncoder, SparseEncoderTrainer, SparseEncoderTrainingArguments
FILES = ["1_SpladePooling/config.json"]
OUTPUT, of_side, compare = vectors.OUTPUT, vectors.of_side, vectors.compare
SCORES = "the dot product of the two texts' weights of word pieces"
PIPELINE, TAGS = "feature-extraction", ["sparse-encoder", "sparse", "splade"]
PAIRS_AT_ONCE = 1 << 12  # whose weights are copied: before training, half of the vocabulary has one in each text


def start(encoder: str | Path, *, max_length: int) -> SparseEncoder:
    """A model that starts from the encoder in a folder and its head for masked words.

    Raises ``UserError`` if the folder lacks a file or a weight.
    """
    starting.check(encoder, ABOUT["heads"])
    transformer = starting.transformer(encoder, max_length, transformer_task="fill-mask")
    return SparseEncoder(
        modules=[transformer, SpladePooling("max", embedding_dimension=transformer.model.config.vocab_size)],
        similarity_fn_name="dot",
        device=starting.device(),
    )


def penalty(model: SparseEncoder, query: Features, passages: Features) -> torch.Tensor:
    """What the weights of a minibatch's texts cost a search: the FLOPS regulariser of both sides."""
    flops = FlopsLoss(model).compute_loss_from_embeddings
    return flops(query[OUTPUT]) + flops(passages[OUTPUT])


def differentiable(model: SparseEncoder, source: Texts, queries: np.ndarray, passages: np.ndarray) -> torch.Tensor:
    """Scores (N,) of the pairs in these rows, in one batch, differentiable in the parameters.

    The library's pooling changes logits in place in evaluation mode, which gradients cannot follow.
    """

    def weights(side: Features) -> torch.Tensor:
        logits = side["token_embeddings"] * side["attention_mask"][..., None]
        return logits.relu().log1p().amax(1)

    query, passage = reading.sides(model, source, queries, passages, module=model[0])
    return (weights(query) * weights(passage)).sum(-1)


def score(model: SparseEncoder, source: Texts, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Scores (N,) float32 of the pairs in these rows; each distinct text is encoded once."""
    distinct_queries, query = np.unique(queries, return_inverse=True)
    distinct_passages, passage = np.unique(passages, return_inverse=True)
    query_weights = embed(model, source.queries, distinct_queries, source)
    passage_weights = embed(model, source.passages, distinct_passages, source)
    result = np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        result[some] = query_weights[query[some]].multiply(passage_weights[passage[some]]).sum(1)
    return result


def embed(model: SparseEncoder, column: Tokens, rows: np.ndarray, source: Texts) -> sparse.csr_array:
    """Weights (N, V) float32 of the word pieces of the texts in ``rows`` of a column, in evaluation mode."""
    order, blocks = [], []
    with reading.evaluating(model):
        for batch, output in reading.outputs(model, column, rows, source):
            order.append(batch)
            blocks.append(sparse.csr_array(output[OUTPUT].float().cpu().numpy()))
    return sparse.vstack(blocks, format="csr")[np.argsort(np.concatenate(order))]
