"""What no field of params.yaml can see alone: each a sentence that says what to change."""

import pytest

from dualenc.study import artefacts, config
from params import PARAMS, changed, message


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
    assert error.startswith(f"experiments.ca.{key} = {value}, but a cross-attention model reads pairs")
    assert getattr(config.study(changed({f"experiments.colbert.{key}": value})).run("colbert"), key) == value


def test_what_an_artefact_needs():
    error = message(changed({"scales.smoke.artefacts.fig1.needs": ["runs"]}))
    assert error.startswith("params.yaml: scales.smoke.artefacts.fig1.needs is not a known key; allowed: exp")
    early = message(changed({"scales.smoke.early": 20}))
    assert early.startswith(
        "params.yaml: scales.smoke.early = 20 is not before 20, the last step of ca, whose checkpoints fig7 "
    )
    config.study(changed({"scales.smoke.early": 19}))


@pytest.mark.parametrize(
    ("shows", "told"),
    [
        ({"needs": ["runs", "curve"]}, "SHOWS.needs.1 = 'curve' is not allowed; allowed: "),
        ({"experiment": ["de"]}, "SHOWS.experiment is not a known key; allowed: experiments, "),
        ({"experiments": ["dee"]}, "SHOWS.experiments = 'dee' is unknown; allowed: "),
        ({"experiments": ["de"], "options": {"margin": 1}}, "SHOWS.options.margin is not a known key; there is none."),
    ],
)
def test_what_a_module_declares(shows, told, monkeypatch):
    declared = artefacts.declared

    def changed(kind, name, constant):
        return shows if (name, constant) == ("fig1", "SHOWS") else declared(kind, name, constant)

    monkeypatch.setattr(artefacts, "declared", changed)
    assert message(PARAMS).startswith(f"src/dualenc/figures/fig1.py: {told}")


def test_texts_longer_than_the_encoder_has_positions():
    error = message(changed({"scales.smoke.lengths": {"text": 65, "pair": 64}}))
    assert error.startswith("scales.smoke.lengths.text = 65 is larger than lengths.pair = 64")


@pytest.mark.parametrize("name", ["random", "bm25", "one-hot"])
def test_names_that_stand_for_something(name):
    error = message(changed({"experiments": PARAMS["experiments"] | {name: {"inherits": "de"}}}))
    assert error.startswith(f"params.yaml: experiments.{name} needs another name, as '{name}' stands for ")


def test_a_family_with_the_name_of_an_encoder():
    error = message(changed({"scales.smoke.encoders.small-1-16": ["small-1-32"]}))
    assert error.startswith("params.yaml: scales.smoke.encoders.small-1-16 is a family named like an encoder")


def test_families_that_a_scale_needs():
    assert "scales.smoke.encoders.student is missing" in message(changed({"scales.smoke.encoders.student": ...}))
    error = message(changed({"scales.smoke.encoders.deep": ...}))
    assert error.startswith("src/dualenc/figures/fig1.py: SHOWS.encoders = 'deep' is unknown; allowed: student, ")
    assert "scales.smoke.encoders.deep = [] is not allowed" in message(changed({"scales.smoke.encoders.deep": []}))


def test_masked_words_of_which_none_is_masked():
    own = {"inherits": "de", "mlm_weight": 0.1, "mlm_masked": 0}
    error = message(changed({"experiments.own": own}))
    assert error.startswith("params.yaml: experiments.own.mlm_masked = 0.0 masks no words, but mlm_weight = 0.1 asks")
    for allowed in ({"mlm_weight": 0}, {"mlm_masked": 0.01}):
        config.study(changed({"experiments.own": own | allowed}))


def test_sizes_are_those_of_the_evaluation_sets():
    assert "sizes.queries.test is missing" in message(changed({"scales.smoke.sizes.queries": {"validation": 60}}))
    extra = PARAMS["scales"]["smoke"]["sizes"]["queries"] | {"trec-dl-2019": 43}
    error = message(changed({"scales.smoke.sizes.queries": extra}))
    assert "scales.smoke.sizes.queries = 'trec-dl-2019' is unknown; allowed: validation, test" in error
    error = message(changed({"scale": "paper", "scales.paper.sizes.queries": {"validation": 200, "test": 6980}}))
    assert "scales.paper.sizes.queries.trec-dl-2019 is missing" in error


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scales.smoke.depth": 15}, "scales.smoke.list_length = 16 is larger than depth = 15"),
        ({"scales.smoke.score_matrix": {"queries": 41, "passages": 40}}, "score_matrix.passages = 40 is less than its"),
        ({"scales.smoke.pretraining.list_size": 17}, "pretraining.list_size = 17 is larger than list_length = 16"),
        ({"scales.smoke.pretraining.corpora": {"pydoc": 1}}, "pretraining.corpora = 'pydoc' is unknown"),
        ({"datasets.pydocs.min_query_words": 41}, "min_query_words = 41 is larger than max_words = 40"),
        ({"datasets.pydocs.fractions.test": 0.2}, "is not allowed: make the three add up to 1."),
        ({"datasets.arxiv-cs.splits.validation": "train"}, "train and validation are the same: give each its own"),
        ({"datasets.natural-questions.max_queries.validation": None}, "max_queries.validation = None is not allowed"),
        ({"encoders.small-3-64.grows_from": "small-2-65"}, "encoders.small-3-64.grows_from = 'small-2-65' is unknown"),
        ({"encoders.small-3-64.grows_from": "small-2-32"}, "with 2 layers of width 32, is not allowed: small-3-64 has"),
        ({"encoders.small-2-64.grows_from": "small-3-64"}, "with 3 layers of width 64, is not allowed"),
        ({"encoders.small-2-64.grows_from": "small-2-64"}, "leads back to itself (small-2-64 -> small-2-64)"),
        ({"evaluation.confidence": 1.0}, "evaluation.confidence = 1.0 is not allowed: give a number above 0 and below"),
        ({"experiments.de.dropout": 1}, "experiments.de.dropout = 1 is not allowed: give a number from 0 and below 1."),
        ({"scales.smoke.seeds": [-1]}, "scales.smoke.seeds.0 = -1 is not allowed: give a whole number from 0 to"),
        ({"scales.smoke.seeds": [2**32]}, "give a whole number from 0 to 4294967295."),
    ],
)
def test_numbers_and_names_that_belong_together(changes, told):
    assert told in message(changed(changes))


