"""The start of a miniature: lengths by rarity, directions by company, attention to copies."""

import numpy as np
import pytest
import torch

from dualenc.encoders.tokens import Tokens
from dualenc.miniatures import initialisation
from dualenc.runtime.errors import UserError
from dualenc.scorers import models
from dualenc.scorers.reading import Texts

WIDTH, VOCABULARY = 16, 60


@pytest.fixture(scope="module")
def source():
    generator = np.random.default_rng(3)
    # Passages of two topics: pieces 10-29 go together, and so do 30-49. Piece 5 is in all, 55 in none.
    rows = [np.concatenate([[5], generator.choice(20, 8, replace=False) + 10 + 20 * (i % 2)]) for i in range(200)]
    offsets = np.cumsum([0] + [len(row) for row in rows])
    column = Tokens(np.concatenate(rows).astype(np.uint16), offsets)
    return Texts(column, column, {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}, VOCABULARY, 1000)


@pytest.fixture(scope="module")
def vectors(source):
    pairs = np.array([(row, row) for row in range(200)])
    return initialisation.word_vectors(source, pairs, WIDTH, 1)


def test_lengths_are_inverse_document_frequencies(source, vectors):
    present = np.array([np.isin(source.queries.row(row), np.arange(VOCABULARY)).sum() for row in range(200)])
    assert present.min() == 9
    counts = np.bincount(source.queries.ids, minlength=VOCABULARY)
    lengths = np.linalg.norm(vectors, axis=1)
    seen = np.flatnonzero((counts > 0) & (counts < 200))
    ratio = lengths[seen] / np.log(201 / (counts[seen] + 1))
    assert ratio == pytest.approx(np.full(len(seen), ratio[0]))
    assert lengths[55] == 0 and lengths[5] < 1e-9
    assert np.sqrt(np.mean(vectors**2)) == pytest.approx(initialisation.SCALE)


def test_words_of_one_topic_are_closer_than_words_of_two(vectors):
    unit = vectors[10:50] / np.linalg.norm(vectors[10:50], axis=1, keepdims=True)
    cosines = unit @ unit.T
    same = (np.arange(40)[:, None] < 20) == (np.arange(40) < 20)
    off_diagonal = ~np.eye(40, dtype=bool)
    assert cosines[same & off_diagonal].mean() > cosines[~same].mean() + 0.02


def test_a_seed_decides_the_start(source, vectors):
    pairs = np.array([(row, row) for row in range(200)])
    assert np.array_equal(vectors, initialisation.word_vectors(source, pairs, WIDTH, 1))


def test_a_token_attends_to_its_copies(vectors):
    model = models.pretraining_model(layers=2, width=WIDTH, heads=2, vocabulary=VOCABULARY, max_length=32, pad=0)
    initialisation.start(model, vectors, 1)
    attention = model.bert.encoder.layer[0].attention.self
    assert torch.equal(attention.query.weight, attention.key.weight)
    tokens = torch.randn(4000, WIDTH, generator=torch.Generator().manual_seed(0))
    heads = (tokens @ attention.query.weight.T).view(4000, 2, -1).transpose(0, 1)
    logits = heads[:, :50] @ heads[:, :50].transpose(1, 2) / attention.attention_head_size**0.5
    itself = (heads**2).sum(-1).mean() / attention.attention_head_size**0.5
    others = logits[:, ~torch.eye(50, dtype=torch.bool)]
    assert itself.item() == pytest.approx(initialisation.COPIES, rel=0.05)
    assert abs(others.mean().item()) < 0.3
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, torch.from_numpy(vectors).float())


def test_a_grown_encoder_says_what_the_shallow_one_says(source):
    shape = {"width": WIDTH, "heads": 2, "vocabulary": VOCABULARY, "max_length": 32, "pad": 0}
    lower, model = (models.pretraining_model(layers=layers, **shape).eval() for layers in (2, 4))
    initialisation.grow(model, lower, 1)
    ids = torch.randint(5, VOCABULARY, (8, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = model(ids), lower(ids)
    torch.testing.assert_close(found.seq_relationship_logits, expected.seq_relationship_logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.prediction_logits, expected.prediction_logits, atol=1e-4, rtol=1e-4)
    assert model.bert.encoder.layer[3].intermediate.dense.weight.std() > 0.1  # but it can learn


def test_an_encoder_grows_from_one_of_its_width():
    shape = {"heads": 2, "vocabulary": VOCABULARY, "max_length": 32, "pad": 0}
    lower, model = (models.pretraining_model(layers=2, width=width, **shape) for width in (8, 16))
    with pytest.raises(UserError, match=r"width 16 .* cannot grow from one of width 8 .* correct grows_from"):
        initialisation.grow(model, lower, 1)
