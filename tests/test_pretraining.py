"""Pre-training: what is masked, what each objective is, and that nothing of the answer leaks through the masks."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import tiny_study
from dualenc import datasets, models, pretraining, resumable
from dualenc.masking import IGNORED
from dualenc.parameters import Encoder
from dualenc.pretraining import read_pairs, vectors
from dualenc.steps.pretrain import read, together
from tiny_study import LENGTHS, SETTINGS

VOCABULARY = 600


@pytest.fixture(scope="module")
def corpus(tiny):
    return read(tiny / "dataset", tiny / "corpora" / "dataset.parquet", SETTINGS["tokens_per_batch"])


@pytest.fixture
def batch(corpus):
    """What stands at 8 positions, for a pre-training with other parameters."""

    def make(start=0, **changes):
        source, lists = corpus
        rows = np.random.default_rng(0).permutation(len(lists.queries))
        collator = pretraining.Collator(source, lists, rows, tiny_study.pretraining(**changes), LENGTHS)
        return collator([{"position": position} for position in range(start, start + 8)])

    return make


def test_a_list_is_masked_in_all_of_its_pairs_or_in_none(batch):
    """Else the masks would say which pair is the relevant one."""
    words = batch(masked_lists=0.5)["words"].view(8, 4, -1)
    per_pair = (words != IGNORED).any(-1)
    assert torch.equal(per_pair.all(1), per_pair.any(1))
    assert 0 < per_pair[:, 0].sum() < 8


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
    found = batch(masked_lists=0.0)
    assert torch.equal(found["relevant"][:, 0], torch.ones(8)) and torch.equal(found["relevant"][:, -1], torch.zeros(8))
    assert len(found["passages"]["input_ids"]) == 2 * len(found["queries"]["input_ids"]) == 16


def trainer(objectives):
    made = object.__new__(pretraining.PretrainingTrainer)
    made.parameters = tiny_study.pretraining(objectives=objectives)
    return made


def test_the_objectives_are_what_they_say(batch):
    shape = {"layers": 2, "width": 16, "heads": 2, "vocabulary": VOCABULARY, "max_length": LENGTHS["pair"], "pad": 0}
    torch.manual_seed(0)
    model = models.pretraining_model(**shape).eval()
    inputs = batch(masked_lists=1.0)
    none = {"masked": 0.0, "pair": 0.0, "contrastive": 0.0}
    parts = {name: trainer(none | {name: 1.0}).compute_loss(model, inputs) for name in none}

    own = model(**inputs["pairs"], labels=inputs["words"], next_sentence_label=torch.zeros(32, dtype=torch.long))
    logits = own.seq_relationship_logits
    words = torch.nn.functional.cross_entropy(own.prediction_logits.transpose(1, 2), inputs["words"])
    torch.testing.assert_close(parts["masked"], words)
    scores = (logits[:, 0] - logits[:, 1]).view(8, 4)
    positives = inputs["relevant"] > 0
    expected = -torch.stack([row.log_softmax(0)[at].mean() for row, at in zip(scores, positives, strict=True)]).mean()
    torch.testing.assert_close(parts["pair"], expected)
    queries, passages = (vectors(model, inputs[side], 1.0) for side in ("queries", "passages"))
    table = (queries @ passages.T).log_softmax(1)
    torch.testing.assert_close(parts["contrastive"], -torch.stack([table[i, 2 * i] for i in range(8)]).mean())
    torch.testing.assert_close(queries.square().mean(1), torch.ones(8), rtol=1e-3, atol=1e-3)
    mixed = trainer({"masked": 0.5, "pair": 2.0, "contrastive": 3.0}).compute_loss(model, inputs)
    torch.testing.assert_close(mixed, 0.5 * parts["masked"] + 2 * parts["pair"] + 3 * parts["contrastive"])
    torch.testing.assert_close(read_pairs(model, inputs["pairs"])[0].view(8, 4), scores)


def test_a_batch_without_a_masked_list_teaches_nothing_about_words(batch):
    shape = {"layers": 2, "width": 16, "heads": 2, "vocabulary": VOCABULARY, "max_length": LENGTHS["pair"], "pad": 0}
    model = models.pretraining_model(**shape)
    loss = trainer({"masked": 1.0, "pair": 0.0, "contrastive": 0.0}).compute_loss(model, batch(masked_lists=0.0))
    loss.backward()
    assert loss == 0 and all(one.grad is None or not one.grad.any() for one in model.parameters())


def test_no_text_of_validation_or_test_is_in_a_corpus(tiny):
    lists = pd.read_parquet(tiny / "corpora" / "dataset.parquet")
    seen = set(lists.pids.explode())
    for split in ("validation", "test"):
        assert not seen & {pid for judged in datasets.qrels(tiny / "dataset", split).values() for pid in judged}
        assert not set(lists.qid) & set(datasets.queries(tiny / "dataset", split).qid)


def test_corpora_together_keep_their_texts(corpus):
    source, lists = together([corpus, corpus])
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
    none, parameters = {"masked": 0.0, "pair": 0.0, "contrastive": 0.0}, tiny_study.pretraining()
    source, lists = corpus
    count = parameters.steps * parameters.batch_size
    rows = resumable.positions(count, len(lists.queries), parameters.seed)
    collator = pretraining.Collator(source, lists, rows, parameters, LENGTHS)
    starts = range(0, count, parameters.batch_size)
    batches = [collator([{"position": start + i} for i in range(parameters.batch_size)]) for start in starts]

    def loss(encoder):
        model = models.load_pretrained(encoder).eval()
        with torch.no_grad():
            return np.mean([trainer(none | {objective: 1.0}).compute_loss(model, inputs) for inputs in batches])

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
    from dualenc.parameters import Encoder
    from dualenc.steps.pretrain import pretrain

    texts = tiny, tiny / "corpora", "dataset", tiny / "evaluation", tiny / "tokenizer", tiny / "encoder"
    taller = Encoder(layers=3, width=16, heads=1, grows_from="small-2-16")
    pretrain(*texts, taller, tiny_study.pretraining(), tiny_study.PRETRAINING, tmp_path / "scratch", tmp_path / "new")
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
    only = {"masked": 1.0, "pair": 0.0, "contrastive": 0.0}
    masked = tiny_study.pretrain(tiny, tmp_path / "masked", Encoder(**shape | {"objectives": only}))
    head = models.load_pretrained(masked).cls.seq_relationship.weight
    untrained = models.load_pretrained(tmp_path / "words" / "encoder").cls.seq_relationship.weight
    assert torch.equal(head, untrained)
    assert not torch.equal(models.load_pretrained(tiny / "encoder").cls.seq_relationship.weight, untrained)
