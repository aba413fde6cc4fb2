"""Padded batches of token ids, as BERT takes them, straight from token arrays."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dualenc.encoders.tokens import Tokens

Features = dict[str, torch.Tensor]


def texts(tokens: Tokens, rows: Sequence[int], special: dict[str, int], max_length: int) -> Features:
    """[CLS] text [SEP] for each row, cut to ``max_length``: ``input_ids`` and ``attention_mask`` (B, L)."""
    rows = np.asarray(rows)
    lengths = np.minimum(tokens.offsets[rows + 1] - tokens.offsets[rows], max_length - 2)
    ids, mask = _empty(lengths + 2, special)
    _put(ids, 1, tokens, rows, lengths)
    ids[np.arange(len(rows)), lengths + 1] = special["sep"]
    ids = torch.from_numpy(ids)
    return {"input_ids": ids, "attention_mask": torch.from_numpy(mask), "token_type_ids": torch.zeros_like(ids)}


def pairs(
    queries: Tokens,
    passages: Tokens,
    query_rows: Sequence[int],
    passage_rows: Sequence[int],
    special: dict[str, int],
    max_length: int,
) -> Features:
    """[CLS] query [SEP] passage [SEP] for each pair, cut to ``max_length`` from the longer side first.

    Gives ``input_ids``, ``attention_mask`` and ``token_type_ids`` (B, L), the last 1 on the passage and its [SEP].
    """
    sides = [(queries, np.asarray(query_rows)), (passages, np.asarray(passage_rows))]
    whole = [column.offsets[rows + 1] - column.offsets[rows] for column, rows in sides]
    query, passage = pair_lengths(*whole, max_length - 3)
    ids, mask = _empty(query + passage + 3, special)
    for column, rows, first, lengths in ((*sides[0], 1, query), (*sides[1], query + 2, passage)):
        _put(ids, first, column, rows, lengths)
        ids[np.arange(len(rows)), first + lengths] = special["sep"]
    types = mask * (np.arange(ids.shape[1]) >= (query + 2)[:, None])
    found = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: torch.from_numpy(array) for name, array in found.items()}


def pair_lengths(query: np.ndarray, passage: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """How many tokens of each side remain when a pair gets ``limit``: the library's "longest first" truncation."""
    shorter = np.minimum(np.minimum(query, passage), limit // 2)
    fits, query_first = query + passage <= limit, query <= passage
    cut = np.where(query_first, shorter, limit - shorter), np.where(query_first, limit - shorter, shorter)
    return np.where(fits, query, cut[0]), np.where(fits, passage, cut[1])


def _empty(lengths: np.ndarray, special: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ids (B, L) of rows that have a [CLS] and padding so far, and which of them will be there: 1 or 0."""
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = np.full(mask.shape, special["pad"], dtype=np.int64)
    ids[:, 0] = special["cls"]
    return ids, mask


def _put(ids: np.ndarray, first: int | np.ndarray, tokens: Tokens, rows: np.ndarray, lengths: np.ndarray) -> None:
    """Write the first ``lengths`` (B,) ids of texts into a batch, each from its column ``first`` on."""
    row = np.repeat(np.arange(len(rows)), lengths)
    at = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    ids[row, np.broadcast_to(first, len(rows))[row] + at] = tokens.ids[tokens.offsets[rows][row] + at]


def unpadded(features: Features, tokens_per_batch: int) -> tuple[list[Features], torch.Tensor]:
    """The rows of a batch in smaller ones, as ``by_length`` makes them, each no longer than its longest row.

    And the places (B,) of the batch's rows among those of the smaller ones, one after the other.
    """
    mask = features["attention_mask"]
    ends = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1).cpu().numpy()
    parts = list(by_length(ends, tokens_per_batch))
    cut = [
        {name: tensor[torch.from_numpy(rows).to(mask.device), : ends[rows[0]]] for name, tensor in features.items()}
        for rows in parts
    ]
    return cut, torch.from_numpy(np.argsort(np.concatenate(parts))).to(mask.device)


def by_length(lengths: np.ndarray, tokens_per_batch: int) -> Iterator[np.ndarray]:
    """Indices 0..N-1 in batches of similar length, longest first, each of at most ``tokens_per_batch`` padded tokens.

    Longest first, so that a batch that does not fit into memory fails at once. ``lengths`` (N,) counts every token of
    a row, special ones too. A row longer than the budget is a batch by itself.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, tokens_per_batch // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size
