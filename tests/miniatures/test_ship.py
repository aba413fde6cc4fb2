"""A shipped miniature: half the size, the same model, and a card that tells where it comes from."""

import json

import pytest
import torch

from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5
from dualenc.scorers import models
from dualenc.scorers.kinds import cross_attention, dual_encoder
from dualenc.steps.ship import ship
from tiny_study import LENGTHS


@pytest.fixture(scope="module")
def shipped(tiny, tmp_path_factory):
    output = tmp_path_factory.mktemp("miniatures") / "small-2-16"
    ship(tiny / "encoder", output)
    return output


def test_half_the_size_and_the_same_model(tiny, shipped):
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (shipped, tiny / "encoder")]
    assert sizes[0] < 0.6 * sizes[1]
    half, full = (models.load_pretrained(folder).state_dict() for folder in (shipped, tiny / "encoder"))
    assert half.keys() == full.keys()
    for name, tensor in half.items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, full[name], rtol=1e-3, atol=1e-6)


def test_scorers_start_from_it_in_float32(shipped):
    dual = dual_encoder.start(shipped, pooling="mean", dropout=0.1, gain=1.0, max_length=LENGTHS["text"])
    cross = cross_attention.start(shipped, dropout=0.1, max_length=LENGTHS["pair"])
    assert {parameter.dtype for model in (dual, cross) for parameter in model.parameters()} == {torch.float32}


def test_the_card_says_how_it_was_made(tiny, shipped):
    card = (shipped / "README.md").read_text(encoding="utf-8")
    assert "small-2-16" in card and md5(shipped / "model.safetensors") in card
    assert "with BM25's negatives: dataset" in card and "200 of 20 queries and 200 passages of dataset" in card
    for digest in json.loads((tiny / "encoder" / "provenance.json").read_text(encoding="utf-8"))["inputs"].values():
        assert digest in card
    assert [line.split("|")[1].strip() for line in card.splitlines()[-3:]] == ["0", "10", "20"]  # the curve


def test_no_encoder_there(tmp_path):
    with pytest.raises(UserError, match="is not a complete encoder folder"):
        ship(tmp_path, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
