"""params.yaml: what is resolved, and that each wrong input is one sentence saying what to change."""

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dualenc.runtime.errors import UserError
from dualenc.study import config
from params import PARAMS, changed, message


@pytest.mark.parametrize("scale", [name for name, at in PARAMS["scales"].items() if at is not None])
def test_every_scale_of_params_yaml_is_whole(scale):
    study = config.study(PARAMS | {"scale": scale})
    assert study.at.dataset in PARAMS["datasets"]
    for artefact in study.artefacts:
        assert all(study.run(name).encoder in study.params.encoders for name in study.runs(artefact))


@pytest.mark.parametrize(
    ("key", "value", "close"),
    [
        ("scale", "smok", "smoke"),
        ("experiments.de-m3se.loss", "m3es", "m3se"),
        ("experiments.ca.encoder", "small-1-33", "small-1-32"),
        ("experiments.ca.inherits", "bsae", "base"),
        ("experiments.distilled.teacher", "cq", "ca"),
        ("experiments.de.model", "dual-encodr", "dual-encoder"),
        ("experiments.lists.selection", "topp", "top"),
        ("experiments.base.pooling", "men", "mean"),
        ("scales.smoke.artefacts.tab1.experiments", ["ca", "de-msee"], "de-mse"),
        ("scales.smoke.artefacts.fig1.encoders", "depe", "deep"),
        ("scales.smoke.dataset", "pydocs-stdlb", "pydocs-stdlib"),
        ("scales.smoke.encoders.deep", ["small-1-15"], "small-1-16"),
        ("scales.smoke.bm25.stemmer", "englis", "english"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(key, value, close):
    scales_own = {"scales.smoke.experiments.base.pooling": ...} if key.endswith("pooling") else {}
    error = message(changed({key: value} | scales_own))
    wrong = value[-1] if isinstance(value, list) else value
    assert repr(wrong) in error and "allowed: " in error and error.endswith(f"did you mean {close}?")
    *_, owner, last = ["", *key.split(".")]
    # What an experiment inherits is told as its own.
    assert f"{last} = " in error and (owner in error or key.startswith("experiments."))


@pytest.mark.parametrize(
    ("key", "close"),
    [
        ("scal", "scale"),
        ("experiments.de.tempreature", None),
        ("experiments.de.learning_rat", "learning_rate"),
        ("scales.smoke.list_lenght", "list_length"),
        ("scales.smoke.pretraining.step", "steps"),
        ("scales.smoke.bm25.k", "k1"),
        ("datasets.pydocs.max_word", "max_words"),
        ("datasets.arxiv-cs.split", "splits"),
        ("encoders.small-1-16.layer", "layers"),
        ("evaluation.resample", "resamples"),
        ("scales.smoke.artefacts.tab1.experiment", "experiments"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest(key, close):
    error = message(changed({key: 1}))
    assert f"{key} is not a known key; allowed: " in error
    assert close is None or error.endswith(f"did you mean {close}?")


def test_a_typo_is_told_as_the_typo_and_not_as_what_it_leaves_missing():
    for key in ("scales.smoke.depth", "evaluation.seed"):
        error = message(changed({key: ..., f"{key}s": 1}))
        assert f"{key}s is not a known key" in error and error.endswith(f"did you mean {key.split('.')[-1]}?")
    assert message(changed({"scales.smoke.depth": ...})) == "params.yaml: scales.smoke.depth is missing."


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("experiments.de.steps", "many"),
        ("experiments.de.steps", 0),
        ("experiments.de.steps", 1.5),
        ("experiments.de.learning_rate", -1e-3),
        ("experiments.de.dropout", 1.2),
        ("experiments.de.list_size", 1),
        ("experiments.de.loss_parameters", "none"),
        ("scales.smoke.seeds", []),
        ("scales.smoke.depth", None),
        ("scales.smoke.lengths", 64),
        ("datasets.pydocs.packages", "stdlib"),
        ("scales.smoke.artefacts.tab1.seeds", "al"),
    ],
)
def test_a_wrong_type_or_range_is_told_with_key_and_value(key, value):
    error = message(changed({key: value}))
    assert f"params.yaml: {key} = {value!r} is not allowed" in error


def test_a_scale_without_values_cannot_be_chosen():
    error = message(changed({"scales.later": None, "scale": "later"}))
    assert error.startswith("params.yaml: scale = 'later' is unknown; allowed: smoke, ")
    assert "later" not in error.partition("allowed")[2]


def test_seeds_and_families_of_an_artefact():
    seeds = {"scales.smoke.seeds": [3, 1, 2]}
    study = config.study(changed(seeds | {"scales.smoke.artefacts.fig1.seeds": "all"}))
    assert study.seeds("fig1") == [3, 1, 2]
    assert config.study(changed(seeds | {"scales.smoke.artefacts.fig1.seeds": "first"})).seeds("fig1") == [3]
    families = {"scales.smoke.encoders.one": ["small-1-16"], "scales.smoke.encoders.two": ["small-2-24", "small-1-16"]}
    both = config.study(changed(families | {"scales.smoke.artefacts.fig1.encoders": ["one", "two"]}))
    assert both.runs("fig1")[:2] == ["ca.small-1-16", "ca.small-2-24"]  # each once
    one = config.study(changed(families | {"scales.smoke.artefacts.fig1.encoders": "one"}))
    assert one.runs("fig1") == [f"{name}.small-1-16" for name in one.artefacts["fig1"].experiments]


def test_experiments_besides_those_of_a_family_have_their_own_encoder():
    about = {"besides": ["ca"], "experiments": ["de"], "encoders": "deep"}
    assert config.study(changed({"scales.smoke.artefacts.fig1": about})).runs("fig1") == ["ca", "de.small-1-16", "de"]
    error = message(changed({"scales.smoke.artefacts.tab1.besides": ["da"]}))
    assert error.startswith("params.yaml: scales.smoke.artefacts.tab1.besides = 'da' is unknown") and error.endswith(
        "mean de?"
    )


def test_a_scale_may_change_an_artefact():
    fewer = {"scales.smoke.artefacts": {"tab1": {"experiments": ["ca", "de"]}}}
    study = config.study(changed(fewer))
    assert study.runs("tab1") == ["ca", "de"] and study.artefacts["tab1"].kind == "table"
    assert len(config.study(changed(fewer | {"scale": "mini"})).runs("tab1")) > 2
    one = config.study(changed({"scales.smoke.artefacts.tab10.options": {"passages": 3}})).artefacts["tab10"].options
    assert one["passages"] == 3 and one["characters"] == 120
    error = message(changed({"scales.smoke.artefacts": {"tab13": {}}}))
    assert error.startswith("params.yaml: scales.smoke.artefacts = 'tab13' is unknown") and "tab1" in error


def test_a_dot_ends_the_experiment_in_the_name_of_a_run():
    study = config.study(PARAMS)
    assert study.split("de-smoothing-10") == ("de-smoothing-10", None)
    assert study.split("de-smoothing-10.small-1-16") == ("de-smoothing-10", "small-1-16")
    assert study.run("de-smoothing-10.small-1-16").loss_parameters["label_smoothing"] == 0.1
    error = message(changed({"encoders": PARAMS["encoders"] | {"small.1": {"layers": 1, "width": 16, "heads": 1}}}))
    assert "encoders.small.1 has a dot" in error
    error = message(changed({"experiments": PARAMS["experiments"] | {"de-0.1": {"inherits": "de"}}}))
    assert "experiments.de-0.1 has a dot" in error


def test_circular_inheritance_names_the_circle():
    error = message(changed({"experiments.de.inherits": "de-mse"}))
    assert "de -> de-mse -> distilled -> de" in error
    assert "itself (ca -> ca)" in message(changed({"experiments.ca.inherits": "ca"}))


def test_a_scale_may_only_change_known_experiments():
    error = message(changed({"scales.smoke.experiments.lsts": {"steps": 1}}))
    assert "'lsts' is unknown" in error and error.endswith("did you mean lists?")


def test_the_last_level_that_sets_a_value_wins():
    """Root to leaf, at each level the experiment's own entry before the scale's."""
    levels = ["scales.smoke.experiments.base", "experiments.de", "scales.smoke.experiments.de"]
    levels += ["experiments.own", "scales.smoke.experiments.own"]
    empty = {"scales.smoke.experiments.de": {}, "experiments.own": {"inherits": "de"}}
    empty |= {"scales.smoke.experiments.own": {}, "experiments.base.patience": 99}
    for size in range(len(levels) + 1):
        for setting in itertools.combinations(range(len(levels)), size):
            values = changed(empty | {f"{levels[level]}.patience": level + 1 for level in setting})
            assert config.study(values).run("own").patience == (setting[-1] + 1 if setting else 99)


def test_a_family_of_encoders_means_its_largest():
    study = config.study(PARAMS)
    assert study.run("de").encoder == PARAMS["scales"]["smoke"]["encoders"]["student"][-1]
    deep = config.study(changed({"experiments.de.encoder": "deep"}))
    assert deep.run("de").encoder == PARAMS["scales"]["smoke"]["encoders"]["deep"][-1]


def test_a_run_has_one_name():
    study = config.study(PARAMS)
    own = study.run("de").encoder
    assert study.run_name("de", None) == study.run_name("de", own) == "de"
    assert study.run_name("de", "small-1-16") == "de.small-1-16"
    assert study.run("de.small-1-16").encoder == "small-1-16"
    for artefact in study.artefacts:
        names = study.runs(artefact)
        assert len(set(names)) == len(names)
        assert [study.run_name(study.split(name)[0], study.run(name).encoder) for name in names] == names
    assert "de" in study.runs("fig1") and "de.small-1-16" in study.runs("fig1")


@pytest.mark.parametrize(
    ("name", "wrong", "close"), [("dee", "'dee'", "de"), ("de.small-1-17", "'small-1-17'", "small-1-16")]
)
def test_an_unknown_run(name, wrong, close):
    with pytest.raises(UserError, match=f"{wrong} is unknown; .* did you mean {close}"):
        config.study(PARAMS).run(name)


def test_files(tmp_path):
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match=r"params.yaml does not exist"):
        config.load(path)
    path.write_text("scale: [smoke\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"params.yaml is not YAML: .*line 2"):
        config.load(path)
    path.write_text(yaml.safe_dump(PARAMS), encoding="utf-8")
    assert config.load(path).scale == "smoke"
    assert config.load(path, {"scale": "mini"}).scale == "mini"


TEXT = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
DEEP = "[" * 5000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", " is empty: start from the params.yaml that came with the project."),
        ("# only words\n", " is empty: "),
        ("- scale\n", " is not a mapping of keys to values: "),
        ("smoke\n", " is not a mapping of keys to values: "),
        ("scale: smoke\nscale: mini\n", ": scale appears twice, in lines 1 and 2: keep one of them."),
        ("a: {b: 1, c: 2, 'b': 3}\n", ": a.b appears twice, in line 1: keep one of them."),
        ("a:\n- {b: 1,\n   b: 3}\n", ": a.0.b appears twice, in lines 2 and 3: keep one of them."),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}\n", ": b.<< appears twice, in line 2: keep one of them."),
        ("a: &a {x: 1, b: *a}\n", ": a.b is an alias of what contains it: write out its value."),
        ("{a: 1}: 2\n", ", line 1: a key must be one word, without brackets."),
        ("scale: smoke\n\tthreads: 1\n", " is not YAML: line 2, column 1: found"),
        ("a: 1\n---\nb: 2\n", " is not YAML: line 2, column 1: but found another document."),
        ("a: 2026-02-30\n", " is not YAML: day is out of range for month."),
        ("a: !!python/name:os.system\n", " is not YAML: line 1, column 4: could not determine a constructor"),
        ("a: \x00\n", " is not YAML: "),
        (DEEP, " is not YAML: "),
        (b"a: \xe9\n", " is not UTF-8 at byte 4: save it as UTF-8."),
        (TEXT.encode("utf-16"), " is not UTF-8 at byte 1: save it as UTF-8."),
    ],
)
def test_a_file_that_cannot_be_read_as_it_is(text, told, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        config.read(path)
    assert str(error.value).startswith(f"{path}{told}") and "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_a_folder_in_the_place_of_the_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        config.read(tmp_path)


def test_what_may_stand_in_a_file(tmp_path):
    """A byte order mark; aliases and merges, which may be overridden; the values are those of PyYAML."""
    path = tmp_path / "params.yaml"
    path.write_text(TEXT, encoding="utf-8-sig")
    assert config.read(path) == yaml.safe_load(TEXT)
    path.write_text(
        "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: [*b, *a], y: 4}\nd: [*a, *a]\n", encoding="utf-8"
    )
    both = {"x": 1, "y": 2}
    assert config.read(path) == {"a": both, "b": {"x": 3, "y": 2}, "c": {"x": 3, "y": 4}, "d": [both, both]}


def test_a_key_that_stands_twice_ends_the_workflow(tmp_path):
    """Snakemake's own reader takes the last of two keys."""
    root = Path(__file__).parents[2]
    twice = TEXT.replace("\n  distilled:\n", "\n  de: {inherits: base}\n  distilled:\n")
    for folder in ("workflow", "benchmarks", "profiles", "Snakefile"):
        (tmp_path / folder).symlink_to(root / folder)
    (tmp_path / "params.yaml").write_text(twice, encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "-n", "--config", "scale=smoke"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode and done.stderr.splitlines()[-1].startswith("params.yaml: experiments.de appears twice, in ")


@pytest.mark.parametrize(
    "key", ["experiments", "encoders", "datasets", "scales", "scales.smoke.artefacts", "scales.smoke.encoders"]
)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a b", "a space in its name"),
        ("a/b", "'/' in its name"),
        ("a.b", "a dot in its name"),
        ("it's", '"\'" in its name'),
        ("-a", "'-' in its name"),
        ("né", "'é' in its name"),
        ("a\nb", "'\\n' in its name"),
        ("", "an empty name"),
        ("q" * 101, "a name of 101 characters"),
    ],
)
def test_names_are_words(key, name, fault):
    values = copy.deepcopy(PARAMS)
    inner = values
    for part in key.split("."):
        inner = inner[part]
    inner[name] = copy.deepcopy(next(iter(inner.values())))
    assert f"{fault}: use up to 100 letters, digits, - and _" in message(values)


@pytest.mark.parametrize("key", [1, True, None, 1.5])
def test_a_key_that_is_not_a_text(key):
    values = changed({"experiments.de": {key: 1}})
    told = f"params.yaml: experiments.de has the key {key!r}, which is not text: put it in quotes or change it."
    assert message(values) == told


@pytest.mark.parametrize(
    ("key", "value", "twice"),
    [
        ("scales.smoke.seeds", [1, 1], "1"),
        ("scales.smoke.encoders.deep", ["small-1-16", "small-1-16"], "'small-1-16'"),
        ("scales.smoke.artefacts.tab1.experiments", ["ca", "de", "ca"], "'ca'"),
        ("datasets.pydocs.packages", ["numpy", "numpy"], "'numpy'"),
        ("evaluation.measures", ["RR@10", "nDCG@10", "MRR@10"], "'MRR@10'"),
    ],
)
def test_what_stands_twice_in_a_list(key, value, twice):
    error = message(changed({key: value}))
    assert error == f"params.yaml: {key} = {value!r} contains {twice} twice: give each once."


@pytest.mark.parametrize("measure", ["MRR", "ndcg@10", "R@0", "RR(rel=0)@10", "MAP@10", "nDCG@10 ", ""])
def test_a_measure_that_there_is_not(measure):
    for key in ("evaluation.measures", "evaluation.sets.trec-dl-2019"):
        assert f"{key}" in message(changed({key: ["MRR@10", measure]}))


def test_a_value_of_the_command_line():
    assert config.override("scale=mini") == ("scale", "mini") and config.override("threads=2") == ("threads", 2)
    for text, told in (
        ("scale", "--config 'scale' has no value: write <key>=<value>, such as scale=paper."),
        ("scale=[x", "--config 'scale=[x' has a value that is not YAML: correct it."),
        ("scael=mini", "--config = 'scael' is unknown; allowed: scale, threads, "),
    ):
        with pytest.raises(UserError) as error:
            config.override(text)
        assert str(error.value).startswith(told)
