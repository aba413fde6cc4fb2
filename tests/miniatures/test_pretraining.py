"""Pre-training: what is masked, what each objective is, and that nothing of the answer leaks through the masks."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import tiny_study
from dualenc.data import collection
from dualenc.miniatures import pretraining
from dualenc.miniatures.pretraining import read_pairs, vectors
from dualenc.miniatures.pretraining_batches import Collator, Unlabelled
from dualenc.runtime.errors import UserError
from dualenc.scorers import models
from dualenc.steps.pretrain import concatenated, read, unlabelled
from dualenc.study.schema import Encoder, Objectives
from dualenc.training import resumable
from dualenc.training.masking import IGNORED
from tiny_study import LENGTHS, SETTINGS

VOCABULARY = 600
MASK = 4


@pytest.fixture(scope="module")
def corpus(tiny):
    return read(tiny / "dataset", tiny / "corpora" / "dataset.parquet", SETTINGS["tokens_per_batch"])


@pytest.fixture(scope="module")
def told(tiny):
    """Texts with made-up vectors: those of pieces are their ids, and no number for the last piece of each text."""
    texts = unlabelled(tiny / "texts").texts
    sentences = np.random.default_rng(0).normal(size=(len(texts.lengths()), 4))
    pieces = np.repeat(texts.ids[:, None].astype(np.float32), 3, axis=1)
    pieces[texts.offsets[1:] - 1] = np.nan
    return Unlabelled(texts, sentences / np.linalg.norm(sentences, axis=1, keepdims=True), pieces)


@pytest.fixture
def batch(tiny, corpus):
    """What stands at 8 positions, for a pre-training with other parameters."""

    def make(start=0, texts=None, **changes):
        source, lists = corpus
        rows = np.random.default_rng(0).permutation(len(lists.queries))
        texts = texts or unlabelled(tiny / "texts")
        text_rows = np.random.default_rng(1).permutation(len(texts.texts.lengths()))
        collator = Collator(source, lists, texts, rows, text_rows, tiny_study.pretraining(**changes), LENGTHS)
        return collator([{"position": position} for position in range(start, start + 8)])

    return make


def test_a_share_of_the_texts_is_masked_and_no_pair(batch):
    found = batch(masked_texts=0.25)
    masked = (found["words"] != IGNORED).any(-1)
    assert masked[:4].all() and not masked[4:].any() and len(masked) == 16
    assert not (found["pairs"]["input_ids"] == MASK).any()


def test_what_a_sentence_encoder_says_stands_where_its_texts_do(batch, told):
    found = batch(texts=told, masked_texts=0.25, sentence_encoder=tiny_study.SENTENCE_ENCODER)
    texts, at = found["texts"], found["pieces_at"]
    assert torch.equal(texts["input_ids"][at].float(), found["pieces"][:, 0]) and not at[:4].any()
    rows = np.random.default_rng(1).permutation(len(told.texts.lengths()))[4:16]
    known, room = told.texts.lengths()[rows] - 1, LENGTHS["text"] - 2  # the last piece of a text has no number
    assert np.array_equal(at.sum(1)[4:].numpy(), np.minimum(known, room)) and (known < room).any()
    cosines = told.sentences[rows] @ told.sentences[rows].T
    temperature = tiny_study.SENTENCE_ENCODER.temperature
    torch.testing.assert_close(found["sentences"], torch.tensor(cosines / temperature, dtype=torch.float32))


def test_a_batch_depends_on_the_seed_and_its_position_alone(batch):
    def equal(one, other):
        return all(
            torch.equal(tensor, other[name])
            if isinstance(tensor, torch.Tensor)
            else all(torch.equal(tensor[key], other[name][key]) for key in tensor)
            for name, tensor in one.items()
        )

    assert equal(batch(8), batch(8))
    assert not equal(batch(8), batch(8, seed=2)) and not equal(batch(8), batch(0))


def test_passages_that_are_contrasted_are_a_positive_and_a_negative(batch, corpus):
    found = batch()
    assert torch.equal(found["relevant"][:, 0], torch.ones(8)) and torch.equal(found["relevant"][:, -1], torch.zeros(8))
    assert len(found["passages"]["input_ids"]) == 2 * len(found["queries"]["input_ids"]) == 16


NONE = dict.fromkeys(tiny_study.OBJECTIVES, 0.0)
SHAPE = {"layers": 2, "width": 16, "heads": 2, "vocabulary": VOCABULARY, "max_length": LENGTHS["pair"], "pad": 0}


def trainer(objectives):
    made = object.__new__(pretraining.PretrainingTrainer)
    made.parameters = tiny_study.pretraining(objectives=objectives, sentence_encoder=tiny_study.SENTENCE_ENCODER)
    made.tokens_per_batch = 128  # several parts
    return made


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = models.pretraining_model(**SHAPE).eval()
    made.distilled = torch.nn.Linear(16, 3)
    return made


def test_the_objectives_are_what_they_say(batch, told, model):
    inputs = batch(texts=told, sentence_encoder=tiny_study.SENTENCE_ENCODER)
    parts = {name: trainer(NONE | {name: 1.0}).compute_loss(model, inputs) for name in NONE}

    logits = model(**inputs["pairs"]).seq_relationship_logits
    scores = (logits[:, 0] - logits[:, 1]).view(8, 4)
    positives = inputs["relevant"] > 0
    expected = -torch.stack([row.log_softmax(0)[at].mean() for row, at in zip(scores, positives, strict=True)]).mean()
    torch.testing.assert_close(parts["pair"], expected)
    torch.testing.assert_close(read_pairs(model, inputs["pairs"])[0].view(8, 4), scores)
    queries, passages = (vectors(model, inputs[side], 1.0) for side in ("queries", "passages"))
    table = (queries @ passages.T).log_softmax(1)
    torch.testing.assert_close(parts["contrastive"], -torch.stack([table[i, 2 * i] for i in range(8)]).mean())
    torch.testing.assert_close(queries.square().mean(1), torch.ones(8), rtol=1e-3, atol=1e-3)

    masked, whole = (
        {name: tensor[rows] for name, tensor in inputs["texts"].items()} for rows in (slice(8), slice(8, 16))
    )
    words = torch.nn.functional.cross_entropy(model(**masked).prediction_logits.transpose(1, 2), inputs["words"][:8])
    torch.testing.assert_close(parts["masked"], words)
    own = vectors(model, whole, 1.0)
    others = ~torch.eye(8, dtype=torch.bool)
    divergences = [
        (target.softmax(0) * (target.log_softmax(0) - row.log_softmax(0))).sum()
        for target, row in ((inputs["sentences"][i][others[i]], (own @ own.T)[i][others[i]]) for i in range(8))
    ]
    torch.testing.assert_close(parts["sentences"], torch.stack(divergences).mean())
    hidden = model.bert(**inputs["texts"]).last_hidden_state[inputs["pieces_at"]]
    torch.testing.assert_close(parts["pieces"], (model.distilled(hidden) - inputs["pieces"]).square().mean())

    weights = dict(zip(NONE, (2.0, 3.0, 0.5, 0.25, 1e-4), strict=True))
    mixed = trainer(weights).compute_loss(model, inputs)
    torch.testing.assert_close(mixed, sum(weights[name] * part for name, part in parts.items()))


def test_vectors_that_are_as_alike_as_the_sentence_encoders_cost_nothing(batch, told, model):
    inputs = batch(texts=told, sentence_encoder=tiny_study.SENTENCE_ENCODER)
    own = vectors(model, {name: tensor[8:] for name, tensor in inputs["texts"].items()}, 1.0)
    loss = trainer(NONE | {"sentences": 1.0}).compute_loss(model, inputs | {"sentences": (own @ own.T).detach()})
    torch.testing.assert_close(loss, torch.zeros(()), atol=1e-5, rtol=0)
    loss.backward()
    assert all(one.grad is None or one.grad.abs().max() < 1e-5 for one in model.parameters())


def test_an_objective_without_a_sentence_encoder_is_refused(tiny, tmp_path):
    encoder = tiny_study.ENCODER.model_copy(update={"objectives": Objectives(**NONE | {"pieces": 1.0})})
    with pytest.raises(UserError, match=r"name one in pretraining.sentence_encoder, or set both weights to 0"):
        tiny_study.pretrain(tiny, tmp_path, encoder)


def test_no_text_of_validation_or_test_is_in_a_corpus(tiny):
    lists = pd.read_parquet(tiny / "corpora" / "dataset.parquet")
    seen = set(lists.pids.explode())
    for split in ("validation", "test"):
        assert not seen & {pid for judged in collection.qrels(tiny / "dataset", split).values() for pid in judged}
        assert not set(lists.qid) & set(collection.queries(tiny / "dataset", split).qid)


def test_corpora_together_keep_their_texts(corpus):
    source, lists = concatenated([corpus, corpus])
    first, count = corpus, len(corpus[1].queries)
    assert np.array_equal(lists.labels[count:], first[1].labels)
    for row in (0, count - 1):
        again, before = lists.queries[count + row], first[1].queries[row]
        assert again != before and np.array_equal(source.queries.row(again), first[0].queries.row(before))
        for again, before in zip(lists.passages[count + row], first[1].passages[row], strict=True):
            assert np.array_equal(source.passages.row(again), first[0].passages.row(before))


@pytest.mark.parametrize("objective", ["masked", "contrastive"])  # 20 steps are too few for the pair head
def test_pretraining_lowers_the_losses_of_the_minibatches_that_it_reads(objective, tiny, tmp_path, corpus):
    """Measures of a few held-out queries go up or down after so few steps, as the processor's last bits fall."""
    parameters, texts = tiny_study.pretraining(), unlabelled(tiny / "texts")
    source, lists = corpus
    count = parameters.steps * parameters.batch_size
    rows = resumable.positions(count, len(lists.queries), parameters.seed)
    text_count = parameters.steps * parameters.texts_per_step
    text_rows = resumable.positions(text_count, len(texts.texts.lengths()), parameters.seed)
    collator = Collator(source, lists, texts, rows, text_rows, parameters, LENGTHS)
    starts = range(0, count, parameters.batch_size)
    batches = [collator([{"position": start + i} for i in range(parameters.batch_size)]) for start in starts]

    def loss(encoder):
        model = models.load_pretrained(encoder).eval()
        with torch.no_grad():
            return np.mean([trainer(NONE | {objective: 1.0}).compute_loss(model, inputs) for inputs in batches])

    start = tiny_study.pretrain(tiny, tmp_path, tiny_study.ENCODER.model_copy(update={"steps": 0}))
    assert loss(tiny / "encoder") < loss(start) - 0.05


