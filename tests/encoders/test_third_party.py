"""Encoders of others and their traps: old names, pickled weights, no model_type, vocab.txt alone."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForPreTraining, BertTokenizer

import tiny_study
from dualenc.encoders import third_party, tokenizer_files, tokens
from dualenc.orchestration import origins, slices, workflow
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5, read_json
from dualenc.scorers import models
from dualenc.scorers.kinds import cross_attention, dual_encoder
from dualenc.steps.fetch import fetch as fetch_step
from dualenc.steps.train import train
from dualenc.study import config
from dualenc.study.schema import Encoder
from dualenc.study.settings import Fetch, Train

ROOT = Path(__file__).parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {"scale": "smoke"}
HUB, REVISION = "google/bert_uncased_L-2_H-16_A-1", "0123456789abcdef0123456789abcdef01234567"
ENCODER = Encoder(layers=2, width=16, heads=1, hub=HUB, revision=REVISION)
WORDS = [*tokens.SPECIAL.values(), *"thewroibknfasyld", "the", "##he", "who", "wrote", "book", "##s"]
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 64}
POSITIONS = 40


@pytest.fixture(scope="module")
def bert():
    torch.manual_seed(1)
    values = SHAPE | {"vocab_size": len(WORDS), "max_position_embeddings": POSITIONS}
    return BertForPreTraining(BertConfig(**values)).eval()


@pytest.fixture
def checkpoint(bert, tmp_path):
    """A folder in the format of 2019: three files, of which the weights are pickled and have old names."""
    folder = tmp_path / "old"
    folder.mkdir()
    values = SHAPE | {"vocab_size": len(WORDS), "max_position_embeddings": POSITIONS, "type_vocab_size": 2}
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    weights = {"bert.embeddings.position_ids": torch.arange(POSITIONS)[None]}
    for name, tensor in bert.state_dict().items():
        for new, before in old.items():
            name = name.replace(new, before)
        weights[name] = tensor
    assert sum(name.endswith(".gamma") for name in weights) == 6
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def outputs(model):
    with torch.no_grad():
        found = model(torch.tensor([[2, 8, 5, 3]]))
    return found.prediction_logits, found.seq_relationship_logits


def test_an_old_checkpoint_as_an_encoder_folder(bert, checkpoint, tmp_path):
    third_party.convert(checkpoint, ENCODER, POSITIONS, tmp_path / "new")
    models.check(tmp_path / "new", "encoder")
    for found, expected in zip(outputs(models.load_pretrained(tmp_path / "new").eval()), outputs(bert), strict=True):
        torch.testing.assert_close(found, expected)
    vectors = AutoModel.from_pretrained(tmp_path / "new").eval()(torch.tensor([[2, 8, 5, 3]])).last_hidden_state
    torch.testing.assert_close(vectors, bert.bert(torch.tensor([[2, 8, 5, 3]])).last_hidden_state)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "new")
    assert len(loaded) == len(WORDS) and loaded.model_max_length == POSITIONS
    assert loaded.tokenize("Who wrote the BOOKS?") == ["who", "wrote", "the", "book", "##s", "[UNK]"]


def test_the_scorers_start_from_it(bert, checkpoint, tmp_path):
    third_party.convert(checkpoint, ENCODER, POSITIONS, tmp_path / "new")
    cross = cross_attention.start(tmp_path / "new", dropout=0.1, max_length=20)
    assert isinstance(cross, CrossEncoder)
    belongs, random = bert.state_dict()["cls.seq_relationship.weight"]
    torch.testing.assert_close(cross[0].model.classifier.weight[0].cpu(), belongs - random)
    dual = dual_encoder.start(tmp_path / "new", pooling="cls", dropout=0.0, gain=1.0, max_length=20)
    assert dual.encode(["who wrote the book"]).shape == (1, 16)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_checkpoint_without_heads_and_prefixes(bert, checkpoint, tmp_path, suffix):
    weights = {name: tensor.half() for name, tensor in bert.bert.state_dict().items()}
    (checkpoint / "pytorch_model.bin").unlink()
    if suffix == "bin":
        torch.save(weights, checkpoint / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    else:
        save_file(weights, checkpoint / "model.safetensors")
    third_party.convert(checkpoint, ENCODER, POSITIONS, tmp_path / "new")
    found = load_file(tmp_path / "new" / "model.safetensors")
    assert {f"bert.{name}" for name in weights} == set(found)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    torch.manual_seed(5)
    cross_attention.start(tmp_path / "new", dropout=0.1, max_length=20)


def test_some_layers_are_kept(bert, checkpoint, tmp_path):
    last = ENCODER.model_copy(update={"layers": 1, "keep": [1]})
    third_party.convert(checkpoint, last, POSITIONS, tmp_path / "new")
    models.check(tmp_path / "new", "encoder")
    before, found = bert.state_dict(), load_file(tmp_path / "new" / "model.safetensors")
    assert not any(name.startswith("bert.encoder.layer.1.") for name in found)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, before[name.replace("encoder.layer.0.", "encoder.layer.1.")])
    of_layers = {name for name in before if ".layer." in name}
    others = {name for name in before if name.startswith("bert.")} - of_layers
    assert others <= set(found) and sum(".layer." in name for name in found) == len(of_layers) / 2


def test_a_layer_to_keep_that_is_not_there(checkpoint, tmp_path):
    third = ENCODER.model_copy(update={"keep": [0, 2]})
    with pytest.raises(UserError, match=r"config.json: this encoder has layers 0 to 1, but params.yaml keeps layer 2"):
        third_party.convert(checkpoint, third, POSITIONS, tmp_path / "new")


def test_words_may_keep_their_case(checkpoint, tmp_path):
    (checkpoint / "tokenizer_config.json").write_text('{"do_lower_case": false}', encoding="utf-8")
    third_party.convert(checkpoint, ENCODER, POSITIONS, tmp_path / "new")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "new")
    assert loaded.tokenize("who Who") == ["who", "[UNK]"]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("accents", [True, False, None])
@pytest.mark.parametrize("chinese", [True, False])
def test_what_a_checkpoint_says_of_its_tokenizer_is_kept(checkpoint, tmp_path, lowercase, accents, chinese):
    settings = {"do_lower_case": lowercase, "strip_accents": accents, "tokenize_chinese_chars": chinese}
    (checkpoint / "tokenizer_config.json").write_text(
        json.dumps(settings | {"model_max_length": 512}), encoding="utf-8"
    )
    third_party.convert(checkpoint, ENCODER, POSITIONS, tmp_path / "new")
    tokenizer_files.check_tokenizer(tmp_path / "new")
    by_vocabulary = BertTokenizer({word: number for number, word in enumerate(WORDS)}, **settings)
    for loaded in (AutoTokenizer.from_pretrained(tmp_path / "new"), by_vocabulary):
        found = loaded.backend_tokenizer.normalizer.normalize_str("Écoute 日本")
        assert ("é" in found.lower()) == (not (lowercase if accents is None else accents))
        assert ("日 " in found) == chinese and (found[0] == found[0].lower()) == lowercase


def test_a_vocabulary_with_a_byte_order_mark(checkpoint, tmp_path):
    (checkpoint / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8-sig")
    third_party.convert(checkpoint, ENCODER, POSITIONS, tmp_path / "new")
    assert AutoTokenizer.from_pretrained(tmp_path / "new").convert_tokens_to_ids("[PAD]") == 0


class Trap:
    """What a pickled file may hold beside tensors."""

    def __reduce__(self):
        return (os.mkdir, ("pickle-was-run",))


def wrong(folder, what):
    """Spoil a checkpoint."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    if what == "shape":
        values["num_attention_heads"] = 2
    elif what == "type":
        values["model_type"] = "roberta"
    elif what == "positions":
        values["max_position_embeddings"] = 20
    elif what == "vocabulary":
        (folder / "vocab.txt").write_text("\n".join(WORDS[:5]), encoding="utf-8")
    elif what == "unknown":
        other = [chr(0x4E00 + number) for number in range(len(WORDS) - 5)]
        (folder / "vocab.txt").write_text("\n".join([*WORDS[:5], *other]), encoding="utf-8")
    elif what == "special":
        (folder / "vocab.txt").write_text("\n".join(["<pad>", *WORDS[1:]]), encoding="utf-8")
    elif what == "missing":
        del weights["bert.pooler.dense.weight"]
    elif what == "other":
        weights["bert.encoder.layer.2.output.dense.bias"] = torch.zeros(16)
    elif what == "size":
        weights["bert.pooler.dense.bias"] = torch.zeros(17)
    elif what == "quantised":
        weights["bert.pooler.dense.bias"] = torch.zeros(16, dtype=torch.int8)
    elif what == "one-type":
        values["type_vocab_size"] = 1
    elif what == "decoder":
        values["is_decoder"] = True
    elif what == "relative":
        values["position_embedding_type"] = "relative_key_query"
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    torch.save(weights, folder / "pytorch_model.bin")
    if what == "pickle":
        torch.save({"bert.pooler.dense.bias": Trap()}, folder / "pytorch_model.bin")
    elif what == "none":
        (folder / "pytorch_model.bin").unlink()
    elif what == "pointer":
        (folder / "pytorch_model.bin").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", encoding="utf-8"
        )
    elif what == "cut":
        (folder / "pytorch_model.bin").unlink()
        whole = {name: tensor.clone() for name, tensor in weights.items()}
        save_file(whole, folder / "model.safetensors")
        with open(folder / "model.safetensors", "r+b") as file:
            file.truncate(20_000)
    elif what == "page":
        (folder / "config.json").write_text("<!doctype html><title>504</title>", encoding="utf-8")
    elif what == "encoding":
        (folder / "vocab.txt").write_bytes("\n".join([*WORDS[:-1], "é"]).encode("latin-1"))
    elif what in SETTINGS:
        (folder / "tokenizer_config.json").write_text(json.dumps(SETTINGS[what]), encoding="utf-8")
    elif what == "tokenizer":
        cased = {"do_lower_case": False}
        tokens.write_tokenizer({word: number for number, word in enumerate(WORDS)}, 40, folder, cased)
        (folder / "tokenizer_config.json").unlink()


