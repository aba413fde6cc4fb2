"""The tokenizer, and texts as flat arrays of its ids."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoTokenizer

import tiny_study
from dualenc.data import collection
from dualenc.encoders import tokens
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5

TEXTS = ["Sort a list in place.", "", "Sort it", "It is stable: équal items keep their order " * 20]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tokens.train_tokenizer(TEXTS * 3, 60, 24, folder)
    return folder


def test_the_tokenizer_is_as_berts(tokenizer):
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    assert len(loaded) == 60 and loaded.model_max_length == 24
    assert loaded.convert_tokens_to_ids(list(tokens.SPECIAL.values())) == [0, 1, 2, 3, 4]
    assert loaded.tokenize("SORT") == loaded.tokenize("sort") and "[UNK]" not in loaded.tokenize("sort")
    pair = loaded("sort", "a list")
    assert loaded.decode(pair["input_ids"]) == "[CLS] sort [SEP] a list [SEP]"
    assert "[UNK]" in loaded.tokenize("☃")


def test_the_same_texts_give_the_same_tokenizer(tiny, tmp_path):
    texts = collection.passages(tiny / "dataset").text.tolist()
    for call in "abc":
        tokens.train_tokenizer(texts, 600, 24, tmp_path / call)
    assert len({(tmp_path / call / "tokenizer.json").read_bytes() for call in "abc"}) == 1


def test_only_the_special_tokens_are_special(tokenizer):
    saved = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    assert [token["content"] for token in saved["added_tokens"]] == list(tokens.SPECIAL.values())
    assert AutoTokenizer.from_pretrained(tokenizer).tokenize("s##t") != ["s", "##t"]


def test_too_few_words_for_the_vocabulary(tmp_path):
    with pytest.raises(UserError, match=r"only \d+ word pieces: lower the scale's vocabulary = 5000"):
        tokens.train_tokenizer(TEXTS, 5000, 24, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_column_gives_back_the_ids_of_whole_texts(tokenizer, tmp_path):
    tokens.write(tmp_path, tokenizer / "tokenizer.json", {"texts": TEXTS, "none": []})
    column = tokens.read(tmp_path, "texts")
    encoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    expected = [encoder.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert [column.row(row).tolist() for row in range(len(TEXTS))] == expected
    assert column.lengths().tolist() == [len(ids) for ids in expected] and len(expected[3]) > 24
    assert column.ids.dtype == np.uint16 and not column.ids.flags.owndata
    assert tokens.read(tmp_path, "none").lengths().tolist() == []
    manifest = tokens.manifest(tmp_path)
    assert manifest["tokenizer_md5"] == md5(tokenizer / "tokenizer.json") and manifest["vocabulary"] == 60
    assert manifest["special"] == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    assert manifest["columns"]["texts"] == {"texts": 4, "tokens": sum(len(ids) for ids in expected)}


def test_ids_of_a_large_vocabulary_are_not_cut(tmp_path):
    vocabulary = {token: row for row, token in enumerate([*tokens.SPECIAL.values(), *map(str, range(70_000))])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokens.write(tmp_path, tmp_path / "tokenizer.json", {"texts": ["0 69999", "65536"]})
    column = tokens.read(tmp_path, "texts")
    assert [column.row(0).tolist(), column.row(1).tolist()] == [[5, 70_004], [65_541]]


def test_a_saved_truncation_is_not_used(tokenizer, tmp_path):
    """Trainers save a tokenizer with the truncation and padding that it had last."""
    saved = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    saved.enable_truncation(3)
    saved.enable_padding(length=9)
    saved.save(str(tmp_path / "tokenizer.json"))
    for file in (tokenizer / "tokenizer.json", tmp_path / "tokenizer.json"):
        tokens.write(tmp_path / file.parent.name, file, {"texts": TEXTS})
    lengths = [
        tokens.read(tmp_path / name.parent.name, "texts").lengths() for name in (tokenizer / "x", tmp_path / "x")
    ]
    assert lengths[0].tolist() == lengths[1].tolist()


def test_missing_tokens(tmp_path):
    with pytest.raises(UserError, match=r"queries.dev.ids.npy is missing: write the tokens of 'queries.dev' first"):
        tokens.read(tmp_path, "queries.dev")


def test_the_tokenizer_of_a_study_has_seen_the_train_split_only(tiny, tmp_path):
    passages = collection.passages(tiny / "dataset").set_index("pid").text
    relevant = [next(iter(pids)) for pids in collection.qrels(tiny / "dataset", "train").values()]
    texts = [*collection.queries(tiny / "dataset", "train").text, *passages[relevant]]
    tokens.train_tokenizer(texts, 600, tiny_study.LENGTHS["pair"], tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (tiny / "tokenizer" / name).read_bytes()


def test_the_tokens_of_a_study_are_its_texts(tiny):
    encoder = AutoTokenizer.from_pretrained(tiny / "tokenizer")
    columns = {"passages": collection.passages(tiny / "dataset")}
    columns |= {f"queries.{split}": collection.queries(tiny / "dataset", split) for split in collection.SPLITS}
    for name, frame in columns.items():
        column = tokens.read(tiny / "tokens", name)
        expected = encoder(frame.text.tolist(), add_special_tokens=False)["input_ids"]
        assert [column.row(row).tolist() for row in range(len(frame))] == expected
