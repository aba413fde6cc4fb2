"""Batches of ids are what the saved tokenizer makes of the texts themselves."""

import itertools

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoTokenizer

from dualenc.data import collection
from dualenc.encoders import batches, tokens


def test_a_pair_is_cut_as_the_library_cuts_it():
    tokenizer = Tokenizer(WordLevel({"query": 0, "passage": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    for room in range(1, 10):
        tokenizer.enable_truncation(room, strategy="longest_first")
        for query, passage in itertools.product(range(12), range(12)):
            ids = tokenizer.encode("query " * query, "passage " * passage).ids
            assert batches.pair_lengths(query, passage, room) == (ids.count(0), ids.count(1)), (
                query,
                passage,
                room,
            )


@pytest.fixture(scope="module")
def texts(tiny):
    """Texts of queries and passages, their token columns, special ids and the saved tokenizer."""
    folder = tiny / "dataset"
    queries, passages = (
        collection.queries(folder, "test").text.tolist(),
        collection.passages(folder).text.tolist(),
    )
    columns = tokens.read(tiny / "tokens", "queries.test"), tokens.read(tiny / "tokens", "passages")
    return queries, passages, *columns, AutoTokenizer.from_pretrained(tiny / "tokenizer")


SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}


def assert_equal(ours, theirs):
    assert set(ours) == set(theirs)
    for name, tensor in ours.items():
        assert tensor.dtype == torch.int64 and torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("max_length", [8, 16, 17, 512])
def test_texts(texts, max_length):
    _, passages, _, column, tokenizer = texts
    rows = list(range(0, len(passages), 7))
    lengths = column.lengths()[rows]
    assert max_length > 500 or (lengths > max_length).any()
    expected = tokenizer(
        [passages[row] for row in rows],
        truncation=True,
        max_length=max_length,
        padding=True,
        return_tensors="pt",
    )
    assert_equal(batches.texts(column, rows, SPECIAL, max_length), expected)


@pytest.mark.parametrize("max_length", [8, 15, 16, 24, 25, 512])
def test_pairs(texts, max_length):
    queries, passages, query_column, passage_column, tokenizer = texts
    query_rows = np.repeat(np.argsort(-query_column.lengths())[::3], 20)
    passage_rows = np.resize(np.argsort(-passage_column.lengths())[:: len(passages) // 20], len(query_rows))
    longer = query_column.lengths()[query_rows] > passage_column.lengths()[passage_rows]
    both = (query_column.lengths()[query_rows] > 16) & (passage_column.lengths()[passage_rows] > 16)
    assert (longer & both).any() and (~longer & both).any() and (~both).any()
    expected = tokenizer(
        [queries[row] for row in query_rows],
        [passages[row] for row in passage_rows],
        **{"truncation": "longest_first", "max_length": max_length, "padding": True, "return_tensors": "pt"},
    )
    ours = batches.pairs(query_column, passage_column, query_rows, passage_rows, SPECIAL, max_length)
    assert_equal(ours, expected)


@pytest.mark.parametrize("seed", range(5))
def test_batches_of_similar_length(seed):
    generator = np.random.default_rng(seed)
    lengths, budget = generator.integers(1, 60, 200), int(generator.integers(50, 400))
    found = list(batches.by_length(lengths, budget))
    assert sorted(np.concatenate(found)) == list(range(200))
    sizes = [lengths[batch].max() * len(batch) for batch in found]
    assert max(sizes) <= max(budget, lengths.max()) and lengths[found[0][0]] == lengths.max()
    assert np.all(np.diff(lengths[np.concatenate(found)]) <= 0)
    # No batch could have taken the first row of the next one.
    for batch, following, size in zip(found, found[1:], sizes, strict=False):
        assert size + lengths[batch].max() > budget and lengths[following[0]] <= lengths[batch].max()


def test_rows_longer_than_the_budget_stand_alone():
    assert [batch.tolist() for batch in batches.by_length(np.array([3, 50, 3, 60]), 10)] == [[3], [1], [0, 2]]
    assert list(batches.by_length(np.array([], dtype=int), 10)) == []
