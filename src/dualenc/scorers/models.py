"""The scorers of the paper as sentence-transformers objects, which users load again with one line.

Dual-encoder (eq. 2): one BERT for query and passage, pooled, dropout, layer normalisation (Appendix B), dot product:
``SentenceTransformer(path)``. Cross-attention: BERT on [CLS] query [SEP] passage [SEP], score = w . dropout(pool):
``CrossEncoder(path)``, whose scores are raw logits. Late interaction (ColBERT, Khattab and Zaharia, 2020): one BERT for
query and passage, the mean over the query's tokens of the largest dot product with a token of the passage:
``MultiVectorEncoder(path)``.
"""

import logging
from collections.abc import Mapping
from functools import wraps
from pathlib import Path
from types import MethodType
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from safetensors import safe_open
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling, Transformer
from transformers import AutoTokenizer, BertConfig, BertForPreTraining, BertModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.bert.modeling_bert import BertEncoder
from transformers.utils import logging as transformers_logging

from dualenc.encoders import encoder_files, last_layer, precision, tokenizer_files
from dualenc.runtime.files import read_json
from dualenc.study.schema import Experiment

Model = SentenceTransformer | CrossEncoder | MultiVectorEncoder
# Reports of missing heads when a scorer starts from an encoder are expected, and drown what matters in a log.
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("sentence_transformers").setLevel(logging.ERROR)

PAIR_HEAD = "cls.seq_relationship.weight"  # (2, width): belongs together, does not

FILES = {
    "encoder": encoder_files.FILES,
    "cross-attention": ["config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"],
    "dual-encoder": [
        *["config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"],
        *["1_Pooling/config.json", "2_Dropout/config.json"],
        *["3_LayerNorm/config.json", "3_LayerNorm/model.safetensors"],
    ],
    "late-interaction": [
        *["config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"],
        *["1_Dense/config.json", "1_Dense/model.safetensors", "2_MultiVectorMask/config.json"],
    ],
}
FLOAT32 = {"dtype": torch.float32}  # else weights that are stored in half precision would be trained in it

CLASSES = {"cross-attention": CrossEncoder, "dual-encoder": SentenceTransformer, "late-interaction": MultiVectorEncoder}


class Module(BaseModel):
    """What an entry of a saved model's ``modules.json`` has to say."""

    idx: int
    name: str
    path: str
    type: str


class TokenizerConfig(BaseModel):
    """What a saved model's ``tokenizer_config.json`` has to say: how many tokens the model reads."""

    model_max_length: int


SHAPES = {"modules.json": Annotated[list[Module], Field(min_length=1)], "tokenizer_config.json": TokenizerConfig}
"""File of a saved model -> what it holds; any other JSON file holds an object."""


