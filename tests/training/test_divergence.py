"""A training whose numbers are not finite says so at once, shows none of them, and keeps nothing of them."""

import numpy as np
import pytest
import torch

import tiny_study
from dualenc.data import collection
from dualenc.data.runs import read_run
from dualenc.miniatures import pretraining
from dualenc.runtime.errors import UserError
from dualenc.scorers import models, reading
from dualenc.steps.inputs import passage_rows, rows
from dualenc.training import divergence, objective, trainer
from dualenc.training.resumable import WHOLE
from processes import run
from tiny_study import LENGTHS, experiment


def refused(what: str, step: int, steps: int = 20):
    """That a block raises the sentence."""
    return pytest.raises(UserError, match=rf"^step {step} of {steps}: {what} is (nan|-?inf), so training stops here; ")


def losses_are(change, monkeypatch):
    """Have ``change`` make each loss of a training another; it is given the number of the step, from 1."""
    original, step = objective.ListLoss.forward, iter(range(1, 100))
    monkeypatch.setattr(objective.ListLoss, "forward", lambda *args, **kw: change(original(*args, **kw), next(step)))


@pytest.mark.parametrize("model", trainer.TRAINERS)
def test_a_rate_that_is_too_large(tiny, tmp_path, capfd, model):
    with refused("the loss", 3) as caught:
        tiny_study.train(tiny, tmp_path, experiment(model=model).model_copy(update={"learning_rate": 1e30}))
    assert "check learning_rate (1e+30)" in str(caught.value)
    assert "nan" not in capfd.readouterr().err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_a_pretraining(tiny, tmp_path, monkeypatch):
    parameters = tiny_study.pretraining().model_copy(update={"learning_rate": 1e30})
    monkeypatch.setattr(tiny_study, "pretraining", lambda: parameters)
    with refused("the loss", 3):
        tiny_study.pretrain(tiny, tmp_path, tiny_study.ENCODER)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_masked_words_of_which_there_are_none(tiny, tmp_path):
    about = experiment(mlm_weight=0.1).model_copy(update={"mlm_masked": 0.0})
    with refused("the loss", 1):
        tiny_study.train(tiny, tmp_path, about)


def infinite_gradient(loss, step):
    if step == 13:
        loss.register_hook(lambda gradient: gradient * torch.inf)
    return loss


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda loss, step: loss * (torch.nan if step == 13 else 1), "the loss"),
        (infinite_gradient, "the norm of the gradient"),
    ],
    ids=["loss", "gradient"],
)
def test_what_was_kept_before_is_resumed_with_the_same_bits(tiny, trained, tmp_path, monkeypatch, change, what):
    with monkeypatch.context() as patched, refused(what, 13):
        losses_are(change, patched)
        tiny_study.train(tiny, tmp_path, experiment())
    assert [path.parent.name for path in tmp_path.rglob(WHOLE)] == ["checkpoint-10"]
    assert not (tmp_path / "run").exists()
    steps = []
    losses_are(lambda loss, step: steps.append(step) or loss, monkeypatch)
    output = tiny_study.train(tiny, tmp_path, experiment())
    assert len(steps) == 10
    for name in ("model/model.safetensors", "curve.csv", "test.run.gz"):
        assert (output / name).read_bytes() == (trained["dual-encoder"] / name).read_bytes()


def test_no_model_is_kept_whose_weights_are_not_finite(tiny, tmp_path):
    """No loss has shown it yet: the second step is the first with a rate above 0, and too large for a weight."""
    about = experiment().model_copy(update={"learning_rate": 1e39})
    with refused("a weight", 2):
        tiny_study.train(tiny, tmp_path, about, told=tiny_study.SETTINGS | {"checkpoints": [0, 2]})
    assert not (tmp_path / "run").exists() and not list(tmp_path.rglob("step-2"))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_weight_is_enough(value):
    class About:
        max_steps, global_step, learning_rate = 5, 4, 0.1

    model = torch.nn.Linear(3, 2)
    divergence.check_weights(About, About, model)
    model.weight.data[1, 2] = value
    with refused("a weight", 4, 5):
        divergence.check_weights(About, About, model)


@pytest.mark.long
def test_processes_that_train_together(tiny, tmp_path):
    infinite = {"temperature": 1e-40, "label_smoothing": 0.0}  # what the scores are divided by
    about = experiment(loss_parameters=infinite, steps=4, evaluate_every=4)
    command = tiny_study.train_command(tiny, about, tmp_path / "scratch", tmp_path / "out" / "seed-1")
    assert run([*command, "--processes", 2], tmp_path / "log") == 2
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "of 4: the loss is nan, so training stops here; " in log and "Traceback" not in log
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("found", "masked"), [(True, 0.0), (False, 0.15)])
def test_what_cannot_be_probed_has_no_number(tiny, found, masked):
    """Without a relevant passage among the candidates there are no pairs to tell apart, nor any to mask words of."""
    folder = tiny / "dataset"
    candidates = read_run(tiny / "evaluation" / "validation.run.gz")
    qrels = collection.qrels(folder, "validation") if found else {qid: {"nowhere": 1} for qid in candidates}
    source = reading.texts(tiny / "tokens", "validation", 4096)
    held_out = pretraining.Held(source, candidates, qrels, rows(folder, "validation"), passage_rows(folder, candidates))
    parameters = tiny_study.pretraining().model_copy(update={"masked": masked})
    with torch.inference_mode():
        values = pretraining.probe(models.load_pretrained(tiny / "encoder").eval(), held_out, parameters, LENGTHS)
    assert set(values) == {"pair_MRR@10", "vector_MRR@10"} | ({"pair_accuracy"} if found else set())
    assert np.isfinite(list(values.values())).all()
