"""Late interaction (ColBERT, Khattab and Zaharia, 2020): one BERT for query and passage, and a vector for each token.

The score is the mean over the query's tokens of the largest dot product with a token of the passage. Saved, it is
``MultiVectorEncoder(path)``.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import (
    MultiVectorEncoder,
    MultiVectorEncoderTrainer,
    MultiVectorEncoderTrainingArguments,
)
from sentence_transformers.base.modules import Dense
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from dualenc.encoders.batches import Features
from dualenc.encoders.tokens import Tokens
from dualenc.scorers import reading, starting
from dualenc.scorers.reading import Texts

ABOUT = {"reads": "text", "heads": [], "searches": None, "shown": False}
OPTIONS = ("gain",)
LOADER, TRAINER, ARGUMENTS = MultiVectorEncoder, MultiVectorEncoderTrainer, MultiVectorEncoderTrainingArguments
FILES = ["1_Dense/config.json", "1_Dense/model.safetensors", "2_MultiVectorMask/config.json"]
OUTPUT = "token_embeddings"
"""What the library calls the vectors of a text's tokens."""
SCORES = "the mean over the query's tokens of the largest dot product with a token of the passage"
PIPELINE, TAGS = "feature-extraction", ["multi-vector", "colbert", "late-interaction"]


def weights(width: int) -> tuple[str, dict[str, tuple[int, ...]]]:
    """The file of the weights that are not the encoder's, and their shapes."""
    return "1_Dense/model.safetensors", {"linear.weight": (width, width)}


def start(encoder: str | Path, *, max_length: int, gain: float) -> MultiVectorEncoder:
    """A model that starts from the encoder in a folder; only ``max_length`` tokens of a text count.

    What the library offers and the paper does not mention is left out, so that this model differs from the dual-encoder
    in its score alone: queries are not expanded with [MASK] tokens, no marker tells them from passages, punctuation is
    scored like words (passages may be code), and so are [CLS] and [SEP]. Tokens keep the encoder's width and are not
    normalised to unit length, since within +-1 no scores could have a teacher's margins; they end in the layer
    normalisation of the encoder's last layer, and a projection that starts as ``gain`` times the identity: scores then
    lie about where a dual-encoder's do. Raises ``UserError`` if the folder lacks a file or a weight.
    """
    starting.check(encoder, ABOUT["heads"])
    transformer = starting.transformer(encoder, max_length)
    width = transformer.get_embedding_dimension()
    projection = Dense(
        width,
        width,
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=gain * torch.eye(width),
        module_input_name="token_embeddings",
    )
    modules = [transformer, projection, MultiVectorMask()]
    return MultiVectorEncoder(modules=modules, similarity_fn_name="meanmaxsim", device=starting.device())


def of_side(tokens: torch.Tensor, side: Features, dropout: float, training: bool) -> Features:
    """What the texts of a side are compared by: vectors (B, L, D) of tokens, and which of these there are.

    Dropout is applied here, as the library's module for it only takes single vectors.
    """
    dropped = torch.nn.functional.dropout(tokens, dropout, training)
    return {OUTPUT: dropped, "attention_mask": side["attention_mask"]}


def compare(model: MultiVectorEncoder, query: Features, passages: Features, places: torch.Tensor) -> torch.Tensor:
    """Scores (B, K) of the passages at ``places`` (B, K) with the queries (B,)."""
    rows = torch.arange(len(places), device=places.device).repeat_interleave(places.shape[1])
    at = places.flatten()
    masks = {"a_mask": query["attention_mask"][rows], "b_mask": passages["attention_mask"][at]}
    return model.similarity_pairwise(query[OUTPUT][rows], passages[OUTPUT][at], **masks).view(places.shape)


def differentiable(model: MultiVectorEncoder, source: Texts, queries: np.ndarray, passages: np.ndarray) -> torch.Tensor:
    """Scores (N,) of the pairs in these rows, in one batch, differentiable in the parameters.

    They are in the precision of the model, and the library's similarity, which is the same, adds up in float32.
    """
    query, passage = reading.sides(model, source, queries, passages)
    nearest = query[OUTPUT] @ passage[OUTPUT].mT
    nearest = nearest.masked_fill(passage["attention_mask"][:, None] == 0, -torch.inf).amax(-1)
    return (nearest * query["attention_mask"]).sum(-1) / query["attention_mask"].sum(-1)


def score(model: MultiVectorEncoder, source: Texts, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Scores (N,) float32 of the pairs in these rows.

    Each distinct text is encoded once: token embeddings of all queries are kept, and those of a batch of passages.
    """
    distinct_queries, query_index = np.unique(queries, return_inverse=True)
    distinct_passages, passage_index = np.unique(passages, return_inverse=True)
    encoded = list(_token_embeddings(model, source.queries, distinct_queries, source))
    asked = torch.cat([embeddings[mask] for _, embeddings, mask in encoded])  # one query after the other
    lengths = torch.cat([mask.sum(1) for *_, mask in encoded])
    places = np.argsort(np.concatenate([batch for batch, *_ in encoded]))[query_index]
    starts = lengths.cumsum(0) - lengths
    by_passage, ends = np.argsort(passage_index, kind="stable"), np.cumsum(np.bincount(passage_index))
    result = np.empty(len(queries), dtype=np.float32)
    for batch, embeddings, mask in _token_embeddings(model, source.passages, distinct_passages, source):
        pairs = [by_passage[ends[one - 1] if one else 0 : ends[one]] for one in batch]
        own = np.repeat(np.arange(len(batch)), [len(some) for some in pairs])
        pairs, size = np.concatenate(pairs), max(1, source.tokens_per_batch // mask.shape[1])
        for start in range(0, len(pairs), size):  # a passage may be in any number of pairs
            some = pairs[start : start + size]
            query, passage = (
                torch.from_numpy(one).to(model.device) for one in (places[some], own[start : start + size])
            )
            at = torch.arange(lengths[query].max(), device=model.device)
            query_mask = at < lengths[query, None]
            tokens = asked[(starts[query, None] + at).clamp(max=len(asked) - 1)]
            scores = model.similarity_pairwise(tokens, embeddings[passage], a_mask=query_mask, b_mask=mask[passage])
            result[some] = scores.float().cpu().numpy()
    return result


def _token_embeddings(
    model: MultiVectorEncoder, column: Tokens, rows: np.ndarray, source: Texts
) -> Iterator[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
    """Texts of ``rows`` in batches: which (B,), their token embeddings (B, L, D), and which of these count (B, L)."""
    for batch, output in reading.outputs(model, column, rows, source):
        yield batch, output[OUTPUT], output["attention_mask"].bool()
