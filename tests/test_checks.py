"""What no field of params.yaml can see alone: each a sentence that says what to change."""

import pytest

from dualenc import config
from test_config import PARAMS, changed, message


@pytest.mark.parametrize(
    ("loss", "parameters", "wrong"),
    [
        ("softmax-ce", {"temperature": 0}, "temperature"),
        ("softmax-ce", {"temperature": -1.0}, "temperature"),
        ("softmax-ce", {"temperature": float("inf")}, "temperature"),
        ("softmax-ce", {"temperature": float("nan")}, "temperature"),
        ("softmax-ce-onehot", {"temperature": 1.0, "label_smoothing": 1.0}, "label_smoothing"),
        ("softmax-ce-onehot", {"temperature": 1.0, "label_smoothing": -0.1}, "label_smoothing"),
        ("focal", {"temperature": 1.0, "gamma": -0.5}, "gamma"),
        ("rankdistil-b", {"gamma0": float("inf")}, "gamma0"),
    ],
)
def test_loss_parameters_out_of_range(loss, parameters, wrong):
    one_hot = loss in ("softmax-ce-onehot", "focal")
    own = {"inherits": "de" if one_hot else "distilled", "loss": loss, "loss_parameters": parameters}
    error = message(changed({"experiments.own": own}))
    assert f"experiments.own.loss_parameters.{wrong} = {float(parameters[wrong])} must be " in error


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        ("softmax-ce-onehot", {"temperature": 0.01, "label_smoothing": 0.99}),
        ("focal", {"temperature": 10.0, "gamma": 0.0}),
        ("rankdistil-b", {"gamma0": -3.0}),
    ],
)
def test_loss_parameters_at_the_ends_of_their_range(loss, parameters):
    own = {
        "inherits": "distilled" if loss == "rankdistil-b" else "de",
        "loss": loss,
        "loss_parameters": parameters,
    }
    study = config.study(changed({"experiments.own": own}))
    assert study.run("own").loss_parameters == parameters


@pytest.mark.parametrize("parameters", [{}, {"temperature": 1.0, "tau": 1.0}, {"tau": 1.0}])
def test_the_parameters_of_a_loss_are_exactly_its_own(parameters):
    error = message(changed({"experiments.de-softmax-ce.loss_parameters": parameters}))
    assert "experiments.de-softmax-ce.loss_parameters" in error
    assert str(sorted(parameters)) in error and "['temperature']" in error


def test_more_passages_than_a_list_has():
    length = PARAMS["scales"]["smoke"]["list_length"]
    error = message(changed({"experiments.de-mse.list_size": length + 1}))
    assert f"experiments.de-mse.list_size = {length + 1} is larger than the {length} passages" in error
    assert "scales.smoke.list_length" in error
    assert config.study(changed({"experiments.de-mse.list_size": length})).run("de-mse").list_size == length


def test_teachers():
    missing = message(changed({"experiments.distilled.teacher": None}))
    assert missing.startswith("experiments.distilled has no teacher")
    top = message(changed({"experiments.de.selection": "top"}))
    assert top.startswith("experiments.de has no teacher")
    needless = message(changed({"experiments.de.teacher": "ca"}))
    assert needless.startswith("experiments.de.teacher = 'ca'") and "null" in needless
    error = message(changed({"experiments.de-m3se.teacher": "de-mse"}))
    assert error.startswith("experiments.de-m3se.teacher = 'de-mse' is itself distilled from 'ca'")
    for teacher in ("de", "colbert", "ca.small-1-16"):
        assert config.study(changed({"experiments.de-m3se.teacher": teacher})).run("de-m3se").teacher == teacher
    unknown = message(changed({"experiments.de-m3se.teacher": "ca.small-1-17"}))
    assert "experiments.de-m3se.teacher" in unknown and unknown.endswith("did you mean small-1-16?")


@pytest.mark.parametrize(("key", "value"), [("in_batch", True), ("uniform", 3), ("mlm_weight", 0.5)])
def test_what_only_encoders_of_single_texts_can_do(key, value):
    error = message(changed({f"experiments.ca.{key}": value}))
    assert error.startswith(f"experiments.ca.{key} = {value}, but a cross-attention model encodes pairs")
    assert getattr(config.study(changed({f"experiments.colbert.{key}": value})).run("colbert"), key) == value


def test_what_an_artefact_needs():
    error = message(changed({"artefacts.fig1.needs": ["runs", "curve"]}))
    assert error.startswith("params.yaml: artefacts.fig1.needs.1 = 'curve' is not allowed")
    assert error.endswith("did you mean curves?")
    early = message(changed({"artefacts.fig1.needs": ["checkpoints"], "scales.smoke.early": 20}))
    assert early.startswith("artefacts.fig1 needs checkpoints of ca.small-1-16, but scales.smoke.early = 20 is not")
    assert "last step 20" in early
    config.study(changed({"artefacts.fig1.needs": ["metrics", "checkpoints"], "scales.smoke.early": 19}))


def test_texts_longer_than_the_encoder_has_positions():
    error = message(changed({"scales.smoke.lengths": {"text": 65, "pair": 64}}))
    assert error.startswith("scales.smoke.lengths.text = 65 is larger than lengths.pair = 64")
