"""BERTs that others have pre-trained, as encoder folders of this project.

Checkpoints such as the miniatures of Turc et al. (2019) are older than today's libraries expect: config.json may lack
``model_type``; from a vocab.txt alone, transformers 5 makes a tokenizer of five words, without an error; weights are
pickled, and layer normalisations have ``gamma`` and ``beta``. So each file is read for what it is.
"""

import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForPreTraining

from dualenc.encoders import encoder_files, tokenizer_files, tokens
from dualenc.encoders.encoder_files import read_object
from dualenc.runtime.errors import UserError
from dualenc.study.schema import Encoder

WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first one present
TOKENIZER_CONFIG = "tokenizer_config.json"  # how words are normalised; without it they are lower-cased, as in 2018
TOKENIZER = "tokenizer.json"  # newer checkpoints also say it here
NOT_KEPT = ("bert.embeddings.position_ids", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.")
PROBE = "who wrote the first book on the history of the world"


def files(checkpoint: Path) -> list[Path]:
    """The files that ``convert`` reads of a checkpoint."""
    weights = next((name for name in WEIGHTS if (checkpoint / name).exists()), WEIGHTS[0])
    optional = [name for name in (TOKENIZER_CONFIG, TOKENIZER) if (checkpoint / name).exists()]
    return [checkpoint / name for name in ("config.json", "vocab.txt", weights, *optional)]


def convert(checkpoint: Path, encoder: Encoder, positions: int, output: Path) -> None:
    """Write the checkpoint in a folder as an encoder folder, ``models.FILES["encoder"]``, into ``output``.

    The heads for masked words and for sentence pairs come along if there are any; of its layers, those that the encoder
    keeps, in their order. Raises ``UserError`` if the checkpoint is not a BERT of the encoder's shape with room for
    ``positions`` tokens, if weights are missing or are more than tensors, if its vocabulary is not that of the weights
    or knows no words, and if its tokenizer does more than BERT's.
    """
    output.mkdir(parents=True, exist_ok=True)
    config = _config(checkpoint / "config.json", encoder, positions)
    weights = _weights(checkpoint, config, encoder.keep)
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(output)
    vocabulary = _vocabulary(checkpoint / "vocab.txt", config.vocab_size)
    tokens.write_tokenizer(vocabulary, config.max_position_embeddings, output, _settings(checkpoint))
    file = checkpoint / TOKENIZER
    other = tokenizer_files.difference(file, tokenizer_files.digests(output / TOKENIZER)) if file.exists() else None
    if other:
        raise UserError(
            f"{file} has a different {other} from vocab.txt and {TOKENIZER_CONFIG}: use another checkpoint."
        )
    known = Tokenizer.from_file(str(output / "tokenizer.json")).encode(PROBE, add_special_tokens=False).tokens
    if set(known) == {tokens.SPECIAL["unk"]}:
        raise UserError(
            f"{checkpoint}/vocab.txt does not know any word of {PROBE!r}: it is not this encoder's vocabulary."
        )


def _config(file: Path, encoder: Encoder, positions: int) -> BertConfig:
    values = {"model_type": "bert"} | read_object(file)  # the oldest do not say so
    if encoder.keep is not None:
        encoder_files.check_config(file, values)
        layers = encoder_files.config_value(values, encoder_files.SHAPE["layers"])
        if encoder.keep[-1] >= layers:
            raise UserError(
                f"{file}: this encoder has layers 0 to {layers - 1}, but params.yaml keeps layer {encoder.keep[-1]}: "
                "correct keep."
            )
        values[encoder_files.SHAPE["layers"]] = len(encoder.keep)
    encoder_files.check_config(file, values, encoder)
    config = BertConfig.from_dict({**values, "architectures": ["BertForPreTraining"], "dtype": "float32"})
    if config.max_position_embeddings < positions:
        raise UserError(
            f"{file}: this encoder reads {config.max_position_embeddings} tokens: lower lengths.pair = {positions}."
        )
    return config


def _weights(checkpoint: Path, config: BertConfig, keep: Sequence[int] | None) -> dict[str, torch.Tensor]:
    """The weights by their names in ``BertForPreTraining``, in float32, without those that are tied to others.

    Of the layers, those in ``keep``, numbered anew; None keeps all.
    """
    with torch.device("meta"):
        expected = BertForPreTraining(config).state_dict()
    file = next((checkpoint / name for name in WEIGHTS if (checkpoint / name).exists()), None)
    if file is None:
        raise UserError(f"{checkpoint} has neither {WEIGHTS[0]} nor {WEIGHTS[1]}: it is not a complete checkpoint.")
    weights = {}
    for name, tensor in _read(file).items():
        name = encoder_files.current_name(name)
        name = name if name.startswith(("bert.", "cls.")) else f"bert.{name}"
        name = name if keep is None else _renumbered(name, keep)
        if name is not None and name not in NOT_KEPT:
            if name not in expected or expected[name].shape != tensor.shape:
                raise UserError(
                    f"{file}: {name} {tuple(tensor.shape)} is not a weight of the BERT that config.json describes: "
                    "use another checkpoint."
                )
            if not tensor.is_floating_point():
                raise UserError(f"{file}: {name} is of type {tensor.dtype}: use a checkpoint that is not quantised.")
            weights[name] = tensor.to(torch.float32).contiguous()
    missing = [name for name in expected if name.startswith("bert.") and name not in weights]
    if missing:
        raise UserError(f"{file}: {missing[0]} is missing, so it is not a complete BERT: use another checkpoint.")
    return weights


def _renumbered(name: str, keep: Sequence[int]) -> str | None:
    """The name of a weight where only some layers are kept; None if its layer is not."""
    layer = LAYER.match(name)
    if layer is None:
        return name
    number = int(layer[1])
    return f"bert.encoder.layer.{keep.index(number)}.{name[layer.end() :]}" if number in keep else None


def _read(file: Path) -> Mapping[str, torch.Tensor]:
    if file.suffix == ".safetensors":
        encoder_files.header(file)  # says in a sentence what is wrong
        return load_file(file)
    with open(file, "rb") as start:
        encoder_files.check_not_pointer(file, start.read(100))
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        why = str(error).split("\n")[0]
        raise UserError(f"{file} contains more than tensors ({why}), and only those are loaded from it.") from None


def _settings(checkpoint: Path) -> dict[str, object]:
    """What the checkpoint's tokenizer_config.json, if there is one, says about the tokenizer."""
    file = checkpoint / TOKENIZER_CONFIG
    settings = read_object(file) if file.exists() else {}
    tokenizer_files.check_settings(file, settings)
    return settings


def _vocabulary(file: Path, size: int) -> dict[str, int]:
    content = file.read_bytes()
    encoder_files.check_not_pointer(file, content)
    try:
        words = content.decode("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text: it is truncated or not that file; use another revision.") from None
    vocabulary = {word.removesuffix("\r"): number for number, word in enumerate(words)}
    if len(vocabulary) != size or len(words) != size:
        raise UserError(
            f"{file} has {len(vocabulary)} word pieces, but config.json says {size}: one is from another model."
        )
    for word in tokens.SPECIAL.values():
        if word not in vocabulary:
            raise UserError(f"{file} has no {word}: it is not the vocabulary of a BERT.")
    return vocabulary
