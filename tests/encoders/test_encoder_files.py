"""Folders of encoders that do not fit: each is told in a sentence before a job starts, and by the job."""

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertConfig, BertForPreTraining, BertModel

from dualenc import cli
from dualenc.encoders import encoder_files, tokens
from dualenc.orchestration import workflow
from dualenc.runtime.errors import UserError
from dualenc.scorers import models, reading, scoring, vectors
from dualenc.scorers.kinds import cross_attention, dual_encoder, late_interaction, learned_sparse
from dualenc.study import config
from dualenc.training import objective
from params import PARAMS, changed

ROOT = Path(__file__).parents[2]
MINIATURE = ROOT / "miniatures/small-2-24"
TEXTS = ["How To Sort A List", "Crème brûlée", "日本語 text", "It [SEP] is", "a\x00b", "x" * 120]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of a miniature, to be broken, in the folder that one works in."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(MINIATURE, tmp_path / "enc", ignore=shutil.ignore_patterns("*.md", "*.csv"))


def in_json(name, *path, value):
    """A change of one value of a JSON file."""

    def change(folder):
        whole = place = json.loads((folder / name).read_text(encoding="utf-8"))
        for key in path[:-1]:
            place = place[key]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        (folder / name).write_text(json.dumps(whole), encoding="utf-8")

    return change


def in_weights(change):
    """A change of the weights, a mapping from names to tensors."""

    def make(folder):
        found = change(load_file(folder / "model.safetensors"))
        save_file(found, folder / "model.safetensors", metadata={"format": "pt"})

    return make


def renamed(name, new):
    return in_weights(lambda found: {key.replace(name, new): tensor for key, tensor in found.items()})


def without(*names):
    return in_weights(lambda found: {key: tensor for key, tensor in found.items() if not key.startswith(names)})


def wrapped(found):
    return {f"module.{name}": tensor for name, tensor in found.items()}


def narrower(found):
    return found | {"bert.embeddings.token_type_embeddings.weight": torch.zeros(1, 24)}


def quantised(found):
    name = "bert.encoder.layer.1.output.dense.weight"
    return found | {name: torch.zeros(found[name].shape, dtype=torch.int8)}


