"""The tokenizer in a folder, read without the libraries that load it: the parts that decide the tokens of a text.

Texts are tokenised by tokenizer.json. Of that, transformers 5 takes only the vocabulary, and makes BERT's tokenizer
with the settings of tokenizer_config.json, which a saved model is used with. Where the two differ, a model would score
tokens other than its run file says.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from dualenc.encoders.encoder_files import config_value, read_object
from dualenc.runtime.errors import UserError

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
PARTS = {
    **{"model": "vocabulary", "normalizer": "normaliser", "pre_tokenizer": "pre-tokenizer"},
    **{"added_tokens": "list of added tokens"},
}
"""Key of tokenizer.json -> what it is. The others (truncation, padding, what goes around a text) change no token."""
ONLY = {  # what a tokenizer_config.json may not change: the names of tokens, and how texts are cut and split
    **{f"{name}_token": word for name, word in SPECIAL.items()},
    **{"padding_side": "right", "truncation_side": "right"},
    **{"split_special_tokens": False, "do_basic_tokenize": True},
}
CLASSES = ("BertTokenizer", "BertTokenizerFast")
INPUTS = ["input_ids", "token_type_ids", "attention_mask"]


def check_tokenizer(folder: str | Path) -> None:
    """Raise ``UserError`` unless an encoder's tokenizer is BERT's, and the same for everyone who loads it."""
    file, settings_file, config_file = (
        Path(folder) / name for name in ("tokenizer.json", "tokenizer_config.json", "config.json")
    )
    saved, config = read_object(file), read_object(config_file)
    settings = {"tokenizer_class": config.get("tokenizer_class")} | read_object(settings_file)
    check_settings(settings_file, settings | _older_settings(Path(folder)))
    for side in ("truncation", "padding"):
        if (saved.get(side) or {}).get("direction", "Right") != "Right":
            raise UserError(f"{file}: {side}.direction = 'Left' is not supported: use an encoder with 'Right'.")
    model = saved.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict):
        raise UserError(f"{file} has no vocabulary of word pieces: use an encoder with a BERT tokenizer.")
    missing = next((word for word in SPECIAL.values() if word not in vocabulary), None)
    if missing:
        raise UserError(f"{file} has no {missing}: use an encoder with a BERT tokenizer.")
    size = config_value(config, "vocab_size")
    if max(vocabulary.values()) >= size:
        raise UserError(
            f"{file} has ids up to {max(vocabulary.values())}, but {config_file} has vocab_size = {size}: one is "
            "from another model, so copy both again."
        )
    for part, wanted in _berts(vocabulary, settings).items():
        found = _canonical(part, saved)
        if found != wanted:
            differing = f"{part} = {found!r}, not {wanted!r}"
            if isinstance(found, dict) and isinstance(wanted, dict):
                key = next(key for key in (*wanted, *found) if found.get(key) != wanted.get(key))
                differing = f"{part}.{key} = {found.get(key)!r}, not {wanted.get(key)!r}"
            raise UserError(
                f"{file}: {differing} as in the BertTokenizer that a saved model makes from {settings_file.name}: make "
                "the two files agree."
            )


def _older_settings(folder: Path) -> dict[str, Any]:
    """Settings in files of older versions, which transformers still reads."""
    special, added = folder / "special_tokens_map.json", folder / "added_tokens.json"
    names = read_object(special) if special.is_file() else {}
    return names | ({"added_tokens_decoder": dict(enumerate(read_object(added)))} if added.is_file() else {})


def check_settings(file: Path, settings: Mapping[str, Any]) -> None:
    """Raise ``UserError`` if the settings of a tokenizer_config.json are not those of a BERT's tokenizer."""
    kind = settings.get("tokenizer_class") or CLASSES[0]
    if kind not in CLASSES:
        raise UserError(f"{file}: tokenizer_class = {kind!r} is not supported: use an encoder with {CLASSES[0]!r}.")
    for key, wanted in ONLY.items():
        found = _word(settings.get(key))
        if found not in (wanted, None):
            raise UserError(f"{file}: {key} = {found!r} is not supported: use an encoder with {wanted!r}.")
    inputs = settings.get("model_input_names") or INPUTS
    if not set(INPUTS) <= set(inputs):
        raise UserError(f"{file}: model_input_names = {inputs!r} is not supported: a BERT reads {INPUTS!r}.")
    for key in ("do_lower_case", "tokenize_chinese_chars", "strip_accents"):
        if settings.get(key) not in (True, False, None):
            raise UserError(f"{file}: {key} = {settings[key]!r} is neither true nor false: correct it.")
    further = [settings.get(key) or () for key in ("never_split", "extra_special_tokens", "additional_special_tokens")]
    further.append((settings.get("added_tokens_decoder") or {}).values())
    other = next((word for words in further for word in map(_word, words) if word not in SPECIAL.values()), None)
    if other is not None:
        raise UserError(f"{file} adds {other!r} to the tokens of a BERT, which is not supported: use another encoder.")


