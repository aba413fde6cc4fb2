"""Padded batches of token ids, as BERT takes them, straight from token arrays."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dualenc.tokens import Tokens

Features = dict[str, torch.Tensor]


def texts(tokens: Tokens, rows: Sequence[int], special: dict[str, int], max_length: int) -> Features:
    """[CLS] text [SEP] for each row, cut to ``max_length``: ``input_ids`` and ``attention_mask`` (B, L)."""
    cls, sep = [special["cls"]], [special["sep"]]
    sequences = [np.concatenate([cls, tokens.row(row)[: max_length - 2], sep]) for row in rows]
    ids, mask = _pad(sequences, special["pad"])
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


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
    cls, sep = [special["cls"]], [special["sep"]]
    sequences, starts = [], []
    for query_row, passage_row in zip(query_rows, passage_rows, strict=True):
        query, passage = queries.row(query_row), passages.row(passage_row)
        query_length, passage_length = pair_lengths(len(query), len(passage), max_length - 3)
        sequences.append(np.concatenate([cls, query[:query_length], sep, passage[:passage_length], sep]))
        starts.append(query_length + 2)
    ids, mask = _pad(sequences, special["pad"])
    types = (torch.arange(ids.shape[1]) >= torch.tensor(starts)[:, None]) & mask.bool()
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types.long()}


def pair_lengths(query: int, passage: int, room: int) -> tuple[int, int]:
    """How many tokens of each side stay when a pair gets ``room``: the library's "longest first" truncation."""
    if query + passage <= room:
        return query, passage
    shorter = min(query, passage, room // 2)
    return (shorter, room - shorter) if query <= passage else (room - shorter, shorter)


def _pad(sequences: list[np.ndarray], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = np.array([len(sequence) for sequence in sequences])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = np.concatenate(sequences)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


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
    a row, special ones too. A row longer than the budget makes a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, tokens_per_batch // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size
