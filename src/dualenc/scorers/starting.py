"""What scorers start from: an encoder in a folder, with room for the texts that it will read."""

from collections.abc import Collection
from pathlib import Path

import torch
from sentence_transformers.sentence_transformer.modules import Transformer
from transformers import BertModel

from dualenc.encoders import encoder_files, tokenizer_files

FLOAT32 = {"dtype": torch.float32}  # otherwise weights stored in half precision would be trained in it


def device() -> str:
    """The accelerator if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def check(encoder: str | Path, heads: Collection[str] = ()) -> None:
    """Raise ``UserError`` unless a folder holds an encoder, with these ``heads``, and its tokenizer."""
    encoder_files.check_files(encoder, encoder_files.FILES, "encoder")
    tokenizer_files.check_tokenizer(encoder)
    encoder_files.check_weights(encoder, heads)


def transformer(encoder: str | Path, max_length: int, **options: str) -> Transformer:
    """The library's module for the encoder in a folder, of whose texts only ``max_length`` tokens count."""
    module = Transformer(str(encoder), max_seq_length=max_length, model_kwargs=FLOAT32, **options)
    lengthen(module.model.base_model, max_length)
    return module


def lengthen(bert: BertModel, positions: int) -> None:
    """Give an encoder that was pre-trained on shorter texts the positions that it lacks.

    A new position's vector is the mean of the old ones: what all positions have in common, and nothing of its own.
    """
    embeddings = bert.embeddings
    old = embeddings.position_embeddings.weight.data
    missing = positions - len(old)
    if missing > 0:
        vectors = torch.cat([old, old.mean(0, keepdim=True).expand(missing, -1)])
        embeddings.position_embeddings = torch.nn.Embedding.from_pretrained(vectors, freeze=False)
        at = torch.arange(positions, device=old.device)[None]
        embeddings.register_buffer("position_ids", at, persistent=False)
        embeddings.register_buffer("token_type_ids", torch.zeros_like(at), persistent=False)
        bert.config.max_position_embeddings = positions
