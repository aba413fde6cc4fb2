"""Hidden tokens: which are masked or dropped, that the loss is BERT's own, and that a dropped token is not there."""

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM

import tiny_study
from dualenc.data import collection
from dualenc.encoders import batches
from dualenc.scorers import models, reading
from dualenc.training.masking import IGNORED, drop, mask, masked_loss
from tiny_study import LENGTHS, SETTINGS

SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
VOCABULARY = 600


@pytest.fixture(scope="module")
def source(tiny):
    return reading.texts(tiny / "tokens", "train", SETTINGS["tokens_per_batch"])


@pytest.fixture(scope="module")
def features(tiny, source):
    """All true pairs of the train split."""
    judged = collection.qrels(tiny / "dataset", "train")
    qids, pids = zip(*((qid, pid) for qid, passages in judged.items() for pid in passages), strict=True)
    rows = collection.rows(tiny / "dataset", "train", qids), collection.rows(tiny / "dataset", "passages", pids)
    queries, passages = (np.array([at[one] for one in side]) for at, side in zip(rows, (qids, pids), strict=True))
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


def test_rows_may_have_shares_of_their_own(features):
    share = np.where(np.arange(len(features["input_ids"])) % 2, 0.5, 0.0)[:, None]
    _, _, labels = masked(features, share)
    counts = (labels != IGNORED).sum(1)
    assert counts[::2].sum() == 0 and counts[1::2].min() >= 0 and counts[1::2].sum() > 1000
    _, after, labels = masked(features, np.zeros_like(share))
    assert (labels == IGNORED).all() and torch.equal(after, features["input_ids"])


def test_at_least_one_word_is_masked(features):
    few = {name: tensor[:2] for name, tensor in features.items()}
    for seed in range(20):
        before, after, labels = masked(few, 1e-9, seed)
        (place,) = (labels != IGNORED).nonzero().tolist()
        assert labels[*place] == before[*place] > max(SPECIAL.values())
        assert (after != before).sum() <= 1


def test_the_loss_is_berts_own(tiny, features):
    shape = {"layers": 1, "width": 16, "heads": 1, "vocabulary": VOCABULARY, "max_length": LENGTHS["pair"], "pad": 0}
    model = BertForMaskedLM(models.pretraining_model(**shape).config).double()
    few = {name: tensor[:16] for name, tensor in features.items()}
    inputs = mask(few, 0.3, SPECIAL, VOCABULARY, np.random.default_rng(0))
    loss, right = masked_loss(model.bert, model.cls, inputs)
    expected = model(**inputs)
    torch.testing.assert_close(loss, expected.loss)
    chosen = inputs["labels"] != IGNORED
    assert torch.equal(right, expected.logits.argmax(-1)[chosen] == inputs["labels"][chosen])
    gradients = [
        torch.autograd.grad(value, model.bert.embeddings.word_embeddings.weight)[0] for value in (loss, expected.loss)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("share", [0.15, 0.5, 1.0])
def test_a_share_of_the_words_is_dropped(features, share):
    ids, before = features["input_ids"], features["attention_mask"]
    found = drop(features, share, SPECIAL, np.random.default_rng(0))
    assert torch.equal(found["input_ids"], ids) and found["attention_mask"].dtype == before.dtype
    words = ~torch.isin(ids, torch.tensor(list(SPECIAL.values())))
    dropped = found["attention_mask"] != before
    assert not (dropped & ~words).any() and (found["attention_mask"][dropped] == 0).all()
    assert binomial(dropped.sum().item(), words.sum().item(), share) or (share == 1.0 and torch.equal(dropped, words))


@pytest.mark.parametrize("kind", models.MODULES)
def test_a_dropped_word_does_not_count(tiny, kind):
    """Whatever stands at its place, the output is the same, and another one than with the word."""
    torch.manual_seed(1)
    model = models.start(tiny / "encoder", tiny_study.experiment(model=kind), LENGTHS).eval()
    whole = {"input_ids": torch.tensor([[2, 9, 10, 11, 3]]), "token_type_ids": torch.zeros(1, 5, dtype=torch.int64)}
    whole["attention_mask"] = torch.ones(1, 5, dtype=torch.int64)
    seed = next(
        s for s in range(99) if drop(whole, 0.4, SPECIAL, rng(s))["attention_mask"].tolist() == [[1, 1, 0, 1, 1]]
    )

    def output(word):
        features = whole | {"input_ids": torch.tensor([[2, 9, word, 11, 3]])}
        results = [model(dict(drop(features, share, SPECIAL, rng(seed)))) for share in (0.4, 0.0)]
        if kind == "late-interaction":
            return [result["token_embeddings"][result["attention_mask"].bool()] for result in results]
        return [result["scores" if kind == "cross-attention" else "sentence_embedding"] for result in results]

    with torch.no_grad():
        (one, one_whole), (other, other_whole) = output(10), output(200)
    torch.testing.assert_close(one, other)
    assert not torch.equal(one_whole, other_whole) and not torch.equal(one, one_whole)


def rng(seed):
    return np.random.default_rng(seed)