def test_candidates_of_a_dataset_are_of_whole_passages():
    paper = {"scale": "paper", "scales.paper.candidates": "official"}
    config.study(changed(paper))
    error = message(changed(paper | {"datasets.msmarco-passage.max_words": 40}))
    assert "datasets.msmarco-passage.max_words = 40 must be null with scales.paper.candidates = 'official'" in error


@pytest.mark.parametrize(
    ("name", "about", "told"),
    [
        ("C5", {"experiments": ["ca"]}, "artefacts.C5.experiments lacks 'de', which C5 is about"),
        ("C3", {"encoders": "deep"}, None),
        ("C1", {"encoders": "deep", "besides": ["colbert"]}, None),
        ("C1", {"experiments": ["ca"]}, "must show ca and de with each encoder, but lacks de with small-1-16"),
        ("C9", {"experiments": []}, "artefacts.C9.experiments = [] is not allowed: C9 shows one or more."),
        (
            "C11",
            {"experiments": ["de", "de-negatives", "de-m3se-negatives"]},
            "lacks 'de-m3se', with which C11 compares",
        ),
        ("fig6", {"experiments": ["de", "ca"]}, None),
        ("fig6", {"experiments": ["ca", "de-mse"]}, "(ca: CA, de-mse: DIST) must be one CA and one DE."),
        ("fig6", {"experiments": ["ca"]}, "must be one CA and one DE."),
        ("fig8", {"experiments": ["de", "de-focal"]}, "apart by their label, which de and de-focal share: keep one."),
        (
            "fig1",
            {"experiments": ["de-mse", "de-m3se"]},
            "by their series and width, which de-mse.small-1-16 and de-m3se",
        ),
        ("fig4", {"experiments": ["colbert"]}, "colbert is a late-interaction model, which figures cannot show"),
        ("tab1", {"encoders": "deep"}, "tab1 tells runs apart by their experiment, which ca.small-1-16 and ca share"),
        (
            "tab2",
            {"experiments": ["ca", "de-mse"]},
            "make de-mse.small-1-16, but tab2 shows only ca, de: leave it out.",
        ),
        ("tab3", {"experiments": ["de-mse", "ca"]}, None),
        ("tab3", {"experiments": ["de", "de-mse"]}, "must be one cross-attention and one dual-encoder."),
        (
            "tab6",
            {"experiments": ["de-mse"]},
            "make de-mse, whose loss is mse, but tab6 shows only m3se, softmax-ce: leave it out.",
        ),
        ("tab6", {"experiments": ["de-m3se", "de-m3se-k4", "de-m3se-k2"]}, None),
        ("tab10", {"experiments": ["ca"]}, "make 1 runs (ca), but tab10 shows 2."),
        ("figS2", {"experiments": ["de"], "besides": []}, "figS2.py: SHOWS.options.teacher = 'ca' is unknown"),
        ("fig1", {"options": {"pairs": 4}}, "artefacts.fig1.options.pairs is not a known key; there is none."),
    ],
)
def test_what_an_artefact_can_show(name, about, told):
    values = changed({f"scales.smoke.artefacts.{name}": about})
    if told is None:
        config.study(values)
    else:
        assert told in message(values)


def test_measures_that_an_artefact_shows():
    error = message(changed({"evaluation.measures": ["MRR@10"]}))
    assert error.startswith("params.yaml: evaluation.measures = ['MRR@10'] lacks nDCG@10, which tab1 shows: add it.")
    config.study(changed({"evaluation.measures": ["RR@10", "nDCG@10", "R@100"]}))
    error = message(changed({"scales.smoke.artefacts.tab10.options.measure": "R@100"}))
    assert "lacks R@100, which params.yaml: scales.smoke.artefacts.tab10.options.measure shows" in error
