"""A last layer that computes the first token's state alone: the same scores and gradients as with all states."""

import copy

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from dualenc.encoders.last_layer import first_state_only

SHAPE = {
    "vocab_size": 50,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "intermediate_size": 24,
    "num_labels": 1,
    "initializer_range": 0.3,
}
attentions = pytest.mark.parametrize("attention", ["sdpa", "eager"])


@pytest.fixture(params=[1, 3], ids=["1 layer", "3 layers"])
def whole(request) -> BertForSequenceClassification:
    torch.manual_seed(1)
    without = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"), 0.0)
    return BertForSequenceClassification(BertConfig(**SHAPE, **without, num_hidden_layers=request.param)).double()


def inputs() -> dict[str, torch.Tensor]:
    """Texts of unequal lengths, with padding."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(1, SHAPE["vocab_size"], (5, 9), generator=generator)
    lengths = torch.tensor([9, 1, 4, 9, 7])
    return {"input_ids": ids, "attention_mask": (torch.arange(9) < lengths[:, None]).long()}


@attentions
def test_scores_and_gradients_are_those_of_all_states(whole, attention):
    whole.set_attn_implementation(attention)
    first = copy.deepcopy(whole)
    first_state_only(first.bert)
    scores = [model(**inputs()).logits for model in (whole, first)]
    assert scores[0].std() > 1e-3
    torch.testing.assert_close(*scores)
    for some in scores:
        some.pow(2).sum().backward()
    for (name, parameter), other in zip(whole.named_parameters(), first.parameters(), strict=True):
        torch.testing.assert_close(other.grad, parameter.grad, msg=name)


def test_there_is_one_state_and_a_copy_has_its_own_weights(whole):
    first_state_only(whole.bert)
    other = copy.deepcopy(whole)
    assert other.bert(**inputs()).last_hidden_state.shape == (5, 1, SHAPE["hidden_size"])
    with torch.no_grad():
        whole.bert.encoder.layer[-1].output.dense.weight.zero_()
    assert not torch.equal(whole(**inputs()).logits, other(**inputs()).logits)
