"""The shape and the weights of a BERT in a folder, read without the libraries that load it.

Those load a folder that does not fit anyway, and at most say so in a log: weights whose names they do not know become
random, and other kinds of encoders are loaded as what they are. So a folder is checked before a job starts, and what a
job loads is checked by the job.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from dualenc.runtime.errors import UserError
from dualenc.study.schema import Encoder

FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
SHAPE = {"layers": "num_hidden_layers", "width": "hidden_size", "heads": "num_attention_heads"}
DEFAULTS = {  # BertConfig's, which a config.json may omit
    **{"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    **{"vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2},
}
UNSUPPORTED = ["is_decoder", "add_cross_attention", "quantization_config"]
FLOATING = {"F16", "BF16", "F32", "F64"}  # as safetensors calls them
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
POINTER = b"version https://git-lfs"


def check_files(folder: str | Path, names: Iterable[str], kind: str) -> None:
    """Raise ``UserError`` naming the first of some files that ``folder`` lacks or that cannot be read."""
    for name in names:
        file = Path(folder) / name
        if not file.is_file():
            raise UserError(f"{file} is missing: {folder} is not a complete {kind} folder; make it again.")
        if not os.access(file, os.R_OK):
            raise UserError(f"{file} cannot be read by this user: change its permissions.")


def check_not_pointer(file: Path, content: bytes) -> None:
    """Raise ``UserError`` if a file, of which this is the start, is a pointer that Git LFS has left in its place."""
    if content.startswith(POINTER):
        raise UserError(f"{file} is a Git LFS pointer, not the file itself: run `git lfs pull`.")


def read_object(file: Path) -> dict[str, Any]:
    """The object of a JSON file; not to be changed. Raises ``UserError`` if the file holds none."""
    content = file.read_bytes()
    check_not_pointer(file, content)
    try:
        value = _parsed(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UserError(f"{file} is not a JSON object in UTF-8: it is truncated or a different file, so copy it again.")
    return value


@lru_cache(maxsize=64)
def _parsed(content: bytes) -> Any:
    """The value of a JSON text, parsed once where folders have equal files, as they have for the tokenizer."""
    return json.loads(content.decode("utf-8"))


def config_value(config: Mapping[str, Any], key: str) -> Any:
    """What a config.json says, or leaves to BERT's defaults."""
    return config.get(key, DEFAULTS[key])


def check_config(file: Path, config: Mapping[str, Any], encoder: Encoder | None = None) -> None:
    """Raise ``UserError`` unless a config.json is that of a BERT that reads pairs, of the encoder's shape if given."""
    kind = config.get("model_type")
    if kind != "bert":
        raise UserError(
            f"{file}: its model_type is {kind!r}, but encoders are BERTs: use one whose model_type is 'bert'."
        )
    for key in DEFAULTS:
        number = config_value(config, key)
        if type(number) is not int or number < 1:
            raise UserError(f"{file}: {key} = {number!r} is not a whole number of 1 or more: correct it.")
    for key, name in SHAPE.items() if encoder else ():
        found, said = config_value(config, name), getattr(encoder, key)
        if found != said:
            raise UserError(
                f"{file}: this encoder has {key} {found}, but params.yaml says {said}: correct one of them."
            )
    if config_value(config, "type_vocab_size") < 2:
        raise UserError(
            f"{file}: type_vocab_size = 1, but the two texts of a pair need two token types: use another encoder."
        )
    for key in UNSUPPORTED:
        if config.get(key):
            raise UserError(f"{file}: {key} = {config[key]!r} is not supported: use an encoder without it.")
    positions = config.get("position_embedding_type") or "absolute"
    if positions != "absolute":
        raise UserError(
            f"{file}: position_embedding_type = {positions!r} is not supported: use an encoder with 'absolute'."
        )


def weights(config: Mapping[str, Any], heads: Collection[str] = ()) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of the BERT that a config.json describes, as ``BertModel`` names them.

    Not all models use what is on top of the last layer: of that, only the ``heads`` are among the weights, "pooler",
    "words", which predicts masked words, and "pair", which tells whether a passage follows.
    """
    width, inner, words = (config_value(config, key) for key in ("hidden_size", "intermediate_size", "vocab_size"))

    def normalisation(name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

    def linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (words, width),
        "embeddings.position_embeddings.weight": (config_value(config, "max_position_embeddings"), width),
        "embeddings.token_type_embeddings.weight": (config_value(config, "type_vocab_size"), width),
        **normalisation("embeddings.LayerNorm"),
    }
    for number in range(config_value(config, "num_hidden_layers")):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            found |= linear(f"{layer}.attention.self.{part}", width, width)
        found |= linear(f"{layer}.attention.output.dense", width, width)
        found |= normalisation(f"{layer}.attention.output.LayerNorm")
        found |= linear(f"{layer}.intermediate.dense", inner, width) | linear(f"{layer}.output.dense", width, inner)
        found |= normalisation(f"{layer}.output.LayerNorm")
    if "pooler" in heads:
        found |= linear("pooler.dense", width, width)
    if "words" in heads:
        found |= linear("cls.predictions.transform.dense", width, width) | {"cls.predictions.bias": (words,)}
        found |= normalisation("cls.predictions.transform.LayerNorm")
    if "pair" in heads:
        found |= linear("cls.seq_relationship", 2, width)
    return found


def current_name(name: str) -> str:
    """The name of a weight without the names of 2018."""
    for old, new in OLD_NAMES.items():
        name = name.replace(old, new)
    return name


def check_weights(folder: str | Path, heads: Collection[str] = ()) -> None:
    """Raise ``UserError`` unless a folder holds all weights of the BERT that its config.json describes.

    ``heads`` as for ``weights``.
    """
    config = read_object(Path(folder) / "config.json")
    check_config(Path(folder) / "config.json", config)
    check_held(Path(folder) / "model.safetensors", weights(config, heads))


def check_held(file: Path, needed: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ``UserError`` unless a safetensors file has weights of these names and shapes, in floating point."""
    found = {current_name(name).removeprefix("bert."): about for name, about in header(file).items()}
    for name, shape in needed.items():
        if name not in found:
            other = next((one for one in found if one.endswith(f".{name}")), None)
            hint = f" but {other}: save the model without its wrapper" if other else ": save the whole model"
            raise UserError(f"{file} has no {name}{hint}, or use another one.")
        kind, held = found[name]
        if held != shape:
            raise UserError(
                f"{file}: {name} has the shape {held}, but by config.json {shape}: one is from another model, so "
                "copy both again."
            )
        if kind not in FLOATING:
            raise UserError(f"{file}: {name} is of type {kind}: use floating-point weights, not quantised ones.")


def header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name -> type and shape of each weight of a safetensors file: eight bytes of length, a JSON object, the data.

    The data are not read. Raises ``UserError`` if the file is truncated, a Git LFS pointer or something else.
    """
    size, found, end = file.stat().st_size, {}, 0
    with open(file, "rb") as content:
        start = content.read(8)
        length = int.from_bytes(start, "little")
        text = content.read(min(length, size))
    check_not_pointer(file, start + text)
    try:
        entries = json.loads(text)
        for name, about in entries.items():
            if name != "__metadata__":
                found[name] = about["dtype"], tuple(about["shape"])
                end = max(end, about["data_offsets"][1])
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UserError(f"{file} is not a safetensors file, or is truncated: copy it again.") from None
    if size != 8 + length + end:
        raise UserError(f"{file} has {size:,} bytes, but its header says {8 + length + end:,}: copy it again.")
    return found
