"""What a step minimises: scores of pooled passages, late interaction's dropout, and masked words beside the ranking."""

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM

import tiny_study
from dualenc.scorers import models, scoring
from dualenc.steps import inputs
from dualenc.training.masking import masked_loss
from dualenc.training.minibatches import Collator, Targets
from dualenc.training.objective import ListLoss
from tiny_study import LENGTHS, SETTINGS

ENCODERS = [kind for kind in models.MODULES if kind != "cross-attention"]


@pytest.fixture(scope="module")
def texts(tiny):
    return inputs.data(tiny / "dataset", tiny / "tokens", SETTINGS["tokens_per_batch"])


def features(batch):
    """Features of the sides, as the library's trainer collects them."""
    sides = [name.removesuffix("input_ids") for name in batch if name.endswith("input_ids")]
    return [{name.removeprefix(side): batch[name] for name in batch if name.startswith(side)} for side in sides]


def objective(tiny, texts, **changes):
    """An untrained model's objective, a minibatch for it, and the experiment."""
    about = tiny_study.experiment(dropout=0.0, **changes)
    torch.manual_seed(3)
    model = models.start(tiny / "encoder", about, LENGTHS)
    lists = inputs.read_lists(tiny / "lists.parquet", tiny / "dataset", texts.query_rows["train"])
    lists = lists._replace(teacher=np.random.default_rng(0).normal(size=lists.passages.shape).astype(np.float32))
    collator = Collator(lists, texts.sources["train"], about, LENGTHS, 1)
    batch = collator([{"position": position} for position in range(4)])
    return ListLoss(model, about, tiny / "encoder", 4096).train(), batch, lists.queries[collator.rows[:4]]


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("changes", [{}, {"in_batch": True}, {"in_batch": True, "uniform": 9}])
def test_the_scores_are_those_of_scoring(tiny, texts, kind, changes, monkeypatch):
    loss, batch, queries = objective(tiny, texts, model=kind, **changes)
    seen = []
    monkeypatch.setattr(loss, "loss", lambda *tensors: seen.append(tensors) or tensors[0].sum())
    loss(features(batch), batch["label"])
    ((student, _, labels),) = seen
    source = texts.sources["train"]
    count = len(source.passages.lengths())
    rows = {tuple(source.passages.row(row)[: LENGTHS["text"] - 2]): row for row in range(count)}
    mask = batch["passage_attention_mask"].bool()
    pool = np.array(
        [rows[tuple(ids[on][1:-1].tolist())] for ids, on in zip(batch["passage_input_ids"], mask, strict=True)]
    )
    passages = pool[Targets.unpacked(batch["label"]).places.numpy()]
    assert passages.shape == labels.shape and (changes == {}) == (labels.shape[1] == 4)
    expected = scoring.score(loss.model, source, np.repeat(queries, passages.shape[1]), passages.ravel())
    np.testing.assert_allclose(student.detach().numpy().ravel(), expected, atol=1e-4)


def test_late_interaction_drops_out_in_training_only(tiny, texts):
    loss, batch, _ = objective(tiny, texts, model="late-interaction")
    loss.experiment = loss.experiment.model_copy(update={"dropout": 0.5})
    values = {mode: set() for mode in (True, False)}
    for mode, found in values.items():
        loss.model.train(mode)
        found.update(loss(features(batch), batch["label"]).item() for _ in range(4))
    assert len(values[True]) == 4 and len(values[False]) == 1


@pytest.mark.parametrize("kind", ENCODERS)
def test_masked_words_are_added_with_their_weight(tiny, texts, kind):
    changes = {"model": kind, "mlm_masked": 0.3}
    alone, batch, _ = objective(tiny, texts, **changes)
    both, masked, _ = objective(tiny, texts, **changes, mlm_weight=0.25)
    _, _, *sides = features(masked)
    encoder = BertForMaskedLM.from_pretrained(tiny / "encoder")
    words = torch.stack([masked_loss(encoder.bert, encoder.cls, side)[0] for side in sides]).mean()
    expected = alone(features(batch), batch["label"]) + 0.25 * words
    torch.testing.assert_close(both(features(masked), masked["label"]), expected)
    assert words > 1


def test_of_the_word_loss_only_the_model_is_trained(tiny, texts):
    loss, batch, _ = objective(tiny, texts, mlm_weight=1.0)
    trained = {id(parameter) for parameter in loss.parameters() if parameter.requires_grad}
    assert trained == {id(parameter) for parameter in loss.model.parameters()}
    loss.words(features(batch)[2:]).backward()
    gradient = loss.model.transformers_model.embeddings.word_embeddings.weight.grad
    assert (gradient != 0).any(1).all()  # of every word, as the output weights are the word embeddings
