"""Faster ways to the same: minibatches read in parts without padding, and layers that multiply in bfloat16."""

import copy
import json
from functools import partial

import numpy as np
import pytest
import torch

import tiny_study
from dualenc.data.runs import read_run
from dualenc.encoders import batches, precision
from dualenc.evaluation.metrics import evaluate
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from dualenc.scorers import models, scoring
from dualenc.steps import inputs
from dualenc.training.minibatches import Collator
from dualenc.training.objective import ListLoss
from tiny_study import LENGTHS, SETTINGS

KINDS = list(models.MODULES)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def bfloat16(monkeypatch):
    """Switches bfloat16 on or off: any processor can calculate so, if slowly."""

    def switch(on):
        of_training = "bfloat16, plain attention"
        ways = {False: "bfloat16", True: of_training} if on else dict.fromkeys((False, True), "float32")
        monkeypatch.setattr(precision, "way", lambda width, training: ways[training])

    return switch


@pytest.mark.parametrize("budget", [1, 40, 300, 10_000])
def test_parts_of_a_batch_hold_its_rows_without_their_padding(budget):
    generator = np.random.default_rng(1)
    lengths = generator.integers(1, 50, 40)
    mask = torch.from_numpy((np.arange(60) < lengths[:, None]).astype(np.int64))
    mask[:, 1:-1:7] = 0  # token dropout leaves holes
    whole = {"input_ids": torch.from_numpy(generator.integers(1, 99, mask.shape)), "attention_mask": mask}
    parts, places = batches.unpadded(whole, budget)
    for name, tensor in whole.items():
        rows = [row for part in parts for row in part[name]]
        for place, row, of_mask in zip(places, tensor, mask, strict=True):
            found = rows[place]
            assert torch.equal(found, row[: len(found)]) and not of_mask[len(found) :].any()
    kept = [part["attention_mask"] for part in parts]
    assert sum(int(one.sum()) for one in kept) == int(mask.sum())
    assert all(one[:, -1].any() for one in kept)  # no part is longer than its longest row
    assert all(one.numel() <= budget or len(one) == 1 for one in kept)


def loss_and_gradient(tiny, kind, tokens_per_batch):
    texts = inputs.data(tiny / "dataset", tiny / "tokens", SETTINGS["tokens_per_batch"])
    about = tiny_study.experiment(model=kind, dropout=0.0)
    torch.manual_seed(3)
    model = models.start(tiny / "encoder", about, LENGTHS)
    lists = inputs.read_lists(tiny / "lists.parquet", tiny / "dataset", texts.query_rows["train"])
    batch = Collator(lists, texts.sources["train"], about, LENGTHS, 1)([{"position": at} for at in range(8)])
    label = batch.pop("label")
    sides = [list(batch.values())] if kind == "cross-attention" else []
    for prefix in () if sides else ("query_", "passage_"):
        sides.append({name.removeprefix(prefix): batch[name] for name in batch if name.startswith(prefix)})
    features = sides[0] if kind == "cross-attention" else sides
    loss = ListLoss(model, about, tiny / "encoder", tokens_per_batch)(features, label)
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@every_kind
def test_reading_in_parts_changes_neither_loss_nor_gradient(tiny, kind, bfloat16):
    bfloat16(False)
    whole, gradient = loss_and_gradient(tiny, kind, 10**6)
    parts, of_parts = loss_and_gradient(tiny, kind, 100)
    assert parts == pytest.approx(whole, rel=1e-5)
    largest = max(float(one.abs().max()) for one in gradient.values())
    for name, one in gradient.items():
        # What moves all scores of a list alike changes no loss: this gradient is a sum of up to 1 that is 0.
        rounding = torch.finfo(torch.float32).eps if name.endswith("classifier.bias") else 1e-5 * largest
        torch.testing.assert_close(of_parts[name], one, rtol=0, atol=rounding)


