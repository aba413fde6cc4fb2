"""Minibatches: what stands at a position, and that it is a function of the seed and the position alone."""

import numpy as np
import pytest
import torch

from dualenc.encoders import batches
from dualenc.runtime.errors import UserError
from dualenc.steps import inputs
from dualenc.study.kinds import KINDS
from dualenc.training.masking import IGNORED
from dualenc.training.minibatches import Collator, Targets
from tiny_study import LENGTHS, SETTINGS, experiment

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def texts(tiny):
    return inputs.data(tiny / "dataset", tiny / "tokens", SETTINGS["tokens_per_batch"])


@pytest.fixture(scope="module")
def source(texts):
    return texts.sources["train"]


@pytest.fixture(scope="module")
def lists(tiny, texts):
    """The tiny lists, with a teacher's scores that tell which passage they belong to."""
    found = inputs.read_lists(tiny / "lists.parquet", tiny / "dataset", texts.query_rows["train"])
    return found._replace(teacher=found.passages.astype(np.float32))


def batch(collator, start, stop):
    return collator([{"position": position} for position in range(start, stop)])


def equal(one, other):
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


HIDDEN = {"token_dropout": 0.3, "mlm_weight": 1.0, "mlm_masked": 0.2, "in_batch": True, "uniform": 7}


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "cross-attention", "selection": "sampled", "token_dropout": 0.3},
        {"model": "cross-attention", "selection": "top"},
        {"model": "dual-encoder", "selection": "sampled"},
        {"model": "dual-encoder", "selection": "top", **HIDDEN},
        {"model": "late-interaction", "selection": "sampled", **HIDDEN},
    ],
)
def test_a_batch_depends_on_the_seed_and_its_positions_alone(lists, source, changes):
    about = experiment(**changes, steps=100)

    def collator(seed=1):
        return Collator(lists, source, about, LENGTHS, seed)

    walked = collator()
    expected = [batch(walked, start, start + 4) for start in range(0, 40, 4)]
    fresh = collator()
    assert equal(batch(fresh, 36, 40), expected[9]) and equal(batch(fresh, 8, 12), expected[2])
    assert not equal(batch(collator(seed=2), 8, 12), expected[2])


def test_sampled_negatives_differ_from_epoch_to_epoch(lists, source):
    collator = Collator(lists, source, experiment(list_size=3, steps=60), LENGTHS, 1)
    epochs = collator.rows.reshape(3, 80)
    assert all(sorted(epoch) == list(range(80)) for epoch in epochs.tolist())
    seen = {row: set() for row in range(80)}
    for position, row in enumerate(collator.rows):
        seen[row].add(tuple(Targets.unpacked(batch(collator, position, position + 1)["label"]).teacher[0].tolist()))
    assert np.mean([len(passages) for passages in seen.values()]) > 2


@every_kind
def test_labels_and_teacher_scores_stand_beside_their_texts(lists, source, kind):
    collator = Collator(lists, source, experiment(model=kind), LENGTHS, 1)
    features = batch(collator, 0, 40)
    queries = np.repeat(lists.queries[collator.rows[:40]], 4)
    labels, passages, places = (one.numpy() for one in Targets.unpacked(features.pop("label")))
    passages = passages.astype(int).ravel()  # the teacher's score is the passage's row
    distinct, at = np.unique(passages, return_inverse=True)
    assert len(distinct) < len(passages)  # each of which is encoded once
    np.testing.assert_array_equal(places.ravel(), at)
    if kind == "cross-attention":
        columns = source.queries, source.passages
        expected = batches.pairs(*columns, queries, passages, source.special, LENGTHS["pair"])
    else:
        sides = {"query": (source.queries, queries[::4]), "passage": (source.passages, distinct)}
        expected = {
            f"{side}_{name}": tensor
            for side, (column, at) in sides.items()
            for name, tensor in batches.texts(column, at, source.special, LENGTHS["text"]).items()
        }
    assert equal(features, expected)
    relevant = {(q, p) for q, row, label in zip(lists.queries, lists.passages, lists.labels, strict=True)
                for p in row[label > 0]}  # fmt: skip
    pairs = zip(queries, passages, labels.ravel(), strict=True)
    assert all(((query, passage) in relevant) == label for query, passage, label in pairs)


