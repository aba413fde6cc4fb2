"""Models: what they are made of, and that a saved one scores texts by itself as our runs do."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open

import tiny_study
from dualenc.data import collection
from dualenc.data.runs import read_run
from dualenc.encoders import batches, tokens
from dualenc.runtime.errors import UserError
from dualenc.scorers import models, reading, scoring, vectors
from dualenc.steps.inputs import rows
from tiny_study import LENGTHS

KINDS = list(models.MODULES)
every_kind = pytest.mark.parametrize("kind", KINDS)

USE = """
import json, sys
import numpy as np
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder
work = json.load(sys.stdin)
pairs = work["pairs"]
scores = {"cross-attention": CrossEncoder(work["cross-attention"]).predict(pairs).tolist()}
model = SentenceTransformer(work["dual-encoder"])
queries, passages = (model.encode(list(side)) for side in zip(*pairs))
scores["dual-encoder"] = model.similarity_pairwise(queries, passages).tolist()
model = MultiVectorEncoder(work["late-interaction"])
queries, passages = zip(*pairs)
queries, passages = model.encode_query(list(queries)), model.encode_document(list(passages))
scores["late-interaction"] = model.similarity_pairwise(queries, passages).tolist()
model = SparseEncoder(work["learned-sparse"])
queries, passages = (model.encode(list(side)) for side in zip(*pairs))
scores["learned-sparse"] = model.similarity_pairwise(queries, passages).tolist()
assert not any(name.partition(".")[0] == "dualenc" for name in sys.modules)
json.dump(scores, sys.stdout)
"""


@pytest.fixture(scope="module")
def elsewhere(tiny, trained):
    """Scores of all pairs of the test runs, made from texts by a process that does not know this project."""
    passages = collection.passages(tiny / "dataset").set_index("pid").text
    queries = collection.queries(tiny / "dataset", "test").set_index("qid").text
    candidates = read_run(tiny / "evaluation" / "test.run.gz")
    ids = [(qid, pid) for qid, ranking in candidates.items() for pid in ranking.pids]
    work = {kind: str(trained[kind] / "model") for kind in KINDS}
    work |= {"pairs": [(queries[qid], passages[pid]) for qid, pid in ids]}
    done = subprocess.run(
        [sys.executable, "-c", USE],
        input=json.dumps(work),
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        **{"capture_output": True, "encoding": "utf-8", "check": True},
    )
    return {kind: dict(zip(ids, scores, strict=True)) for kind, scores in json.loads(done.stdout).items()}


@every_kind
def test_a_saved_model_scores_texts_as_our_runs_do(trained, elsewhere, kind):
    run = read_run(trained[kind] / "test.run.gz")
    ours = {(q, p): s for q, ranking in run.items() for p, s in zip(ranking.pids, ranking.scores, strict=True)}
    theirs = elsewhere[kind]
    assert set(ours) == set(theirs) and len(ours) > 300
    difference = np.abs([ours[pair] - theirs[pair] for pair in ours])
    tolerance = 1e-5 * np.abs(list(ours.values())).max()
    assert difference.max() <= tolerance
    assert np.std(list(ours.values())) > 20 * tolerance  # the models do tell passages apart


def test_the_test_pairs_are_longer_than_the_limits_in_every_way(tiny):
    candidates = read_run(tiny / "evaluation" / "test.run.gz")
    query_rows, passage_rows = rows(tiny / "dataset", "test"), rows(tiny / "dataset", "passages")
    lengths = [tokens.read(tiny / "tokens", name).lengths() for name in ("queries.test", "passages")]
    pairs = [(query_rows[qid], passage_rows[pid]) for qid, ranking in candidates.items() for pid in ranking.pids]
    query, passage = (side[list(rows)] for side, rows in zip(lengths, zip(*pairs, strict=True), strict=True))
    limit = LENGTHS["pair"]
    for longer, shorter in ((query, passage), (passage, query)):
        assert ((longer > limit) & (shorter > limit) & (longer > shorter)).any()
    assert (query + passage <= limit - 3).any() and (query > LENGTHS["text"]).any()


@every_kind
def test_a_model_folder_needs_nothing_of_ours(trained, kind):
    folder = trained[kind] / "model"
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    assert modules and all(module["type"].startswith("sentence_transformers.") for module in modules)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {*models.FILES["encoder"], *models.FILES[kind]}
    weights = {name for name in files if not name.endswith(".json")}
    assert all(name.endswith(".safetensors") for name in weights)
    for name in weights:
        with safe_open(folder / name, "pt") as file:
            assert all(torch.isfinite(file.get_tensor(key)).all() for key in file.keys())  # noqa: SIM118


@every_kind
def test_a_missing_file_is_named(trained, tmp_path, kind):
    for name in models.FILES["encoder"] + models.FILES[kind]:
        shutil.copytree(trained[kind] / "model", tmp_path / "model", dirs_exist_ok=True)
        (tmp_path / "model" / name).unlink()
        with pytest.raises(UserError) as error:
            models.load(tmp_path / "model", kind)
        assert str(tmp_path / "model" / name) in str(error.value) and "make it again" in str(error.value)
    with pytest.raises(UserError, match=r"nowhere.config.json is missing"):
        models.load(tmp_path / "nowhere", kind)


def start(tiny, kind, dropout=0.1, gain=1.0, pooling="mean"):
    """An untrained scorer."""
    torch.manual_seed(3)
    about = tiny_study.experiment(model=kind, dropout=dropout, gain=gain, pooling=pooling)
    return models.start(tiny / "encoder", about, LENGTHS)


@every_kind
def test_a_scorer_starts_from_the_encoder(tiny, kind):
    scorer = start(tiny, kind)
    with safe_open(tiny / "encoder" / "model.safetensors", "pt") as encoder:
        name = "bert.encoder.layer.0.attention.self.query.weight"
        expected = encoder.get_tensor(name)
    ending = name.partition("bert.")[2]
    (found,) = (tensor for key, tensor in scorer.state_dict().items() if key.endswith(ending))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    with pytest.raises(UserError, match=r"config.json is missing: .* is not a complete encoder folder"):
        start(tiny / "tokens", kind)


@pytest.mark.parametrize("gain", [0.5, 2.0])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_dual_encoder_is_pooled_and_normalised(tiny, gain, pooling):
    model = start(tiny, "dual-encoder", gain=gain, pooling=pooling)
    source = reading.texts(tiny / "tokens", "test", 512)
    model.eval()
    with torch.inference_mode():
        found = vectors.embed(model, source.passages, np.arange(50), source)
    np.testing.assert_allclose(found.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(np.square(found).mean(1), gain**2, rtol=1e-3)
    scores = scoring.score(model, source, np.arange(50) % 7, np.arange(50))
    assert np.abs(scores).max() <= gain**2 * found.shape[1] * (1 + 1e-5)
    text = {"input_ids": torch.tensor([[2, 9, 10, 3, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 1, 0]])}
    with torch.no_grad():
        hidden = model[0](dict(text))["token_embeddings"][0]
        pooled = hidden[0] if pooling == "cls" else hidden[:4].mean(0)
        expected = gain * torch.nn.functional.layer_norm(pooled, (16,))
        torch.testing.assert_close(model(dict(text))["sentence_embedding"][0], expected)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_late_interaction_is_a_mean_of_maxima(tiny, gain):
    """Against the definition, on the token vectors of texts one at a time."""
    model = start(tiny, "late-interaction", gain=gain).eval()
    source = reading.texts(tiny / "tokens", "test", 512)

    def vectors(column, row):
        text = batches.texts(column, [row], source.special, LENGTHS["text"])
        return model[0](dict(text))["token_embeddings"][0].numpy() * gain  # of [CLS], all pieces and [SEP]

    queries, passages = np.arange(60) % 7, np.arange(60)
    expected = []
    with torch.no_grad():
        for query, passage in zip(queries, passages, strict=True):
            products = vectors(source.queries, query) @ vectors(source.passages, passage).T
            expected.append(products.max(axis=1).mean())
    np.testing.assert_allclose(scoring.score(model, source, queries, passages), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cross-attention"])
@pytest.mark.parametrize("budget", [60, 512])
def test_each_text_is_encoded_once(tiny, monkeypatch, kind, budget):
    """Every query with every passage, in no order of the rows: a passage is in more pairs than a batch has."""
    model, source = start(tiny, kind), reading.texts(tiny / "tokens", "test", budget)
    queries, passages = np.meshgrid(np.arange(25), np.arange(3, 33))
    order = np.random.default_rng(1).permutation(queries.size)
    queries, passages = queries.ravel()[order], passages.ravel()[order]
    one_by_one = [
        scoring.score(model, source, *pair)[0] for pair in zip(queries[:, None], passages[:, None], strict=True)
    ]
    read, texts = [], batches.texts
    monkeypatch.setattr(batches, "texts", lambda column, at, *about: read.extend(at) or texts(column, at, *about))
    found = scoring.score(model, source, queries, passages)
    assert sorted(read) == sorted([*range(25), *range(3, 33)])
    np.testing.assert_allclose(found, one_by_one, rtol=1e-4, atol=1e-5)


@every_kind
def test_sets_that_are_reranked_together_get_what_each_gets_alone(tiny, trained, monkeypatch, kind):
    """Each from its own column of queries; a passage that is among the candidates of both is encoded once."""
    model, folder = models.load(trained[kind] / "model", kind), tiny / "dataset"
    sets = []
    for split in ("train", "test"):
        run, of_qids = read_run(tiny / "evaluation" / f"{split}.run.gz"), rows(folder, split)
        sets.append(scoring.Candidates(reading.texts(tiny / "tokens", split, 512), run, of_qids))
    passages = rows(folder, "passages")
    alone = [scoring.rerank(model, *one, passages) for one in sets]
    read, texts = [], batches.texts
    monkeypatch.setattr(batches, "texts", lambda column, at, *about: read.extend(at) or texts(column, at, *about))
    for one, found, expected in zip(sets, scoring.rerank_sets(model, sets, passages), alone, strict=True):
        assert list(found) == list(one.run)
        for qid, ranking in found.items():
            scores = dict(zip(*ranking, strict=True))
            assert scores == pytest.approx(dict(zip(*expected[qid], strict=True)), rel=1e-4, abs=1e-5)
    of_each = [{pid for ranking in one.run.values() for pid in ranking.pids} for one in sets]
    assert of_each[0] & of_each[1]
    encoded = len(of_each[0] | of_each[1]) + sum(len(one.run) for one in sets)
    assert len(read) == (0 if kind == "cross-attention" else encoded)


@pytest.mark.parametrize("kind", ["cross-attention", "dual-encoder"])
def test_dropout_is_at_the_output_in_training_and_off_in_scoring(tiny, kind):
    source = reading.texts(tiny / "tokens", "test", 512)
    pairs = np.arange(30) % 7, np.arange(30)
    with_dropout, without = start(tiny, kind, dropout=0.5), start(tiny, kind, dropout=0.0)
    active = [module.p for module in with_dropout.modules() if isinstance(module, torch.nn.Dropout) and module.p > 0]
    assert active == [0.5]
    with_dropout.train()
    np.testing.assert_array_equal(scoring.score(with_dropout, source, *pairs), scoring.score(without, source, *pairs))
    assert with_dropout.training
    features = {
        "input_ids": torch.tensor([[2, 9, 3, 10, 3]]),
        "attention_mask": torch.ones(1, 5, dtype=torch.int64),
    }
    name = "scores" if kind == "cross-attention" else "sentence_embedding"
    assert len({with_dropout(dict(features))[name].sum().item() for _ in range(8)}) > 1


@every_kind
def test_scores_do_not_depend_on_the_batch(tiny, trained, kind):
    model = models.load(trained[kind] / "model", kind)
    generator = np.random.default_rng(0)
    pairs = generator.integers(0, 60, 200), generator.integers(0, 500, 200)
    alone, small, large = (
        scoring.score(model, reading.texts(tiny / "tokens", "test", budget), *pairs) for budget in (1, 200, 10**6)
    )
    assert alone.dtype == np.float32 and alone.shape == (200,)
    for other in (small, large):
        np.testing.assert_allclose(other, alone, atol=1e-5 * np.abs(alone).max())


@every_kind
def test_reranking_only_reorders(tiny, trained, kind):
    candidates = read_run(tiny / "evaluation" / "test.run.gz")
    run = read_run(trained[kind] / "test.run.gz")
    assert {qid: set(ranking.pids) for qid, ranking in run.items()} == {
        qid: set(ranking.pids) for qid, ranking in candidates.items()
    }
    assert any(run[qid].pids != candidates[qid].pids for qid in run)
    model = models.load(trained[kind] / "model", kind)
    places = rows(tiny / "dataset", "test"), rows(tiny / "dataset", "passages")
    again = scoring.rerank(model, reading.texts(tiny / "tokens", "test", 4096), candidates, *places)
    assert all(again[qid].pids == run[qid].pids for qid in run)


def test_a_miniature_bert():
    shape = {"layers": 2, "width": 64, "heads": 4}
    model = models.pretraining_model(**shape, vocabulary=500, max_length=24, pad=0)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (2, 64, 4)
    assert (config.intermediate_size, config.max_position_embeddings, config.vocab_size) == (256, 24, 500)
    assert not any(module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))


@every_kind
def test_an_encoder_of_short_texts_reads_longer_ones(tiny, tmp_path, kind):
    """What it said of short texts it still says, also when saved and loaded; what is new has no position of its own."""
    longer = {name: length + 8 for name, length in LENGTHS.items()}
    short, long = (models.start(tiny / "encoder", tiny_study.experiment(model=kind), at) for at in (LENGTHS, longer))
    texts = reading.texts(tiny / "tokens", "test", 4096)
    queries = texts._replace(passages=texts.queries)  # some of them are short enough
    few = np.flatnonzero(texts.queries.lengths() < 12)[:5]
    many = np.flatnonzero(texts.passages.lengths() > LENGTHS["pair"])[:5]
    assert len(few) and len(many)
    if kind == "cross-attention":  # its head starts from random weights
        long[0].model.classifier.load_state_dict(short[0].model.classifier.state_dict())

    def scores(model, source, rows):
        return scoring.score(model, source, np.full(len(rows), few[0]), rows)

    assert scores(long, queries, few) == pytest.approx(scores(short, queries, few), abs=1e-6)
    assert not np.allclose(scores(long, texts, many), scores(short, texts, many), atol=1e-3)
    long.save(str(tmp_path / "model"), create_model_card=False)
    again = models.load(tmp_path / "model", kind)
    assert models.max_length(again) == longer["pair" if kind == "cross-attention" else "text"]
    assert np.array_equal(scores(again, texts, many), scores(long, texts, many))