@every_kind
def test_bfloat16_changes_loss_and_gradient_by_its_rounding(tiny, kind, bfloat16):
    bfloat16(False)
    exact, gradient = loss_and_gradient(tiny, kind, 4096)
    bfloat16(True)
    rounded, of_rounded = loss_and_gradient(tiny, kind, 4096)
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.02)
    both = [torch.cat([one[name].ravel() for name in gradient]) for one in (gradient, of_rounded)]
    # In late interaction another token may become the most similar one: .984 has been seen.
    least = 0.95 if kind == "late-interaction" else 0.99
    assert torch.nn.functional.cosine_similarity(*both, dim=0) > least


@every_kind
def test_scores_in_bfloat16_are_those_in_float32_but_for_its_rounding(tiny, trained, kind, bfloat16):
    texts = inputs.data(tiny / "dataset", tiny / "tokens", SETTINGS["tokens_per_batch"])
    source = texts.sources["test"]
    queries = np.repeat(np.arange(20), 30)
    passages = np.random.default_rng(1).integers(len(source.passages.lengths()), size=600)
    found = []
    for on in (False, True):
        bfloat16(on)
        model = models.load(trained[kind] / "model", kind)
        found.append(scoring.score(model, source, queries, passages))
    exact, rounded = found
    assert not np.array_equal(exact, rounded)
    assert np.abs(exact - rounded).max() < 0.02 * np.abs(exact).max()
    # Scores that were themselves of bfloat16 would have a hundred values or so.
    assert len(np.unique(rounded)) > 0.9 * len(np.unique(exact))


def test_a_copy_of_a_model_reads_with_its_own_layers(trained, bfloat16):
    bfloat16(True)
    model = models.load(trained["dual-encoder"] / "model", "dual-encoder")
    other = copy.deepcopy(model)
    for weight in other.transformers_model.encoder.parameters():
        weight.data.zero_()
    ids = torch.arange(5, 25)[None]
    features = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    outputs = [one(dict(features))["sentence_embedding"] for one in (model, other)]
    assert not torch.equal(*outputs)
    doubled = copy.deepcopy(model).double()(dict(features))["sentence_embedding"]
    assert doubled.dtype == torch.float64  # which autocast leaves alone


def test_metrics_before_and_after_differ_by_less_than_seeds_do(tiny, tmp_path, bfloat16):
    """Before: whole minibatches in float32, as the library reads them. After: in parts, in bfloat16."""
    found = {}
    for after in (False, True):
        bfloat16(after)
        told = SETTINGS | {"tokens_per_batch": 128 if after else 10**6}
        about = tiny_study.experiment(steps=40, learning_rate=3e-3)
        for seed in range(1, 5):
            folder = tiny_study.train(tiny, tmp_path / str(after), about, seed=seed, told=told)
            run, qrels = read_run(folder / "test.run.gz"), tiny / "evaluation" / "test.qrels.tsv"
            found.setdefault(after, []).append(_ndcg(run, qrels))
    before, after = np.array(found[False]), np.array(found[True])
    spread = before.std(ddof=1)
    assert spread > 0 and not np.array_equal(before, after)
    assert abs(after.mean() - before.mean()) < 2 * spread * np.sqrt(2 / len(before))


def _ndcg(run, qrels):
    from dualenc.data.collection import read_qrels

    values = evaluate(run, read_qrels(qrels), ["nDCG@10"])["nDCG@10"].values()
    return sum(values) / len(values)


def test_the_manifest_of_teacher_scores_says_how_they_were_calculated(tiny, trained, tmp_path, bfloat16):
    from dualenc.steps.teacher_scores import teacher_scores
    from dualenc.study.settings import Scorer

    params = Scorer(model="cross-attention", tokens_per_batch=4096)
    inputs = tiny / "dataset", tiny / "tokens", trained["cross-attention"] / "model", tiny / "lists.parquet"
    for on, expected in ((False, "float32"), (True, "bfloat16")):
        bfloat16(on)
        output = tmp_path / expected / "lists.parquet"
        teacher_scores(params, *inputs, tmp_path / "scratch", output)
        assert read_json(f"{output}.json")["layers"] == expected


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Measurements that are made up, and what was asked for; choices are kept in an empty folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked, seconds = [], {"float32": 2.0, "bfloat16": 1.0, "bfloat16, plain attention": 1.5}

    def measure(width, training):
        asked.append((width, training))
        return seconds

    monkeypatch.setattr(precision, "measure", measure)
    precision._chosen.cache_clear()
    yield asked, seconds
    precision._chosen.cache_clear()