def device() -> str:
    """The accelerator if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@wraps(BertEncoder.forward)
def _in_bfloat16(self: BertEncoder, *args: object, **kwargs: object) -> BaseModelOutput:
    with torch.autocast(device(), torch.bfloat16):
        return BertEncoder.forward(self, *args, **kwargs)


def _quicken(model: Model, *, training: bool) -> None:
    """Let the encoder compute what is read of it alone, and multiply matrices in bfloat16 where that is faster.

    The rest stays in float32: weights, normalisations, what is made of the last layer, losses. Scores in bfloat16 would
    have eight binary digits, and so ties.
    """
    bert = model.transformers_model.base_model
    if isinstance(model, CrossEncoder):
        last_layer.first_state_only(bert)
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


def dual_encoder(
    encoder: str | Path, *, pooling: str, dropout: float, gain: float, max_length: int
) -> SentenceTransformer:
    """A dual-encoder that starts from the encoder in a folder; ``max_length`` tokens of a text count.

    ``gain`` is the initial gain of the output normalisation: scores lie within +-``gain``^2 x width. Raises
    ``UserError`` if the folder lacks a file or a weight.
    """
    check(encoder, "encoder")
    transformer = _transformer(encoder, max_length)
    width = transformer.get_embedding_dimension()
    modules = [transformer, Pooling(width, pooling), Dropout(dropout), LayerNorm(width)]
    torch.nn.init.constant_(modules[-1].norm.weight, gain)
    return SentenceTransformer(modules=modules, similarity_fn_name="dot", device=device())


def cross_encoder(encoder: str | Path, *, dropout: float, max_length: int) -> CrossEncoder:
    """A cross-attention scorer that starts from the encoder in a folder, and from its sentence-pair head if it has one.

    BERT's head tells passages that follow from those that do not, our miniatures' the relevant one from BM25's others.
    Without such a head the scorer's starts from random weights. Raises ``UserError`` if the folder lacks a file or a
    weight.
    """
    check(encoder, "encoder")
    encoder_files.check_weights(encoder, ["pooler"])
    model = CrossEncoder(
        str(encoder),
        num_labels=1,
        max_length=max_length,
        activation_fn=torch.nn.Identity(),
        model_kwargs=FLOAT32,
        config_kwargs={"classifier_dropout": dropout},
        local_files_only=True,
        device=device(),
    )
    _lengthen(model[0].model.bert, max_length)
    with safe_open(Path(encoder) / "model.safetensors", framework="pt") as weights:
        if PAIR_HEAD in weights.keys():  # noqa: SIM118 (not a dict)
            belongs, random = weights.get_tensor(PAIR_HEAD).float()
            with torch.no_grad():
                model[0].model.classifier.weight.copy_((belongs - random)[None])
    return model


def late_interaction(encoder: str | Path, *, gain: float, max_length: int) -> MultiVectorEncoder:
    """A late-interaction scorer that starts from the encoder in a folder; ``max_length`` tokens of a text count.

    What the library offers and the paper does not mention is left out, so that this model differs from the dual-encoder
    in its score alone: queries are not expanded with [MASK] tokens, no marker tells them from passages, punctuation is
    scored like words (passages may be code), and so are [CLS] and [SEP]. Tokens keep the encoder's width and are not
    normalised to unit length, since within +-1 no scores could have a teacher's margins; they end in the layer
    normalisation of the encoder's last layer, and a projection that starts as ``gain`` times the identity: scores then
    lie about where a dual-encoder's do. Raises ``UserError`` if the folder lacks a file or a weight.
    """
    check(encoder, "encoder")
    transformer = _transformer(encoder, max_length)
    width = transformer.get_embedding_dimension()
    projection = Dense(
        width,
        width,
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=gain * torch.eye(width),
        module_input_name="token_embeddings",
    )
    modules = [transformer, projection, MultiVectorMask()]
    return MultiVectorEncoder(modules=modules, similarity_fn_name="meanmaxsim", device=device())


def _transformer(encoder: str | Path, max_length: int) -> Transformer:
    transformer = Transformer(str(encoder), max_seq_length=max_length, model_kwargs=FLOAT32)
    _lengthen(transformer.model, max_length)
    return transformer


def _lengthen(bert: BertModel, positions: int) -> None:
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


def start(encoder: str | Path, experiment: Experiment, lengths: Mapping[str, int]) -> Model:
    """The scorer of an experiment before its first step; ``lengths`` has "text" and "pair"."""
    if experiment.model == "cross-attention":
        model = cross_encoder(encoder, dropout=experiment.dropout, max_length=lengths["pair"])
    elif experiment.model == "late-interaction":
        model = late_interaction(encoder, gain=experiment.gain, max_length=lengths["text"])
    else:
        options = {"pooling": experiment.pooling, "dropout": experiment.dropout, "gain": experiment.gain}
        model = dual_encoder(encoder, **options, max_length=lengths["text"])
    _quicken(model, training=True)
    return model


def load(folder: str | Path, kind: str) -> Model:
    """A saved model of a kind. Raises ``UserError`` if its folder lacks a file or a weight."""
    check(folder, "encoder")
    check(folder, kind)
    model = CLASSES[kind](str(folder), local_files_only=True, device=device())
    _quicken(model, training=False)
    return model


def max_length(model: Model) -> int:
    """How many tokens of a text, or of a pair, a model reads."""
    return model.max_length if isinstance(model, CrossEncoder) else model.max_seq_length


def check(folder: str | Path, kind: str) -> None:
    """Raise ``UserError`` naming the first file of ``FILES[kind]``, or the first weight, that is missing or broken."""
    encoder_files.check_files(folder, FILES[kind], kind)
    if kind == "encoder":
        tokenizer_files.check_tokenizer(folder)
    else:
        for name in [*FILES["encoder"], *FILES[kind]]:
            if name.endswith(".json"):
                read_json(Path(folder) / name, SHAPES.get(name, dict[str, Any]))
    check_weights(folder, kind)


def check_weights(folder: str | Path, kind: str) -> None:
    """Raise ``UserError`` unless all weights of a model of a kind, or of an "encoder", are in a folder."""
    encoder_files.check_weights(folder, ["pooler"] if kind == "cross-attention" else [])
    width = encoder_files.config_value(encoder_files.read_object(Path(folder) / "config.json"), "hidden_size")
    needed = {
        "cross-attention": ("model.safetensors", {"classifier.weight": (1, width), "classifier.bias": (1,)}),
        "dual-encoder": ("3_LayerNorm/model.safetensors", {"norm.weight": (width,), "norm.bias": (width,)}),
        "late-interaction": ("1_Dense/model.safetensors", {"linear.weight": (width, width)}),
    }
    if kind in needed:
        name, weights = needed[kind]
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
