"""Text as token ids, once for each dataset and tokenizer: flat arrays that every later step memory-maps.

``Tokens`` is one column of texts: row i holds ``ids[offsets[i]:offsets[i + 1]]``, without special tokens. Rows are
whole texts; models cut them as their sentence-transformers object cuts text, so that a saved model gives the same
scores for the text itself. (Which side of a pair loses a token may depend on how much longer it is than the limit.)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from dualenc.data import arrays
from dualenc.encoders import encoder_files, tokenizer_files
from dualenc.encoders.tokenizer_files import SPECIAL
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic, md5, read_json, required, write_json

TEXTS_AT_ONCE = 1 << 10  # more are also slower


class Tokens(NamedTuple):
    """Token ids of N texts: ``ids`` (total,) and ``offsets`` (N + 1,)."""

    ids: np.ndarray
    offsets: np.ndarray

    def row(self, index: int) -> np.ndarray:
        """The ids of text ``index``."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def lengths(self) -> np.ndarray:
        """Number of ids of each text (N,)."""
        return np.diff(self.offsets)


def train_tokenizer(texts: Sequence[str], vocabulary: int, max_length: int, folder: str | Path) -> None:
    """Train a lower-casing WordPiece tokenizer like BERT's; saved in ``folder`` as ``AutoTokenizer`` loads it."""
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(lowercase=True)
    # Left alone, the library numbers single-character pieces in an order that differs from call to call, and breaks
    # ties by these numbers; given as special tokens, they have an order.
    characters = sorted(set(tokenizer.normalize("".join(sorted(set().union(*texts))))) - {" "})
    first = [*SPECIAL.values(), *(f"##{character}" for character in characters)]
    tokenizer.train_from_iterator(texts, vocab_size=vocabulary, special_tokens=first, show_progress=False)
    if tokenizer.get_vocab_size() < vocabulary:
        raise UserError(
            f"the train split yields only {tokenizer.get_vocab_size()} word pieces: "
            f"lower the scale's vocabulary = {vocabulary}."
        )
    write_tokenizer(tokenizer.get_vocab(), max_length, folder)


def write_tokenizer(
    vocabulary: dict[str, int], max_length: int, folder: str | Path, settings: Mapping[str, object] = {}
) -> None:
    """Save BERT's tokenizer with this vocabulary in ``folder`` as ``AutoTokenizer`` loads it.

    ``settings`` are those of a tokenizer_config.json; without them the normaliser is BERT's.
    """
    from tokenizers import BertWordPieceTokenizer

    folder, of = Path(folder), tokenizer_files.normalizer(settings)
    chinese, accents, lowercase = (of[key] for key in ("handle_chinese_chars", "strip_accents", "lowercase"))
    accents = None if accents == lowercase else accents
    options = {"handle_chinese_chars": chinese, "strip_accents": accents, "lowercase": lowercase}
    with atomic(folder / "tokenizer.json") as path:
        BertWordPieceTokenizer(vocabulary, **options).save(str(path))
    config = {f"{name}_token": token for name, token in SPECIAL.items()}
    config |= {"tokenizer_class": "BertTokenizer", "do_lower_case": lowercase, "strip_accents": accents}
    config |= {"tokenize_chinese_chars": chinese, "model_max_length": max_length}
    write_json(folder / "tokenizer_config.json", config)


def read_tokenizer(file: str | Path) -> Any:
    """The ``tokenizers.Tokenizer`` in a ``tokenizer.json``. Raises ``UserError`` if it is missing or broken."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(required(Path(file))))
    except UserError:
        raise
    except Exception as error:  # the library raises no other kind
        raise UserError(f"{file} is not a tokenizer ({error}): make it again.") from None


def write(folder: str | Path, tokenizer_file: str | Path, columns: Mapping[str, Iterable[str]]) -> None:
    """Write each column of texts as ``<name>.ids.npy`` and ``<name>.offsets.npy``; ``manifest.json`` last.

    Texts are read once, and few are in memory. The manifest holds the tokenizer's MD5, those of its parts, its
    special ids and vocabulary size, and the counts of each column.
    """
    tokenizer = read_tokenizer(tokenizer_file)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    folder = Path(folder)
    counts = {}
    for name, texts in columns.items():
        lengths = [np.zeros(1, dtype=np.int64)]
        arrays.write(folder / f"{name}.ids.npy", _ids(tokenizer, texts, lengths), dtype)
        offsets = np.cumsum(np.concatenate(lengths))
        arrays.write(folder / f"{name}.offsets.npy", [offsets], np.int64)
        counts[name] = {"texts": len(offsets) - 1, "tokens": int(offsets[-1])}
    about = {
        "tokenizer": str(tokenizer_file),
        "tokenizer_md5": md5(tokenizer_file),
        "tokenizer_parts": tokenizer_files.digests(tokenizer_file),
        "vocabulary": tokenizer.get_vocab_size(),
        "special": {name: tokenizer.token_to_id(token) for name, token in SPECIAL.items()},
        "columns": counts,
    }
    write_json(folder / "manifest.json", about)


def _ids(tokenizer, texts: Iterable[str], lengths: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The ids of some texts, one after the other; how many each text has is added to ``lengths``."""
    rest = iter(texts)
    while some := list(islice(rest, TEXTS_AT_ONCE)):
        ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(some, add_special_tokens=False)]
        lengths.append(np.fromiter(map(len, ids), dtype=np.int64))
        yield np.fromiter(chain.from_iterable(ids), dtype=np.int64)


def read(folder: str | Path, name: str) -> Tokens:
    """Memory-map one column. Raises ``UserError`` if its files are missing or incomplete."""
    files = [Path(folder) / f"{name}.{part}.npy" for part in Tokens._fields]
    for file in files:
        if not file.exists():
            raise UserError(f"{file} is missing: write the tokens of {name!r} first.")
    # Plain arrays over the mapped files: slicing a `np.memmap`, once for each text, takes several times as long.
    column = Tokens(*(np.asarray(arrays.read(file, 1, mmap_mode="r")) for file in files))
    if not len(column.offsets) or column.offsets[0] or column.offsets[-1] != len(column.ids):
        raise UserError(f"{files[0]} does not belong to {files[1]}: write the tokens of {name!r} again.")
    return column


def concatenate(columns: Sequence[Tokens]) -> Tokens:
    """The texts of several columns, one after the other; of one, the column itself."""
    if len(columns) == 1:
        return columns[0]
    lengths = np.concatenate([column.lengths() for column in columns])
    ids = np.concatenate([column.ids for column in columns])
    return Tokens(ids, np.concatenate([[0], np.cumsum(lengths)]))


def check_encoder(encoder: str | Path, folder: str | Path) -> None:
    """Raise ``UserError`` if a model that starts from the encoder in a folder would read tokens other than these."""
    encoder_files.check_files(encoder, encoder_files.FILES, "encoder")
    tokenizer_files.check_tokenizer(encoder)
    about = manifest(folder)
    tokenizer_files.check_same(Path(encoder) / "tokenizer.json", about["tokenizer_parts"], about["tokenizer"])


class Manifest(BaseModel):
    """What ``manifest.json`` must contain."""

    tokenizer: str
    tokenizer_parts: dict[str, str]
    vocabulary: int
    special: dict[str, int]


def manifest(folder: str | Path) -> dict:
    """What ``write`` recorded: ``special`` ids of pad, unk, cls, sep and mask, ``vocabulary``, counts and MD5."""
    return read_json(Path(folder) / "manifest.json", Manifest)