def test_further_negatives_stand_behind_the_lists(lists, source):
    """Each list's own passages first, then all others of the minibatch and the drawn ones, none relevant."""
    about = experiment(in_batch=True, uniform=11, list_size=4)
    collator, plain = (Collator(lists, source, one, LENGTHS, 1) for one in (about, experiment(list_size=4)))
    found, without = batch(collator, 4, 8), batch(plain, 4, 8)
    labels, teacher, places = (one.numpy() for one in Targets.unpacked(found["label"]))
    assert torch.equal(found["label"][:, :2, :4], without["label"][:, :2])
    assert equal(*({key: f[key] for key in f if key.startswith("query_")} for f in (found, without)))
    own = Targets.unpacked(without["label"]).teacher.numpy().astype(int)  # the teacher's score is the passage's row
    assert (labels[:, 4:] == 0).all() and (teacher[:, 4:] == -np.inf).all()
    pool = passages_of(found, source)
    assert set(own.ravel()) <= set(pool) and len(set(pool)) == len(pool) and len(set(own.ravel())) < len(pool)
    for row, at in zip(own, places, strict=True):
        assert pool[at[:4]].tolist() == row.tolist()
        assert not set(pool[at[4:]]) & set(row) and len(set(at)) == len(at)
    assert places.shape[1] == len(pool)  # nothing is judged but what the lists have


def passages_of(features, source):
    """Rows of the passages of a minibatch, by their token ids."""
    texts = {
        tuple(source.passages.row(row)[: LENGTHS["text"] - 2]): row for row in range(len(source.passages.lengths()))
    }
    ids, mask = features["passage_input_ids"].numpy(), features["passage_attention_mask"].numpy()
    return np.array([texts[tuple(row[: length.sum()][1:-1])] for row, length in zip(ids, mask, strict=True)])


def test_uniform_negatives_come_from_the_whole_collection_alike(lists, source):
    about = experiment(uniform=40, list_size=2, batch_size=2, steps=400)
    collator = Collator(lists, source, about, LENGTHS, 1)
    size = len(source.passages.lengths())
    counts = np.zeros(size)
    for first in range(0, 800, 2):
        pool = collator._pool(np.array([[0, 1], [2, 3]]), np.array([0, 1]), first)
        counts[pool.passages[pool.places[0, 2:]]] += 1
    share = 40 / size
    rest = counts[4:]
    assert np.all(np.abs(rest - 400 * share) < 5.5 * (400 * share) ** 0.5) and (rest > 0).mean() > 0.99


@pytest.mark.parametrize("model", ["dual-encoder", "late-interaction"])
def test_masked_copies_stand_beside_whole_texts(lists, source, model):
    about = experiment(model=model, mlm_weight=0.5, mlm_masked=0.25)
    found = batch(Collator(lists, source, about, LENGTHS, 1), 0, 4)
    whole = batch(Collator(lists, source, experiment(model=model), LENGTHS, 1), 0, 4)
    assert equal({name: found[name] for name in whole}, whole)
    for side in ("query", "passage"):
        ids, labels = found[f"masked_{side}_input_ids"], found[f"masked_{side}_labels"]
        assert torch.equal(torch.where(labels == IGNORED, ids, labels), whole[f"{side}_input_ids"])
        assert 0.1 < (labels != IGNORED).float().mean() < 0.4
    names = [name.removesuffix("_input_ids") for name in found if name.endswith("_input_ids")]
    assert names == ["query", "passage", "masked_query", "masked_passage"]


@every_kind
def test_dropped_tokens(lists, source, kind):
    about = experiment(model=kind, token_dropout=0.5)
    found = batch(Collator(lists, source, about, LENGTHS, 1), 0, 4)
    whole = batch(Collator(lists, source, experiment(model=kind), LENGTHS, 1), 0, 4)
    masks = [name for name in whole if name.endswith("attention_mask")]
    assert equal(*({name: one[name] for name in one if name not in masks} for one in (found, whole)))
    for name in masks:
        kept = found[name].sum() / whole[name].sum()
        assert 0.4 < kept < 0.9 and not (found[name] > whole[name]).any()


def test_more_than_the_collection_has(lists, source):
    size = len(source.passages.lengths())
    with pytest.raises(UserError, match=f"uniform = {size + 1} passages .* collection of {size}: lower it"):
        Collator(lists, source, experiment(uniform=size + 1), LENGTHS, 1)
