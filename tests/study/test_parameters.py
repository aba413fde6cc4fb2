"""The schema of params.yaml: bounds of every number, and that whatever loads is what the workflow and its jobs take."""

import ast
import copy
import json
import math
import random
import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from dualenc.data.datasets import Dataset
from dualenc.evaluation.metrics import _parse
from dualenc.losses import loss_function
from dualenc.orchestration import resources, slices, workflow
from dualenc.paper.measures import called
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from dualenc.study import artefacts, config, settings, shown
from dualenc.study.schema import (
    OPTIONS,
    Bm25,
    Encoder,
    Evaluation,
    Experiment,
    Params,
    Pretraining,
    Requirements,
    Shows,
)
from params import changed, message

ROOT = Path(__file__).parents[2]
VALUES = json.loads(json.dumps(config.read(ROOT / "params.yaml") | {"scale": "smoke"}))  # without aliases
VALUES["scales"] = {"smoke": VALUES["scales"]["smoke"]}
SMOKE, KINDS = VALUES["scales"]["smoke"], artefacts.kinds()
FEW = {  # of each thing one or some, as all numbers are tried with them
    "encoders": ["small-1-16", "small-1-32"],
    "experiments": ["base", "ca", "de", "distilled", "lists", "de-m3se"],
    "datasets": ["pydocs-stdlib", "arxiv-cs", "msmarco-passage", "natural-questions"],
}
SMALL = VALUES | {key: {name: VALUES[key][name] for name in names} for key, names in FEW.items()}
SMALL["scales"] = {"smoke": SMOKE | {"artefacts": {}}}
ABSENT = {  # mappings and lists that params.yaml leaves out at this scale
    "keep": [0],
    "objectives": {"pair": 1.0, "contrastive": 1.0, "masked": 1.0, "sentences": 0.0, "pieces": 0.0},
    "sentence_encoder": {
        **{"package": "an_encoder", "path": "model", "sha256": "0" * 64},
        **{"max_length": 128, "directions": 64, "temperature": 0.05},
    },
    "published_scores": {"path": "scores.tsv", "teacher": "ca", "tolerance": 0.0, "allowed_defects": 0},
}
MEASURED = read_json(ROOT / "benchmarks" / "throughput.json")
TOGETHER = {  # bounds that lie with another number: at these ends, that is what is told
    "encoders.*.keep.0": "keep",
    "encoders.*.width": "heads",
    "encoders.*.heads": "width",
    "scales.*.depth": "list_length",
    "scales.*.list_length": "list_length",
    "scales.*.early": "step",
    "scales.*.lengths.text": "lengths.pair",
    "scales.*.lengths.pair": "lengths.text",
    "scales.*.processes": "batch_size",
    "scales.*.nodes": "processes",
    "scales.*.score_matrix.queries": "passages",
    "scales.*.score_matrix.passages": "queries",
    "scales.*.pretraining.list_size": "list_length",
    "scales.*.pretraining.objectives.sentences": "sentence_encoder",
    "scales.*.pretraining.objectives.pieces": "sentence_encoder",
    "datasets.pydocs.max_words": "min_query_words",
    "datasets.pydocs.min_query_words": "max_words",
    "datasets.pydocs.min_passage_words": "max_words",
    "datasets.pydocs.fractions.train": "add up to 1",
    "datasets.pydocs.fractions.validation": "add up to 1",
    "datasets.pydocs.fractions.test": "add up to 1",
    "experiments.*.list_size": "list_length",
    "experiments.*.batch_size": "processes",
    "experiments.*.mlm_masked": "mlm_weight",
    "experiments.*.sparsity": "learned-sparse",
}


