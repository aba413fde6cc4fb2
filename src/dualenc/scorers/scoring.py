"""Scores of (query, passage) pairs by a trained model, from token arrays: float32 raw logits or dot products."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer

from dualenc.data.runs import Run, ranked
from dualenc.encoders import batches, tokens
from dualenc.encoders.tokens import Tokens
from dualenc.runtime.progress import Progress
from dualenc.scorers import parts
from dualenc.scorers.models import Model

PAIRS_AT_ONCE = 1 << 18  # in a part that is kept: minutes of a large model


class Texts(NamedTuple):
    """The texts that pairs are made of: queries of one split, passages, and how to batch them."""

    queries: Tokens
    passages: Tokens
    special: dict[str, int]
    vocabulary: int
    tokens_per_batch: int


def texts(folder: str | Path, split: str, tokens_per_batch: int) -> Texts:
    """The texts of one split from a folder of tokens."""
    queries, passages = (tokens.read(folder, name) for name in (f"queries.{split}", "passages"))
    about = tokens.manifest(folder)
    return Texts(queries, passages, about["special"], about["vocabulary"], tokens_per_batch)


def score(model: Model, source: Texts, query_rows: np.ndarray, passage_rows: np.ndarray) -> np.ndarray:
    """Scores (N,) float32 of the pairs (``query_rows[i]``, ``passage_rows[i]``), in evaluation mode."""
    scorer = next(scorer for kind, scorer in SCORERS.items() if isinstance(model, kind))
    with _evaluating(model):
        return scorer(model, source, np.asarray(query_rows), np.asarray(passage_rows))


def score_in_parts(
    model: Model, source: Texts, query_rows: np.ndarray, passage_rows: np.ndarray, rows: range, folder: Path
) -> list[Path]:
    """Files in ``folder`` with what ``score`` says of the pairs in ``rows``, as `parts.complete` makes them."""

    def some(part: range) -> np.ndarray:
        return score(model, source, query_rows[part.start : part.stop], passage_rows[part.start : part.stop])

    return parts.complete(folder, rows, PAIRS_AT_ONCE, some, "scoring")


def embed(model: SentenceTransformer, column: Tokens, rows: np.ndarray, source: Texts) -> np.ndarray:
    """Embeddings (N, D) float32 of the texts in ``rows`` of a column, in evaluation mode."""
    lengths = np.minimum(column.offsets[rows + 1] - column.offsets[rows] + 2, model.max_seq_length)
    result = np.empty((len(rows), model.get_embedding_dimension()), dtype=np.float32)
    with _evaluating(model):
        for batch in _batches(lengths, source, "encoding", "texts"):
            features = batches.texts(column, rows[batch], source.special, model.max_seq_length)
            result[batch] = model(_to(model, features))["sentence_embedding"].float().cpu().numpy()
    return result


@contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    """Evaluation mode without gradients, and the mode from before afterwards."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        yield
    model.train(training)


def _dual(model: SentenceTransformer, source: Texts, query_rows: np.ndarray, passage_rows: np.ndarray) -> np.ndarray:
    queries, query_index = np.unique(query_rows, return_inverse=True)
    passages, passage_index = np.unique(passage_rows, return_inverse=True)
    query_vectors = embed(model, source.queries, queries, source)
    passage_vectors = embed(model, source.passages, passages, source)
    return np.einsum("nd,nd->n", query_vectors[query_index], passage_vectors[passage_index])


def _cross_attention(
    model: CrossEncoder, source: Texts, query_rows: np.ndarray, passage_rows: np.ndarray
) -> np.ndarray:
    lengths = source.queries.lengths()[query_rows] + source.passages.lengths()[passage_rows] + 3
    lengths = np.minimum(lengths, model.max_length)
    result = np.empty(len(query_rows), dtype=np.float32)
    for batch in _batches(lengths, source, "scoring", "pairs"):
        features = batches.pairs(
            source.queries, source.passages, query_rows[batch], passage_rows[batch], source.special, model.max_length
        )
        result[batch] = model(_to(model, features))["scores"].view(-1).float().cpu().numpy()
    return result


