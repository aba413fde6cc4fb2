"""Masked language modelling: what is masked, and that the loss is BERT's own."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from dualenc import batches, models, pretraining, scoring
from dualenc.pretraining import IGNORED, mask, masked_loss
from dualenc.steps.inputs import pairs
from tiny_study import LENGTHS, SETTINGS

SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
VOCABULARY = 600


@pytest.fixture(scope="module")
def source(tiny):
    return scoring.texts(tiny / "tokens", "train", SETTINGS["tokens_per_batch"])


@pytest.fixture(scope="module")
def features(tiny, source):
    """All true pairs of the train split."""
    queries, passages = pairs(tiny / "dataset", "train").T
    columns = source.queries, source.passages
    return batches.pairs(*columns, queries, passages, source.special, LENGTHS["pair"])


def masked(features, share, seed=0):
    before = features["input_ids"].clone()
    after = mask(features, share, SPECIAL, VOCABULARY, np.random.default_rng(seed))
    assert torch.equal(features["input_ids"], before)  # the features themselves stay
    assert torch.equal(after["attention_mask"], features["attention_mask"])
    return before, after["input_ids"], after["labels"]


def binomial(count, total, share):
    """Whether ``count`` lies within five standard deviations of a binomial's mean."""
    return abs(count - total * share) < 5 * (total * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_the_shares_are_berts(features, share):
    before, after, labels = masked(features, share)
    words = ~torch.isin(before, torch.tensor(list(SPECIAL.values())))
    chosen = labels != IGNORED
    total, count = words.sum().item(), chosen.sum().item()
    assert total > 5000 and binomial(count, total, share)
    assert torch.equal(labels[chosen], before[chosen]) and not (chosen & ~words).any()
    assert torch.equal(after[~chosen], before[~chosen])
    hidden, kept = after == SPECIAL["mask"], after == before
    other = chosen & ~hidden & ~kept
    assert binomial((chosen & hidden).sum().item(), count, 0.8)
    assert binomial((chosen & kept).sum().item(), count, 0.1)  # and a random word is sometimes the same one
    assert binomial(other.sum().item(), count, 0.1)
    assert after[other].min() > max(SPECIAL.values()) and after[other].max() < VOCABULARY
    assert len(after[other].unique()) > 20


def test_special_tokens_are_never_masked(features):
    before, after, labels = masked(features, 1.0)
    special = torch.isin(before, torch.tensor(list(SPECIAL.values())))
    assert torch.equal(after[special], before[special]) and (labels[special] == IGNORED).all()
    assert torch.equal(labels[~special], before[~special])


def test_at_least_one_word_is_masked(features):
    few = {name: tensor[:2] for name, tensor in features.items()}
    for seed in range(20):
        before, after, labels = masked(few, 1e-9, seed)
        (place,) = (labels != IGNORED).nonzero().tolist()
        assert labels[*place] == before[*place] > max(SPECIAL.values())
        assert (after != before).sum() <= 1


def test_the_loss_is_berts_own(tiny, features):
    model = models.masked_language_model(
        layers=1, width=16, heads=1, vocabulary=VOCABULARY, max_length=LENGTHS["pair"], pad=0
    ).double()
    few = {name: tensor[:16] for name, tensor in features.items()}
    inputs = mask(few, 0.3, SPECIAL, VOCABULARY, np.random.default_rng(0))
    loss, right = masked_loss(model, inputs)
    expected = model(**inputs)
    torch.testing.assert_close(loss, expected.loss)
    chosen = inputs["labels"] != IGNORED
    assert torch.equal(right, expected.logits.argmax(-1)[chosen] == inputs["labels"][chosen])
    gradients = [
        torch.autograd.grad(value, model.bert.embeddings.word_embeddings.weight)[0] for value in (loss, expected.loss)
    ]
    torch.testing.assert_close(*gradients)


def test_a_batch_depends_on_the_seed_and_its_position_alone(tiny, source):
    train = pairs(tiny / "dataset", "train")
    order = np.random.default_rng(0).permutation(len(train))

    def batch(start, seed=1):
        collator = pretraining.MaskingCollator(source, train, order, 0.15, LENGTHS["pair"], seed)
        return collator([{"position": position} for position in range(start, start + 8)])

    for name, tensor in batch(16).items():
        assert torch.equal(tensor, batch(16)[name])
    assert not torch.equal(batch(16)["labels"], batch(16, seed=2)["labels"])
    queries, passages = train[order[16:24]].T
    whole = batches.pairs(source.queries, source.passages, queries, passages, SPECIAL, LENGTHS["pair"])
    found = batch(16)
    assert torch.equal(torch.where(found["labels"] == IGNORED, found["input_ids"], found["labels"]), whole["input_ids"])


def test_pretraining_learns_and_says_so(tiny):
    curve = pd.read_csv(tiny / "encoder" / "curve.csv")
    train = curve[(curve.split == "train") & (curve.metric == "loss")].value
    assert train.iloc[-1] < train.iloc[0] and train.iloc[0] == pytest.approx(np.log(VOCABULARY), rel=0.2)
    metrics = json.loads((tiny / "encoder" / "metrics.json").read_text())
    last = curve[(curve.split == "validation") & (curve.step == 20)].set_index("metric").value
    assert metrics == {"steps": 20, **last.to_dict()} and set(last.index) == {"loss", "accuracy"}
    assert set(curve.step[curve.split == "validation"]) == {10, 20}
