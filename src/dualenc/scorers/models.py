"""The scorers of the paper as sentence-transformers objects, which users reload with one line.

A kind of scorer is a module of ``dualenc.scorers.kinds``. It has

- ``ABOUT``, what is known about it without importing it (`dualenc.study.kinds`);
- ``LOADER``, ``TRAINER`` and ``ARGUMENTS``, the library's classes; ``FILES``, those of a saved model that are its own,
  and ``weights(width)``, if it has weights that are not the encoder's: their file, and their shapes;
- ``start(encoder, *, max_length, ...)``, the model before its first step; ``OPTIONS`` are the keys of an experiment
  that it takes; ``quicken(model)``, if it can leave out what is not read from its encoder;
- ``score(model, source, queries, passages)``, the scores of pairs, and ``differentiable``, the same with gradients;
- ``OUTPUT``, what the library calls its output for a text or a pair. A kind that reads single texts has
  ``of_side``, what these are compared by, and ``compare``, the scores of a minibatch's lists; it may have a
  ``penalty``, which is added to their loss;
- ``SCORES``, ``PIPELINE`` and ``TAGS``, what a model card says about it.
"""

import importlib
import logging
from collections.abc import Mapping
from functools import wraps
from pathlib import Path
from types import MethodType, ModuleType
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from transformers import AutoTokenizer, BertConfig, BertForPreTraining
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.bert.modeling_bert import BertEncoder
from transformers.utils import logging as transformers_logging

from dualenc.encoders import encoder_files, precision
from dualenc.runtime.files import read_json
from dualenc.scorers import kinds, starting
from dualenc.scorers.reading import Model
from dualenc.scorers.starting import FLOAT32, device
from dualenc.study.kinds import KINDS
from dualenc.study.schema import Experiment

# Reports of missing heads when a scorer starts from an encoder are expected, and drown out what matters in a log.
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("sentence_transformers").setLevel(logging.ERROR)

MODULES = {name: importlib.import_module(f"{kinds.__name__}.{name.replace('-', '_')}") for name in KINDS}
SAVED = ["config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"]
FILES = {"encoder": encoder_files.FILES, **{name: [*SAVED, *one.FILES] for name, one in MODULES.items()}}


class Module(BaseModel):
    """What an entry of a saved model's ``modules.json`` must contain."""

    idx: int
    name: str
    path: str
    type: str


class TokenizerConfig(BaseModel):
    """What a saved model's ``tokenizer_config.json`` must contain: how many tokens the model reads."""

    model_max_length: int


SHAPES = {"modules.json": Annotated[list[Module], Field(min_length=1)], "tokenizer_config.json": TokenizerConfig}
"""File of a saved model -> what it holds; any other JSON file holds an object."""


@wraps(BertEncoder.forward)
def _in_bfloat16(self: BertEncoder, *args: object, **kwargs: object) -> BaseModelOutput:
    with torch.autocast(device(), torch.bfloat16):
        return BertEncoder.forward(self, *args, **kwargs)


def _quicken(model: Model, *, training: bool) -> None:
    """Let the encoder compute only what is read from it, and multiply matrices in bfloat16 where that is faster.

    The rest stays in float32: weights, normalisations, what is made of the last layer, losses. Scores in bfloat16 would
    have eight binary digits, and so ties.
    """
    bert, module = model.transformers_model.base_model, kind(model)
    if hasattr(module, "quicken"):
        module.quicken(model)
    way = precision.WAYS[precision.way(bert.config.hidden_size, training=training)]
    bert.set_attn_implementation(way.attention)
    if way.bfloat16:
        # A method, because a copy of the model binds it to itself.
        bert.encoder.forward = MethodType(_in_bfloat16, bert.encoder)


def pretraining_model(
    *, layers: int, width: int, heads: int, vocabulary: int, max_length: int, pad: int
) -> BertForPreTraining:
    """A BERT of the given shape with random weights and heads for masked words and for sentence pairs.

    Its feed-forward layers are 4 x ``width`` wide.
    Dropout inside the encoder is off: miniatures at laptop scale see each text a few times at most, and dropout
    masks take half of a training step on a CPU.
    """
    return BertForPreTraining(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            max_position_embeddings=max_length,
            pad_token_id=pad,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


def kind(model: Model) -> ModuleType:
    """The module of a model's kind."""
    return next(one for one in MODULES.values() if isinstance(model, one.LOADER))


def start(encoder: str | Path, experiment: Experiment, lengths: Mapping[str, int]) -> Model:
    """The scorer of an experiment before its first step; ``lengths`` has "text" and "pair"."""
    module = MODULES[experiment.model]
    options = {key: getattr(experiment, key) for key in module.OPTIONS}
    model = module.start(encoder, max_length=lengths[KINDS[experiment.model].reads], **options)
    _quicken(model, training=True)
    return model


def load(folder: str | Path, kind: str) -> Model:
    """A saved model of a kind. Raises ``UserError`` if its folder lacks a file or a weight."""
    check(folder, "encoder")
    check(folder, kind)
    model = MODULES[kind].LOADER(str(folder), local_files_only=True, device=device())
    _quicken(model, training=False)
    return model


def max_length(model: Model) -> int:
    """How many tokens of a text, or of a pair, a model reads."""
    return getattr(model, "max_length", None) or model.max_seq_length


def check(folder: str | Path, kind: str) -> None:
    """Raise ``UserError`` naming the first file of ``FILES[kind]``, or the first weight, that is missing or broken."""
    if kind == "encoder":
        starting.check(folder)
        return
    encoder_files.check_files(folder, FILES[kind], kind)
    for name in [*FILES["encoder"], *FILES[kind]]:
        if name.endswith(".json"):
            read_json(Path(folder) / name, SHAPES.get(name, dict[str, Any]))
    check_weights(folder, kind)


def check_weights(folder: str | Path, kind: str) -> None:
    """Raise ``UserError`` unless all weights of a model of a kind, or of an "encoder", are in a folder."""
    module = MODULES.get(kind)
    encoder_files.check_weights(folder, KINDS[kind].heads if module else [])
    if hasattr(module, "weights"):
        width = encoder_files.config_value(encoder_files.read_object(Path(folder) / "config.json"), "hidden_size")
        name, weights = module.weights(width)
        encoder_files.check_held(Path(folder) / name, weights)


def save_encoder(model: BertForPreTraining, tokenizer: str | Path, folder: str | Path, max_length: int) -> None:
    """Save a pre-trained model (with its heads) and its tokenizer to ``folder``."""
    model.save_pretrained(folder)
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    loaded.model_max_length = max_length
    loaded.save_pretrained(folder)


def load_pretrained(folder: str | Path) -> BertForPreTraining:
    """What ``save_encoder`` saved, in float32. Raises ``UserError`` if the folder lacks a file or a weight."""
    check(folder, "encoder")
    encoder_files.check_weights(folder, ["pooler", "words", "pair"])
    return BertForPreTraining.from_pretrained(str(folder), local_files_only=True, **FLOAT32)