def test_pretraining_says_what_it_has_learned(tiny):
    curve = pd.read_csv(tiny / "encoder" / "curve.csv")
    metrics = json.loads((tiny / "encoder" / "metrics.json").read_text(encoding="utf-8"))
    validation = curve[curve.split == "validation"]
    last = validation[validation.step == 20].set_index("metric").value
    assert metrics == {"steps": 20, **last.to_dict()}
    assert set(last.index) == {"pair_MRR@10", "vector_MRR@10", "pair_accuracy", "masked_accuracy"}
    assert set(validation.step) == {0, 10, 20}


def test_an_encoder_grows(tiny, tmp_path):
    from dualenc.steps.pretrain import pretrain
    from dualenc.study.schema import Encoder
    from dualenc.study.settings import Pretrain

    texts = tiny, tiny / "corpora", tiny / "texts", "dataset", tiny / "evaluation", tiny / "tokenizer"
    taller = Encoder(layers=3, width=16, heads=1, grows_from="small-2-16")
    params = Pretrain(encoder=taller, pretraining=tiny_study.pretraining(), **tiny_study.PRETRAINING)
    pretrain(params, *texts, tmp_path / "scratch", tmp_path / "new", start=tiny / "encoder")
    curve = pd.read_csv(tmp_path / "new" / "curve.csv").set_index(["split", "metric", "step"]).sort_index().value
    shorter = pd.read_csv(tiny / "encoder" / "curve.csv").set_index(["split", "metric", "step"]).sort_index().value
    assert curve["validation", "pair_MRR@10"][0] == pytest.approx(shorter["validation", "pair_MRR@10"][20], abs=0.02)
    assert curve.index.get_level_values("step").max() == 10


def test_an_encoder_may_have_a_start_steps_and_objectives_of_its_own(tiny, tmp_path):
    """Without a step a miniature is its start, and is probed all the same."""
    shape = tiny_study.ENCODER.model_dump()
    found = {}
    for start in ("random", "words"):
        folder = tiny_study.pretrain(tiny, tmp_path / start, Encoder(**shape | {"start": start, "steps": 0}))
        assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["steps"] == 0
        found[start] = models.load_pretrained(folder).bert.embeddings.word_embeddings.weight.norm(dim=1)
    assert found["words"].std() > 3 * found["random"].std()
    only = NONE | {"masked": 1.0}
    masked = tiny_study.pretrain(tiny, tmp_path / "masked", Encoder(**shape | {"objectives": only}))
    head = models.load_pretrained(masked).cls.seq_relationship.weight
    untrained = models.load_pretrained(tmp_path / "words" / "encoder").cls.seq_relationship.weight
    assert torch.equal(head, untrained)
    assert not torch.equal(models.load_pretrained(tiny / "encoder").cls.seq_relationship.weight, untrained)