SETTINGS = {
    "basic": {"do_basic_tokenize": False},
    "never-split": {"never_split": ["the"]},
    "class": {"tokenizer_class": "RobertaTokenizer"},
    "name": {"pad_token": {"content": "<pad>"}},
    "accents": {"strip_accents": "no"},
}
WRONG = {
    "shape": r"config.json: this encoder has heads 2, but params.yaml says 1",
    "type": r"config.json: its model_type is 'roberta', but encoders are BERTs",
    "positions": r"config.json: this encoder reads 20 tokens: lower lengths.pair = 40",
    "vocabulary": r"vocab.txt has 5 word pieces, but config.json says \d+",
    "unknown": r"vocab.txt does not know any word of 'who wrote",
    "special": r"vocab.txt has no \[PAD\]",
    "missing": r"pytorch_model.bin: bert.pooler.dense.weight is missing",
    "other": r"bert.encoder.layer.2.output.dense.bias \(16,\) is not a weight of the BERT that config.json describes",
    "size": r"bert.pooler.dense.bias \(17,\) is not a weight",
    "pickle": r"pytorch_model.bin contains more than tensors \(.*\), and only those are loaded",
    "quantised": r"bert.pooler.dense.bias is of type torch.int8: use a checkpoint that is not quantised",
    "one-type": r"type_vocab_size = 1, but the two texts of a pair need two token types",
    "decoder": r"is_decoder = True is not supported",
    "relative": r"position_embedding_type = 'relative_key_query' is not supported",
    "pointer": r"pytorch_model.bin is a Git LFS pointer, not the file itself",
    "cut": r"model.safetensors has 20,000 bytes, but its header says",
    "page": r"config.json is not a JSON object in UTF-8",
    "encoding": r"vocab.txt is not UTF-8 text",
    "basic": r"tokenizer_config.json: do_basic_tokenize = False is not supported",
    "never-split": r"tokenizer_config.json adds 'the' to the tokens of a BERT",
    "class": r"tokenizer_class = 'RobertaTokenizer' is not supported",
    "name": r"pad_token = '<pad>' is not supported",
    "accents": r"strip_accents = 'no' is neither true nor false",
    "tokenizer": r"tokenizer.json has a different normaliser from vocab.txt and tokenizer_config.json",
    "none": r"has neither model.safetensors nor pytorch_model.bin",
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_checkpoints(checkpoint, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    wrong(checkpoint, what)
    with pytest.raises(UserError, match=WRONG[what]):
        third_party.convert(checkpoint, ENCODER, POSITIONS, tmp_path / "new")
    assert not (tmp_path / "pickle-was-run").exists()


@contextmanager
def served(folder):
    """A server that answers for the files of one model and commit as the hub does."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            if self.path.startswith("/api/models/"):
                self.newest()
            else:
                self.wfile.write(self.answer())

        def newest(self):
            content = json.dumps({"id": HUB, "sha": REVISION}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def answer(self):
            repository, _, rest = self.path.removeprefix("/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            known = (repository, revision) == (HUB, REVISION)
            content = (folder / name).read_bytes() if known and (folder / name).is_file() else b""
            self.send_response(200 if content else 404)
            if known:
                self.send_header("X-Repo-Commit", REVISION)
            if not content:
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("ETag", f'"{name}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return content

        def log_message(self, *arguments):
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fetch(address, cache, output, **changes):
    """Run ``dualenc fetch`` with the hub at an address and a cache of its own."""
    params = {"encoder": ENCODER.model_dump() | changes, "pair": POSITIONS}
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(cache), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", "from dualenc.cli import main; main()", "fetch"]
    arguments = ["--params", json.dumps(params), "--output", output]
    return subprocess.run([*command, *arguments], env=environment, capture_output=True, encoding="utf-8", check=False)


def test_fetch_from_a_hub(checkpoint, tmp_path):
    with served(checkpoint) as address:
        result = fetch(address, tmp_path / "cache", tmp_path / "encoder")
        assert result.returncode == 0, result.stderr
        missing = fetch(address, tmp_path / "cache", tmp_path / "none", hub="google/other")
        unpinned = fetch(address, tmp_path / "cache", tmp_path / "none", revision=None)
    offline = fetch(address, tmp_path / "cache", tmp_path / "none", revision=None)
    assert f"{HUB}: write its newest commit, {REVISION}, into params.yaml" in unpinned.stderr
    assert f"write a commit that https://huggingface.co/{HUB}/commits/main lists" in offline.stderr
    assert unpinned.returncode == offline.returncode == 2
    assert missing.returncode == 2 and not (tmp_path / "none").exists()
    assert f"config.json of google/other at {REVISION} cannot be downloaded" in missing.stderr
    assert len(missing.stderr.splitlines()) == 1
    models.check(tmp_path / "encoder", "encoder")
    names = ["config.json", "vocab.txt", "pytorch_model.bin"]
    expected = {"hub": HUB, "revision": REVISION, "files": {name: md5(checkpoint / name) for name in names}}
    assert read_json(tmp_path / "encoder" / "manifest.json") == expected


def test_fetch_from_a_package(checkpoint, tmp_path, monkeypatch):
    model = shutil.copytree(checkpoint, tmp_path / "site" / "some_model" / "model")
    weights = torch.load(model / "pytorch_model.bin", weights_only=True)
    save_file({name: tensor.clone() for name, tensor in weights.items()}, model / "model.safetensors")
    (model.parent / "__init__.py").write_text("raise ImportError('nobody imports it')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    sha256 = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    origin = {"package": "some_model", "path": "model", "sha256": sha256, "keep": [1]}
    encoder = Encoder(layers=1, width=16, heads=1, **origin)
    fetch_step(Fetch(encoder=encoder, pair=POSITIONS), tmp_path / "encoder")
    models.check(tmp_path / "encoder", "encoder")
    files = {name: md5(model / name) for name in ["config.json", "vocab.txt", "model.safetensors"]}
    assert read_json(tmp_path / "encoder" / "manifest.json") == origin | {"files": files}
    with pytest.raises(UserError, match=r"has SHA-256 .* not 0000"):
        other = encoder.model_copy(update={"sha256": "0" * 64})
        fetch_step(Fetch(encoder=other, pair=POSITIONS), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_package_that_is_missing_ends_a_build_before_its_first_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at = study(**NO_HUB, **PACKAGED)
    wanted = r"params.yaml: encoders.small-1-32: package 'some_model' is not installed: run `pip install some-model`"
    with pytest.raises(UserError, match=wanted):
        origins.check_packages(at)
    made = Path(workflow.encoder_folder(at, "small-1-32"))
    made.mkdir(parents=True)
    (made / "manifest.json").touch()
    origins.check_packages(at)


def test_encoders_of_a_study_share_a_tokenizer(tiny, tmp_path):
    tokens.check_encoder(tiny / "encoder", tiny / "tokens")
    other = shutil.copytree(tiny / "encoder", tmp_path / "other")
    words = read_json(other / "tokenizer.json")
    first, second = list(words["model"]["vocab"])[-2:]
    vocabulary = words["model"]["vocab"]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
    with pytest.raises(UserError, match=r"other/tokenizer.json has a different vocabulary from .*r/tokenizer.json"):
        tokens.check_encoder(other, tiny / "tokens")
    folders = tiny / "dataset", tiny / "tokens", other, tiny / "lists.parquet", tiny / "evaluation"
    params = Train(experiment=tiny_study.experiment(), **tiny_study.SETTINGS)
    with pytest.raises(UserError, match="a different vocabulary"):
        train(params, *folders, 1, tmp_path / "checkpoints", tmp_path / "scratch", tmp_path / "run")


PACKAGED = {"package": "some_model", "path": "model", "sha256": "0" * 64}
NO_HUB = {"hub": None, "revision": None}


def study(pretrain=False, **encoder):
    entry = {"layers": 1, "width": 32, "heads": 2, "hub": HUB, "revision": REVISION} | encoder
    return config.study(PARAMS | {"pretrain": pretrain, "encoders": PARAMS["encoders"] | {"small-1-32": entry}})


def test_where_an_encoder_from_the_hub_is():
    for pretrain in (False, True):
        at = study(pretrain)
        assert str(workflow.encoder_folder(at, "small-1-32")) == "results/smoke/fetched/small-1-32"
        assert str(workflow.tokenizer_folder(at)) == "results/smoke/fetched/small-1-32"
        assert str(workflow.encoder_folder(at, "small-1-16")) == "results/smoke/encoders/small-1-16"
    assert slices.fetch(at, "small-1-32")["encoder"]["revision"] == REVISION
    assert "hub" not in slices.pretrain(at, "small-1-16")["encoder"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"revision": "main"}, r"revision = 'main' is not a commit of google/bert.*: give the 40 hexadecimal digits"),
        ({"revision": REVISION[:-1]}, r"is not a commit"),
        ({"hub": None}, r"encoders.small-1-32 has a revision but no hub"),
        ({"folder": "miniatures/x"}, r"encoders.small-1-32 comes from the hub: leave out its folder"),
        ({"sha256": "0" * 64}, r"encoders.small-1-32 needs all three of package, path and sha256, or none"),
        (PACKAGED, r"encoders.small-1-32 has both a hub and a package"),
        (NO_HUB | PACKAGED | {"grows_from": "small-1-16"}, r"encoders.small-1-32 comes from a package: leave out"),
        (NO_HUB | {"keep": [0]}, r"encoders.small-1-32 keeps layers of nothing"),
        ({"keep": [0, 1]}, r"encoders.small-1-32.keep = \[0, 1\] has to be 1 different layers in ascending order"),
        ({"layers": 2, "keep": [1, 1]}, r"encoders.small-1-32.keep = \[1, 1\] has to be 2 different layers"),
        ({"layers": 2, "keep": [1, 0]}, r"encoders.small-1-32.keep = \[1, 0\] has to be 2 different layers"),
    ],
)
def test_wrong_parameters(changes, message):
    with pytest.raises(UserError, match=message):
        study(**changes)
