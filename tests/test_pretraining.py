"""Pre-training: its batches, and that it learns."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from dualenc import batches, pretraining, scoring
from dualenc.masking import IGNORED
from dualenc.steps.inputs import pairs
from tiny_study import LENGTHS, SETTINGS

SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
VOCABULARY = 600


@pytest.fixture(scope="module")
def source(tiny):
    return scoring.texts(tiny / "tokens", "train", SETTINGS["tokens_per_batch"])


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
