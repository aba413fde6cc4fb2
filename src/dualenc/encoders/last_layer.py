"""A last layer that computes one state: that of [CLS], which is all that a cross-attention model reads.

The last layer's other states would cost most of its time (10 of its 12 matrix products of a token) and go nowhere.
"""

from types import MethodType

import torch
from transformers import BertModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import BertLayer, eager_attention_forward


def first_state_only(bert: BertModel) -> None:
    """From now on the last hidden states of ``bert`` are (N, 1, W): those of the first tokens, with the same values."""
    last = bert.encoder.layer[-1]
    # A method, because a copy of the model binds it to itself.
    last.forward = MethodType(_first_state, last)


def _first_state(
    self: BertLayer, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: object, **__: object
) -> torch.Tensor:
    """The first token's query attends to all tokens' keys and values; from there on there is one state (N, 1, W)."""
    attention = self.attention.self
    first = hidden_states[:, :1]

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)

    attend = ALL_ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, eager_attention_forward)
    attended, _ = attend(
        attention,
        *(heads(states) for states in (attention.query(first), attention.key(hidden_states))),
        heads(attention.value(hidden_states)),
        None if attention_mask is None else attention_mask[:, :, :1],
        dropout=attention.dropout.p if self.training else 0.0,
        scaling=attention.scaling,
    )
    return self.feed_forward_chunk(self.attention.output(attended.flatten(2), first))