def test_narrow_layers_stay_in_float32_and_nothing_is_measured(measured):
    assert {precision.way(width, training=True) for width in (24, 64, 127)} == {"float32"}
    assert measured[0] == []


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"float32": 1.0}, "float32"),
        ({"float32": 1.0, "bfloat16": 0.9, "bfloat16, plain attention": 2.0}, "float32"),  # too little for the rounding
        ({"float32": 1.0, "bfloat16": 0.5, "bfloat16, plain attention": 0.6}, "bfloat16"),
        ({"float32": 1.0, "bfloat16": 0.5, "bfloat16, plain attention": 0.4}, "bfloat16, plain attention"),
        ({"float32": 1.0, "bfloat16": 70.0, "bfloat16, plain attention": 70.0}, "float32"),
    ],
)
def test_the_fastest_way_is_chosen_if_it_is_clearly_faster(seconds, expected):
    assert precision.fastest(seconds) == expected


@pytest.mark.parametrize(("product", "tried"), [(0.5, 3), (1.0, 3), (1.5, 3), (100.0, 1)])
def test_only_where_bfloat16_is_emulated_it_is_not_tried_in_layers(monkeypatch, product, tried):
    def seconds(call):
        """Of a product, which is a partial function, and of a layer."""
        return product if isinstance(call, partial) and call.args[0].dtype == torch.bfloat16 else 1.0

    monkeypatch.setattr(precision, "_seconds", seconds)
    assert len(precision.measure(128, training=False)) == tried


def test_a_choice_is_measured_once_on_a_machine(measured, monkeypatch):
    asked, seconds = measured
    assert precision.way(384, training=True) == precision.way(384, training=True) == "bfloat16"
    precision._chosen.cache_clear()  # as in another process
    seconds |= {"bfloat16": 9.0, "bfloat16, plain attention": 9.0}
    assert precision.way(384, training=True) == "bfloat16" and asked == [(384, True)]
    assert precision.way(384, training=False) == "float32" and asked == [(384, True), (384, False)]
    monkeypatch.setattr(precision, "processor", lambda: "another")
    precision._chosen.cache_clear()
    assert precision.way(384, training=True) == "float32" and len(asked) == 3


def test_of_two_that_measure_at_once_the_first_decides(measured, monkeypatch, tmp_path):
    seconds = measured[1]

    def slowly(width, training):
        monkeypatch.setattr(precision, "measure", lambda width, training: seconds)
        precision._chosen.__wrapped__(width, training)
        return {"float32": 1.0}

    monkeypatch.setattr(precision, "measure", slowly)
    assert precision.way(384, training=True) == "bfloat16"
    assert len(list((tmp_path / "cache/dualenc/precision").iterdir())) == 1


def test_a_cache_that_nobody_may_write_is_done_without(measured, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder", encoding="utf-8")
    assert precision.way(384, training=True) == "bfloat16"


def test_a_broken_choice_is_one_sentence(measured, tmp_path):
    precision.way(384, training=True)
    (file,) = (tmp_path / "cache/dualenc/precision").iterdir()
    assert json.loads(file.read_text(encoding="utf-8"))["width"] == 384
    file.write_text("{", encoding="utf-8")
    precision._chosen.cache_clear()
    with pytest.raises(UserError, match=str(file)):
        precision.way(384, training=True)


@pytest.mark.parametrize("training", [False, True])
def test_a_measurement_times_a_layer_and_leaves_random_numbers_alone(training):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    seconds = precision.measure(128, training)
    assert torch.equal(torch.rand(3), expected) and torch.get_num_threads() == threads
    assert "float32" in seconds and set(seconds) <= set(precision.WAYS) and min(seconds.values()) > 0