def _late_interaction(
    model: MultiVectorEncoder, source: Texts, query_rows: np.ndarray, passage_rows: np.ndarray
) -> np.ndarray:
    """Each distinct text is encoded once: token embeddings of all queries are kept, those of a batch of passages."""
    queries, query_index = np.unique(query_rows, return_inverse=True)
    passages, passage_index = np.unique(passage_rows, return_inverse=True)
    encoded = list(_token_embeddings(model, source.queries, queries, source))
    asked = torch.cat([embeddings[mask] for _, embeddings, mask in encoded])  # one query after the other
    lengths = torch.cat([mask.sum(1) for *_, mask in encoded])
    places = np.argsort(np.concatenate([batch for batch, *_ in encoded]))[query_index]
    starts = lengths.cumsum(0) - lengths
    by_passage, ends = np.argsort(passage_index, kind="stable"), np.cumsum(np.bincount(passage_index))
    result = np.empty(len(query_rows), dtype=np.float32)
    for batch, embeddings, mask in _token_embeddings(model, source.passages, passages, source):
        pairs = [by_passage[ends[one - 1] if one else 0 : ends[one]] for one in batch]
        own = np.repeat(np.arange(len(batch)), [len(some) for some in pairs])
        pairs, size = np.concatenate(pairs), max(1, source.tokens_per_batch // mask.shape[1])
        for start in range(0, len(pairs), size):  # a passage may stand in any number of pairs
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
    lengths = np.minimum(column.offsets[rows + 1] - column.offsets[rows] + 2, model.max_seq_length)
    for batch in _batches(lengths, source, "encoding", "texts"):
        features = batches.texts(column, rows[batch], source.special, model.max_seq_length)
        output = model(_to(model, features))
        yield batch, output["token_embeddings"], output["attention_mask"].bool()


def _batches(lengths: np.ndarray, source: Texts, what: str, unit: str) -> Iterator[np.ndarray]:
    """`batches.by_length`, and progress as batches are done: the longest come first and take longest."""
    progress = Progress(what, unit, len(lengths), work=float(lengths.sum()))
    for batch in batches.by_length(lengths, source.tokens_per_batch):
        yield batch
        progress.advance(len(batch), float(lengths[batch].sum()))


SCORERS = {CrossEncoder: _cross_attention, SentenceTransformer: _dual, MultiVectorEncoder: _late_interaction}


def _to(model: Model, features: batches.Features) -> batches.Features:
    return {name: tensor.to(model.device) for name, tensor in features.items()}


class Candidates(NamedTuple):
    """What is to be re-ranked: passages of queries, the texts of these, and the rows of the qids."""

    source: Texts
    run: Run
    query_rows: Mapping[str, int]


def rerank(
    model: Model,
    source: Texts,
    candidates: Run,
    query_rows: Mapping[str, int],
    passage_rows: Mapping[str, int],
) -> Run:
    """The run that ``model`` makes of the candidates; the mappings give the rows of qids and pids."""
    return rerank_sets(model, [Candidates(source, candidates, query_rows)], passage_rows)[0]


def rerank_sets(
    model: Model, sets: Sequence[Candidates], passage_rows: Mapping[str, int], keep: Path | None = None
) -> list[Run]:
    """The runs of several sets of candidates over the same passages, of which a text in several is encoded once.

    With ``keep``, a folder of what belongs to this model, scores are kept there, and an interrupted call's are used.
    """
    columns = [one.source.queries for one in sets]
    source = sets[0].source._replace(queries=tokens.concatenate(columns))
    firsts = np.cumsum([0, *(len(column.offsets) - 1 for column in columns)])
    asked = [first + one.query_rows[qid] for one, first in zip(sets, firsts, strict=False) for qid in one.run]
    rankings = [ranking for one in sets for ranking in one.run.values()]
    sizes = [len(ranking.pids) for ranking in rankings]
    queries = np.repeat(asked, sizes)
    passages = np.array([passage_rows[pid] for ranking in rankings for pid in ranking.pids])
    if keep is None:
        scores = score(model, source, queries, passages)
    else:
        folder = keep / parts.digest(queries, passages)
        scores = parts.joined(score_in_parts(model, source, queries, passages, range(len(queries)), folder))
    of_each = iter(np.split(scores, np.cumsum(sizes)[:-1]))
    return [{qid: ranked(qid, ranking.pids, next(of_each)) for qid, ranking in one.run.items()} for one in sets]