def pointer(name):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 449636\n"
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def cut(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def missing(name):
    return lambda folder: (folder / name).unlink()


SETTINGS, TOKENIZER = "tokenizer_config.json", "tokenizer.json"
WRONG = {
    **{
        name: (missing(name), rf"own: enc/{name} is missing: enc is not a complete encoder folder")
        for name in models.FILES["encoder"]
    },
    **{
        f"pointer-{name}": (pointer(name), rf"enc/{name} is a Git LFS pointer.*git lfs pull")
        for name in models.FILES["encoder"]
    },
    **{f"cut-{name}": (cut(name, 300), rf"enc/{name} is not a ") for name in models.FILES["encoder"]},
    "empty-weights": (cut("model.safetensors", 0), "not a safetensors file, or is truncated"),
    "cut-data": (cut("model.safetensors", 400_000), r"has 400,000 bytes, but its header says 449,636"),
    "list": (lambda folder: (folder / SETTINGS).write_text("[]", encoding="utf-8"), "not a JSON object"),
    "utf-16": (lambda folder: (folder / SETTINGS).write_text("{}", encoding="utf-16"), "not a JSON object in UTF-8"),
    **{
        kind: (in_json("config.json", "model_type", value=kind), f"its model_type is '{kind}', but encoders are BERTs")
        for kind in ("roberta", "electra", "distilbert", "modernbert")
    },
    "no-type": (in_json("config.json", "model_type", value=None), "its model_type is None"),
    "layers": (in_json("config.json", "num_hidden_layers", value=3), "has layers 3, but params.yaml says 2"),
    "width": (in_json("config.json", "hidden_size", value=32), "has width 32, but params.yaml says 24"),
    "heads": (in_json("config.json", "num_attention_heads", value=4), "has heads 4, but params.yaml says 2"),
    "default": (in_json("config.json", "num_hidden_layers", value=None), "has layers 12, but params.yaml says 2"),
    "word": (in_json("config.json", "vocab_size", value="8192"), "vocab_size = '8192' is not a whole number"),
    "one-type": (in_json("config.json", "type_vocab_size", value=1), "type_vocab_size = 1, but .* two token types"),
    "decoder": (in_json("config.json", "is_decoder", value=True), "is_decoder = True is not supported"),
    "relative": (
        in_json("config.json", "position_embedding_type", value="relative_key"),
        "position_embedding_type = 'relative_key' is not supported",
    ),
    "wrapped": (in_weights(wrapped), r"has no embeddings.word_embeddings.weight but module.bert.embeddings"),
    "one-layer": (
        without("bert.encoder.layer.1"),
        "has no encoder.layer.1.attention.self.query.weight: save the whole model, or",
    ),
    "one-weight": (
        without("bert.encoder.layer.0.output.LayerNorm.bias"),
        "has no encoder.layer.0.output.LayerNorm.bias",
    ),
    "pooler": (without("bert.pooler"), "has no pooler.dense.weight"),
    "words": (without("cls.predictions"), "has no cls.predictions.transform.dense.weight"),
    "shape": (
        in_weights(narrower),
        r"token_type_embeddings.weight has the shape \(1, 24\), but by config.json \(2, 24\)",
    ),
    "other-size": (
        in_json("config.json", "intermediate_size", value=48),
        r"layer.0.intermediate.dense.weight has the shape \(96, 24\), but by config.json \(48, 24\)",
    ),
    "quantised": (in_weights(quantised), "encoder.layer.1.output.dense.weight is of type I8"),
    "case": (
        in_json(TOKENIZER, "normalizer", "lowercase", value=False),
        r"normalizer.strip_accents = False, not True|normalizer.lowercase = False, not True",
    ),
    "case-of-saved": (
        in_json(SETTINGS, "do_lower_case", value=False),
        r"lowercase = True, not False|accents = True, not",
    ),
    "accents": (in_json(SETTINGS, "strip_accents", value=False), "normalizer.strip_accents = True, not False"),
    "chinese": (in_json(SETTINGS, "tokenize_chinese_chars", value=False), "handle_chinese_chars = True, not False"),
    "clean": (in_json(TOKENIZER, "normalizer", "clean_text", value=False), "normalizer.clean_text = False, not True"),
    "normaliser": (in_json(TOKENIZER, "normalizer", value={"type": "Lowercase"}), "normalizer.type = 'Lowercase'"),
    "splitting": (
        in_json(TOKENIZER, "pre_tokenizer", value={"type": "Whitespace"}),
        "pre_tokenizer.type = 'Whitespace'",
    ),
    "prefix": (in_json(TOKENIZER, "model", "continuing_subword_prefix", value="@@"), "model.continuing_subword_prefix"),
    "long-words": (in_json(TOKENIZER, "model", "max_input_chars_per_word", value=9), "max_input_chars_per_word = 9"),
    "bpe": (in_json(TOKENIZER, "model", value={"type": "BPE", "vocab": {"a": 0}}), r"has no \[PAD\]"),
    "added": (in_json(TOKENIZER, "added_tokens", value=[]), r"added_tokens = \[\], not"),
    "ids": (in_json(TOKENIZER, "model", "vocab", "zzzz", value=8192), "has ids up to 8192, but .* vocab_size = 8192"),
    "left": (in_json(TOKENIZER, "padding", value={"direction": "Left"}), "padding.direction = 'Left' is not supported"),
    "cut-left": (in_json(SETTINGS, "truncation_side", value="left"), "truncation_side = 'left' is not supported"),
    "class": (
        in_json(SETTINGS, "tokenizer_class", value="DistilBertTokenizer"),
        "tokenizer_class = 'DistilBertTokenizer'",
    ),
    "name": (in_json(SETTINGS, "cls_token", value="<s>"), "cls_token = '<s>' is not supported"),
    "inputs": (in_json(SETTINGS, "model_input_names", value=["input_ids"]), "model_input_names = .* is not supported"),
    "extra": (in_json(SETTINGS, "extra_special_tokens", value=["[Q]"]), r"adds '\[Q\]' to the tokens of a BERT"),
    "older": (
        lambda folder: (folder / "added_tokens.json").write_text('{"[Q]": 1}', encoding="utf-8"),
        r"adds '\[Q\]'",
    ),
}


ENTRY = {"folder": "enc", "layers": 2, "width": 24, "heads": 2}


@cache
def study(teacher="own", pretrain=False):
    """The study at the smoke scale with the encoder in the folder as its student."""
    families = PARAMS["scales"]["smoke"]["encoders"] | {"student": ["own"], "teacher": [teacher]}
    encoders = {"encoders.own": ENTRY, "encoders.other": ENTRY | {"folder": "other"}}
    return config.study(changed({**encoders, "scales.smoke.encoders": families, "pretrain": pretrain}))


@pytest.mark.parametrize("what", WRONG)
def test_a_folder_that_does_not_fit_is_told_when_the_study_is_read(folder, what):
    workflow.check_encoders(study())
    change, message = WRONG[what]
    change(folder)
    with pytest.raises(UserError, match=message) as error:
        workflow.check_encoders(study())
    assert str(error.value).startswith("params.yaml: encoders.own: ") and "\n" not in str(error.value)
    workflow.check_encoders(study(pretrain=True))


GIVEN = {
    "accents": [
        in_json(SETTINGS, "strip_accents", value=False),
        in_json(TOKENIZER, "normalizer", "strip_accents", value=False),
    ],
    "case": [
        in_json(SETTINGS, "do_lower_case", value=False),
        in_json(TOKENIZER, "normalizer", "lowercase", value=False),
    ],
    "chinese": [
        in_json(SETTINGS, "tokenize_chinese_chars", value=False),
        in_json(TOKENIZER, "normalizer", "handle_chinese_chars", value=False),
    ],
    "explicit": [in_json(TOKENIZER, "normalizer", "strip_accents", value=True)],
    "no-class": [in_json(SETTINGS, "tokenizer_class", value=None)],
    "old-file": [in_json(TOKENIZER, "model", "type", value=None)],
    "cut": [
        in_json(
            TOKENIZER,
            "truncation",
            value={"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        )
    ],
    "no-special": [
        in_json(TOKENIZER, "post_processor", value={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]})
    ],
}


@pytest.mark.parametrize("what", GIVEN)
def test_the_tokenizer_that_is_accepted_is_the_one_that_saved_models_have(folder, tmp_path, what):
    for change in GIVEN[what]:
        change(folder)
    workflow.check_encoders(study())
    loaded, saved = AutoTokenizer.from_pretrained(folder), Tokenizer.from_file(str(folder / TOKENIZER))
    saved.no_truncation()
    expected = [saved.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert [loaded.encode(text, add_special_tokens=False, truncation=False) for text in TEXTS] == expected
    loaded.save_pretrained(tmp_path / "saved")
    tokens.write(tmp_path / "tokens", folder / TOKENIZER, {"passages": TEXTS, "queries.train": TEXTS})
    again = shutil.copytree(folder, tmp_path / "again")
    for name in (TOKENIZER, SETTINGS):
        shutil.copyfile(tmp_path / "saved" / name, again / name)
    for encoder in (folder, again):
        tokens.check_encoder(encoder, tmp_path / "tokens")
    source, rows = reading.texts(tmp_path / "tokens", "train", 4096), np.arange(len(TEXTS))
    STARTS["dual-encoder"](folder).save(str(tmp_path / "de"), create_model_card=False)
    model = SentenceTransformer(str(tmp_path / "de"))
    np.testing.assert_allclose(vectors.embed(model, source.passages, rows, source), model.encode(TEXTS), atol=1e-4)
    STARTS["cross-attention"](folder).save(str(tmp_path / "ca"), create_model_card=False)
    model = CrossEncoder(str(tmp_path / "ca"))
    expected = model.predict([(text, text) for text in TEXTS])
    np.testing.assert_allclose(scoring.score(model, source, rows, rows), expected, atol=1e-4)


def test_settings_change_what_the_texts_above_become():
    """Else the test above could not fail."""
    saved = Tokenizer.from_file(str(MINIATURE / TOKENIZER))
    before = [saved.encode(text, add_special_tokens=False).tokens for text in TEXTS]
    assert before[0][0] == "how" and "[SEP]" in before[3] and before[5] == ["[UNK]"]


@pytest.mark.parametrize("what", ["accents", "case", "chinese"])
def test_encoders_of_a_scale_have_the_students_tokenizer(folder, tmp_path, what):
    other = shutil.copytree(folder, tmp_path / "other")
    for change in GIVEN[what]:
        change(other)
    message = r"other/tokenizer.json has a different normaliser from .*enc/tokenizer.json"
    with pytest.raises(UserError, match=f"^params.yaml: encoders.other: .*{message}"):
        workflow.check_encoders(study("other"))
    tokens.write(tmp_path / "tokens", folder / TOKENIZER, {"passages": TEXTS})
    with pytest.raises(UserError, match=message):
        tokens.check_encoder(other, tmp_path / "tokens")


def test_plan_tells_it_too(folder, tmp_path, monkeypatch, capsys):
    (folder / "config.json").unlink()
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["encoders"]["small-2-24"]["folder"] = str(folder)
    params["scales"]["mini"]["encoders"]["student"] = ["small-2-24"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (tmp_path / "miniatures").symlink_to(ROOT / "miniatures")
    monkeypatch.setattr("sys.argv", ["dualenc", "plan"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2 and "enc/config.json is missing" in capsys.readouterr().err


def test_the_names_of_the_weights_are_those_of_the_library():
    shape = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 20}
    values = shape | {"vocab_size": 30, "max_position_embeddings": 11, "type_vocab_size": 3}
    with torch.device("meta"):
        plain, whole = BertModel(BertConfig(**values)), BertForPreTraining(BertConfig(**values))
    found = {name: tuple(tensor.shape) for name, tensor in plain.state_dict().items()}
    assert encoder_files.weights(values, ["pooler"]) == found
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    found = {
        name.removeprefix("bert."): tuple(tensor.shape)
        for name, tensor in whole.state_dict().items()
        if name not in tied
    }
    assert encoder_files.weights(values, ["pooler", "words", "pair"]) == found
    assert {key: getattr(BertConfig(), key) for key in encoder_files.DEFAULTS} == encoder_files.DEFAULTS


STARTS = {
    "dual-encoder": lambda encoder: dual_encoder.start(encoder, pooling="mean", dropout=0.0, gain=1.0, max_length=20),
    "cross-attention": lambda encoder: cross_attention.start(encoder, dropout=0.0, max_length=20),
    "late-interaction": lambda encoder: late_interaction.start(encoder, gain=1.0, max_length=20),
    "learned-sparse": lambda encoder: learned_sparse.start(encoder, max_length=20),
}


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize(
    "change",
    [renamed("bert.", ""), renamed("LayerNorm.weight", "LayerNorm.gamma"), without("cls."), lambda folder: None],
    ids=["no-prefix", "old-names", "no-heads", "as-it-is"],
)
def test_names_that_are_accepted_are_those_that_are_loaded(folder, kind, change):
    change(folder)
    if kind == "learned-sparse":
        shutil.copy(MINIATURE / "model.safetensors", folder)  # it needs the head for words, under its own name
    expected = load_file(MINIATURE / "model.safetensors")
    found = STARTS[kind](folder).transformers_model.base_model.state_dict()
    for name in encoder_files.weights(json.loads((folder / "config.json").read_text(encoding="utf-8"))):
        assert torch.equal(found[name].cpu(), expected[f"bert.{name}"].float()), name


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("change", [in_weights(wrapped), without("bert.encoder.layer.1.output.dense.bias")])
def test_no_scorer_starts_from_random_weights(folder, kind, change):
    change(folder)
    with pytest.raises(UserError, match=r"enc/model.safetensors has no "):
        STARTS[kind](folder)


def test_heads_are_asked_for_where_a_model_starts_from_them(folder):
    without("bert.pooler", "cls.")(folder)
    dual = STARTS["dual-encoder"](folder)
    STARTS["late-interaction"](folder)
    with pytest.raises(UserError, match=r"has no pooler.dense.weight"):
        STARTS["cross-attention"](folder)
    with pytest.raises(UserError, match=r"has no cls.predictions.transform.dense.weight"):
        objective.WordLoss(dual, folder)
    with pytest.raises(UserError, match=r"has no pooler.dense.weight"):
        models.load_pretrained(folder)


@pytest.mark.parametrize("kind", STARTS)
def test_weights_in_half_precision_are_trained_in_single(folder, kind):
    in_json("config.json", "dtype", value="float16")(folder)
    assert {parameter.dtype for parameter in STARTS[kind](folder).parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", STARTS)
def test_a_saved_model_without_one_of_its_weights(trained, tmp_path, kind):
    for file in sorted((trained[kind] / "model").rglob("*.safetensors")):
        for name in load_file(file):
            if kind != "cross-attention" and "pooler" in name:
                continue  # nothing reads it
            broken = shutil.copytree(trained[kind] / "model", tmp_path / "broken", dirs_exist_ok=True)
            at = broken / file.relative_to(trained[kind] / "model")
            save_file({key: tensor for key, tensor in load_file(file).items() if key != name}, at)
            with pytest.raises(UserError, match=f"{at.name} has no {name.removeprefix('bert.')}"):
                models.load(broken, kind)