def _word(token: Any) -> Any:
    """The text of a token, which may come with how it is found."""
    return token.get("content") if isinstance(token, dict) else token


def normalizer(settings: Mapping[str, Any]) -> dict[str, Any]:
    """BERT's normaliser as a tokenizer_config.json sets it; if that does not say so, accents go where capitals go."""
    lowercase, chinese = (settings.get(key) is not False for key in ("do_lower_case", "tokenize_chinese_chars"))
    accents = settings.get("strip_accents")
    return {
        **{"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": chinese},
        **{"strip_accents": lowercase if accents is None else accents, "lowercase": lowercase},
    }


def _berts(vocabulary: Mapping[str, int], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of ``BertTokenizer`` with a vocabulary and the settings of a tokenizer_config.json."""
    found = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    special = sorted(SPECIAL.values(), key=lambda word: vocabulary[word])
    return {
        "normalizer": normalizer(settings),
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            **{"type": "WordPiece", "unk_token": SPECIAL["unk"], "continuing_subword_prefix": "##"},
            **{"max_input_chars_per_word": 100, "vocab": vocabulary},
        },
        "added_tokens": [{"id": vocabulary[word], "content": word, **found} for word in special],
    }


def _canonical(part: str, saved: Mapping[str, Any]) -> Any:
    """A part of a tokenizer.json, in one of the ways to write it."""
    found = saved.get(part)
    if part == "model" and isinstance(found, dict):
        return {"type": "WordPiece", **found}  # old files do not say so
    if part == "normalizer" and isinstance(found, dict) and found.get("strip_accents") is None:
        return {**found, "strip_accents": found.get("lowercase")}
    return found


def digests(file: str | Path) -> dict[str, str]:
    """The MD5 of each of ``PARTS`` of a tokenizer.json: if all are equal, so are the tokens of every text.

    Raises ``UserError`` as ``read_object`` does.
    """
    read_object(Path(file))
    return _digests(Path(file).read_bytes())


@lru_cache(maxsize=8)
def _digests(content: bytes) -> dict[str, str]:
    saved = json.loads(content)
    parts = {part: json.dumps(_canonical(part, saved), sort_keys=True) for part in PARTS}
    return {part: hashlib.md5(text.encode()).hexdigest() for part, text in parts.items()}


def difference(file: str | Path, expected: Mapping[str, str]) -> str | None:
    """The first of ``PARTS`` of a tokenizer.json, in words, whose digest is not the expected one."""
    found = digests(file)
    return next((name for part, name in PARTS.items() if found[part] != expected[part]), None)


def check_same(file: str | Path, expected: Mapping[str, str], other: str | Path) -> None:
    """Raise ``UserError`` if an encoder's tokenizer.json gives different tokens from the one with these digests."""
    part = difference(file, expected)
    if part:
        raise UserError(
            f"{file} has a different {part} from {other}, with which the texts are tokenised: all encoders of a scale "
            "need the student's tokenizer, so use one that has it."
        )