def numbers(schema, definitions, values, path=()):
    """(keys to it, the schema) of every number that a schema has, in the first place where ``values`` have it."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for inner in schema.get("anyOf", ()):
        yield from numbers(inner, definitions, values, path)
    if "oneOf" in schema:
        kind = schema["discriminator"]["mapping"][values["kind"]]
        yield from numbers({"$ref": kind}, definitions, values, path)
    if schema.get("type") in ("integer", "number"):
        yield path, schema
    for name, inner in schema.get("properties", {}).items():
        within = values.get(name) if isinstance(values, dict) else None
        yield from numbers(inner, definitions, within, (*path, name))
    others = schema.get("additionalProperties")
    for name in values if isinstance(others, dict) and isinstance(values, dict) else ():
        yield from numbers(others, definitions, values[name], (*path, name))
    if "items" in schema:
        yield from numbers(schema["items"], definitions, values[0] if values else None, (*path, 0))


def every_number():
    """Key -> (keys to it, schema) of each number of the schema once: of one encoder, one scale, one dataset a kind."""
    schema = Params.model_json_schema()
    found = list(numbers(schema, schema["$defs"], SMALL))
    own = Experiment.model_json_schema()
    found += [(("experiments", "own", *path), about) for path, about in numbers(own, {}, {})]
    once = {}
    for path, about in found:
        second = SMALL["datasets"][path[1]]["kind"] if path[0] == "datasets" else "*"
        name = map(str, path if path[0] in ("cluster", "evaluation") else (path[0], second, *path[2:]))
        once.setdefault(".".join(name) if len(path) > 1 else path[0], (path, about))
    return once


NUMBERS = every_number()


@pytest.fixture
def few(monkeypatch):
    """One artefact is enough, as all numbers are tried with it."""
    monkeypatch.setattr(artefacts, "kinds", lambda: {"fig7": "figure"})


def loaded(path, value):
    """The study of params.yaml with this value."""
    values = {**SMALL, path[0]: copy.deepcopy(SMALL[path[0]])}
    if path[:2] == ("experiments", "own"):
        values["experiments"]["own"] = {"inherits": "de"}
    inner = values
    for key in path[:-1]:
        if isinstance(inner, dict) and inner.get(key) is None:
            inner[key] = copy.deepcopy(ABSENT[key])
        inner = inner[key]
    inner[path[-1]] = value
    return config.study(values)


def ends(about):
    """The smallest and the largest number that a schema allows."""
    step = 1e-9 if about["type"] == "number" else 1
    low = about["minimum"] if "minimum" in about else about["exclusiveMinimum"] + step
    return low, about["maximum"] if "maximum" in about else about["exclusiveMaximum"] - step


def beyond(about):
    """Values that are none that a schema of a number allows."""
    low, high = ends(about)
    step = 1e-8 if about["type"] == "number" else 1
    yield from (low - step, high + max(step, 1e-9 * high), math.nan, math.inf, -math.inf, -(10**30), 10**30)
    yield from (True, False, "12", "many", "", [], {}, [low])
    if about["type"] == "integer":
        yield from (low + 0.5, float(high), "1e3")


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_bounds(name):
    path, about = NUMBERS[name]
    for end in ends(about):
        try:
            loaded(path, end)
        except UserError as error:
            assert name in TOGETHER and TOGETHER[name] in str(error), error
    for value in beyond(about):
        with pytest.raises(UserError) as error:
            loaded(path, value)
        key = ".".join(map(str, path))
        assert f"params.yaml: {key} = " in str(error.value), error.value
        assert re.search(
            r" is not allowed: give a (whole )?number (from|above) .*[0-9](, or null for all)?\.$", str(error.value)
        )


def options():
    """(artefact, option, its kind) of all modules."""
    for name, kind in KINDS.items():
        for option, what in artefacts.declared(kind, name, "REQUIRES").get("options", {}).items():
            yield name, option, what


def defaults(name):
    """The options of an artefact as its module declares them."""
    return artefacts.declared(KINDS[name], name, "SHOWS")["options"]


def refused(name, option, *keys, value):
    """The error about an artefact whose option, or what is at ``keys`` within it, has this value."""
    own = copy.deepcopy({option: defaults(name)[option]})
    inner = own
    for key in (option, *keys)[:-1]:
        inner = inner[key]
    inner[(option, *keys)[-1]] = value
    return message(changed({f"scales.smoke.artefacts.{name}.options": own}))


@pytest.mark.parametrize(("name", "option", "kind"), options())
def test_every_option_has_bounds(name, option, kind, monkeypatch):
    where = f"params.yaml: scales.smoke.artefacts.{name}.options.{option}"
    monkeypatch.setattr(artefacts, "kinds", lambda: {one: KINDS[one] for one in {*SMOKE["artefacts"], name}})
    written = defaults(name)[option]
    for keys, about in numbers(TypeAdapter(OPTIONS[kind]).json_schema(), {}, written):
        for value in beyond(about):
            assert refused(name, option, *keys, value=value).startswith(".".join([where, *map(str, keys)]) + " = ")
    for value in (None, "many", [], {}):
        assert where.removeprefix("params.yaml: ") in refused(name, option, value=value)
    told = message(changed({f"scales.smoke.artefacts.{name}.options.other": 1}))
    assert "options.other is not a known key; allowed: " in told


def test_a_number_of_an_option_is_shown_as_it_was_written():
    study = config.study(changed({"scales.smoke.artefacts.P1.options.tolerance": "1e-9"}))
    assert study.artefacts["P1"].options == {"tolerance": 1e-9}
    assert json.dumps(study.artefacts["figS3"].options) == json.dumps(defaults("figS3"))


@pytest.mark.usefixtures("few")
def test_an_exponent_without_a_point_is_a_number():
    """YAML 1.1 takes 1e-3 for a text."""
    assert loaded(("experiments", "own", "learning_rate"), "1e-3").run("own").learning_rate == 1e-3
    assert loaded(("experiments", "own", "learning_rate"), "2.E-3").run("own").learning_rate == 2e-3


def test_every_module_declares_what_there_is():
    for kind in ("figure", "table", "claim"):
        for name in artefacts.names(kind):
            body = ast.parse((ROOT / "src" / "dualenc" / f"{kind}s" / f"{name}.py").read_text(encoding="utf-8")).body
            assigned = {one.targets[0].id: one.value for one in body if isinstance(one, ast.Assign)}
            for constant in ("SHOWS", "REQUIRES"):
                found = artefacts.declared(kind, name, constant)
                assert found == (ast.literal_eval(assigned[constant]) if constant in assigned else {})
            shows, required = (artefacts.declared(kind, name, constant) for constant in ("SHOWS", "REQUIRES"))
            assert "SHOWS" in assigned and set(Shows(**shows).options) == set(Requirements(**required).options)
            assert set(Requirements(**required).options.values()) <= set(OPTIONS)


def taken(study):
    """Ask for all that the Snakefile asks for, and hand to the models of the steps what their commands are told."""
    resources.requests(study, MEASURED)
    for name in study.artefacts:
        workflow.files(study, name), json.dumps(shown.artefact(study, name))
    for run in study.trained:
        assert re.fullmatch(r"[\w-]+(\.[\w-]+)?", run)
        told = json.loads(slices.as_json(slices.train(study, run, study.at.seeds[0])))
        experiment = Experiment(**told["experiment"])
        loss_function(experiment.loss, experiment.loss_parameters)
        assert not experiment.mlm_weight or experiment.mlm_masked
        assert workflow.encoder_folder(study, experiment.encoder) and workflow.lists_of(study, run)
    assert workflow.tokenizer_folder(study)
    told = json.loads(slices.as_json(shown.evaluation(study)))
    evaluation = Evaluation(**told)
    for measures in (evaluation.measures, *evaluation.sets.values()):
        assert len({called(measure) for measure in measures}) == len([_parse(measure) for measure in measures])
    for name in [study.at.dataset, *study.at.pretraining.corpora]:
        TypeAdapter(Dataset).validate_python(json.loads(slices.as_json(slices.dataset(study, name))))
    for name in study.params.encoders:
        told = json.loads(slices.as_json(slices.pretrain(study, name)))
        Encoder(**told["encoder"]), Pretraining(**told["pretraining"])
    told = json.loads(slices.as_json([slices.candidates(study), slices.corpus(study), slices.lists(study)]))
    Bm25(**told[0]["bm25"])
    assert told[2]["list_length"] <= study.at.depth


MUTANTS = (
    *(
        None,
        "",
        [],
        {},
        -1,
        0,
        1,
        2,
        3.0,
        1e30,
        math.nan,
        True,
        "x y",
        "a/b",
        "é",
        "random",
        2**32,
        [1, 1],
        [None],
        {"a": 1},
    ),
    *(
        "ca",
        "de",
        "de-m3se",
        "student",
        "deep",
        "small-1-16",
        "pydocs",
        "test",
        "MRR@10",
        "RR@10",
        "R@0",
        10**30,
        "1e-3",
    ),
)


def places(values, keys=()):
    """All (keys to a mapping or list, key or place in it)."""
    for key, value in list(values.items()) if isinstance(values, dict) else list(enumerate(values)):
        yield keys, key
        if isinstance(value, dict | list):
            yield from places(value, (*keys, key))


def mutated(values, draw):
    """One random change: a value replaced, taken out, moved to another key, repeated, or swapped with another."""
    every = list(places(values))
    (keys, key), (others, other) = draw.choices(every, k=2)

    def at(keys):
        inner = values
        for one in keys:
            inner = inner[one]
        return inner

    within, what = at(keys), draw.randrange(5)
    if what == 0:
        del within[key]
    elif what == 1 and isinstance(within, list):
        within.append(within[key])
    elif what == 1:
        within[draw.choice(["x y", "a.b", "", "random", "de", "train", 1, None, "q" * 101])] = within.pop(key)
    elif what == 2:
        within[key] = copy.deepcopy(at(others)[other])
    else:
        within[key] = draw.choice(MUTANTS)
    return f"{'.'.join(map(str, (*keys, key)))}"


@pytest.mark.parametrize("seed", range(8))
def test_a_random_change_loads_or_is_one_sentence(seed):
    draw, refused = random.Random(seed), 0
    for _ in range(40):
        values = copy.deepcopy(VALUES)
        where = mutated(values, draw)
        try:
            study = config.study(values)
        except UserError as error:
            refused += 1
            text = str(error)
            assert "\n" not in text and text.endswith((".", "?")) and len(text) < 1200, (where, text)
            assert any(key in text for key in VALUES), (where, text)
        else:
            taken(study)
    assert 0 < refused < 40


def test_a_job_refuses_what_params_yaml_may_not_hold():
    """Its slice of params.yaml comes on the command line, where a person may write it, too."""
    told = slices.dataset(config.study(VALUES), "arxiv-cs")
    assert settings.read("dataset", slices.as_json(told)).model_dump() == told
    wrong = told | {"max_queries": told["max_queries"] | {"test": -1}}
    with pytest.raises(UserError, match=r"--params: max_queries\.test = -1 is not allowed: give a whole number from 1"):
        settings.read("dataset", slices.as_json(wrong))
