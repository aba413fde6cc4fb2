"""Model cards: what a model is, how to use it, how good it is, what it is made of, and how to make it again.

All numbers are those of the files. What these do not say, the card does not say either.
"""

from collections.abc import Mapping

import yaml
from huggingface_hub import ModelCard

from dualenc.data import datasets
from dualenc.orchestration import stages, workflow
from dualenc.publish.facts import Facts, build_command
from dualenc.publish.metadata import metadata, task
from dualenc.scorers import models
from dualenc.study.kinds import KINDS
from dualenc.study.schema import Encoder

QUERY = "how to sort a list in place"
PASSAGES = ["Sort the list in ascending order and return None.", "Return the number of bytes that were written."]
HEAD = """\
from sentence_transformers import {loader}

model = {loader}("{name}")  # this folder; on the Hub, USER/{name}
query = "{query}"
passages = [
    "{passages[0]}",
    "{passages[1]}",
]
"""
ENCODE = "scores = model.similarity(model.encode_query([query]), model.encode_document(passages))[0].tolist()\n"
PREDICT = "scores = model.predict([(query, passage) for passage in passages]).tolist()\n"
ROUNDED = (
    " Weights are stored in float16, and are float32 once loaded: scores differ in their third or fourth digit from "
    "those of the model that was measured below."
)
TAIL = "print(scores)  # the larger, the more relevant\n"


CHOSEN = {
    "sampled": "a positive, and negatives that are drawn afresh in each epoch",
    "top": "a positive, and the negatives with the highest teacher scores",
}
NOT_PACKAGES = ("inputs", "processes", "layers", "commit", "machine", "processor", "mkl_cbwr")
"""What is in a provenance.json apart from the versions of packages."""
CITATION = """\
@inproceedings{menon2022defense,
  title = {In defense of dual-encoders for neural ranking},
  author = {Menon, Aditya and Jayasumana, Sadeep and Rawat, Ankit Singh and Kim, Seungyeon and Reddi, Sashank and
            Kumar, Sanjiv},
  booktitle = {Proceedings of the 39th International Conference on Machine Learning},
  series = {PMLR}, volume = {162}, pages = {15376--15400}, year = {2022}
}
"""


def card(facts: Facts, *, float16: bool = False) -> ModelCard:
    """The card of a model, whose weights may be stored as ``float16``."""
    sections = {
        "Use": _use(facts) + (ROUNDED if float16 else ""),
        "Results": _results(facts),
        "Training": _training(facts),
        "Make it again": _reproduction(facts),
        "Limits": _limits(facts),
        "Cite": f"```bibtex\n{CITATION}```",
    }
    body = [f"# {facts.name}", _what(facts), *(f"## {title}\n\n{text}" for title, text in sections.items())]
    return ModelCard(f"---\n{metadata(facts).to_yaml()}\n---\n" + "\n\n".join(body) + "\n")


def _what(facts: Facts) -> str:
    experiment = facts.experiment
    how = f"distilled from `{experiment.teacher}`" if experiment.teacher else "trained on labels"
    return (
        f"A {experiment.model} model ({_shape(facts, experiment.encoder)}, {facts.parameters:,} parameters), {how} "
        f"with the loss `{experiment.loss}`. It is the experiment `{facts.run}` of `dualenc`, which rebuilds every "
        "figure and table of [*In defense of dual-encoders for neural ranking*]"
        "(https://proceedings.mlr.press/v162/menon22a.html) (Menon et al., ICML 2022); the paper's authors are "
        "not involved."
    )


def _shape(facts: Facts, encoder: str) -> str:
    entry = facts.study.params.encoders[encoder]
    return f"{entry.layers} layer{'s' if entry.layers > 1 else ''}, width {entry.width}"


def _use(facts: Facts) -> str:
    kind, reads = models.MODULES[facts.experiment.model], KINDS[facts.experiment.model].reads
    line, loader = PREDICT if reads == "pair" else ENCODE, kind.LOADER.__name__
    code = (HEAD + line + TAIL).format(loader=loader, name=facts.name, query=QUERY, passages=PASSAGES)
    minor = ".".join(facts.made["sentence-transformers"].split(".")[:2])
    longest, what = facts.settings["lengths"][reads], "A query with its passage" if reads == "pair" else "A text"
    return (
        f'```\npip install "sentence-transformers>={minor}"\n```\n\n```python\n{code}```\n\n'
        f"A score is {kind.SCORES}. {what} may have {longest} tokens; anything beyond is cut."
    )


def _results(facts: Facts) -> str:
    systems = {"this model": facts.metrics, **facts.others}
    lines = [f"| evaluation set | measure | {' | '.join(systems)} | queries |", "|---" * (len(systems) + 3) + "|"]
    for (setting, split), measures in facts.metrics.items():
        where = split + (", all passages" if setting == "retrieval" else "")
        for measure, own in measures.items():
            cells = [_cell(one.get((setting, split), {}).get(measure)) for one in systems.values()]
            lines.append(f"| {where} | {measure} | {' | '.join(cells)} | {own['queries']} |")
    what = "; all passages: ".join(
        task(facts.study, setting) for setting in dict.fromkeys(setting for setting, _ in facts.metrics)
    )
    return (
        f"Means over queries with {100 * facts.study.evaluation.confidence:g} % intervals (bootstrap over queries), "
        f"{what}. Train queries are among those that it was trained on; validation chose the step.\n\n"
        + "\n".join(lines)
    )


def _cell(value: Mapping[str, float] | None) -> str:
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if value else ""


def _training(facts: Facts) -> str:
    experiment, made = facts.experiment, facts.made
    parameters = ", ".join(f"{name} {value:g}" for name, value in experiment.loss_parameters.items())
    versions = ", ".join(f"{name} {version}" for name, version in made.items() if name not in NOT_PACKAGES)
    rows = {
        "experiment": f"`{facts.run}`, scale `{facts.study.scale}`",
        "seed": facts.seed,
        "encoder": _encoder(facts),
        "loss": f"`{experiment.loss}`, {parameters or 'which has no parameters'}",
        "teacher": _teacher(facts),
        "list size": f"{experiment.list_size} passages: {CHOSEN[experiment.selection]}",
        "lists": f"{facts.lists['rows']:,}, of which a step takes {experiment.batch_size}",
        "steps": f"{facts.steps:,} of at most {experiment.steps:,}; the model is the one at step {facts.best:,}, "
        "the best on validation",
        "commit": f"`{made['commit']}`",
        "software": versions,
        "hardware": f"{made['processor']} ({made['machine']}); processes: {made['processes']}; "
        f"MKL_CBWR: {made['mkl_cbwr']}",
        "layers compute in": f"{made['layers']['training']} (training), {made['layers']['scoring']} (scoring)",
    }
    table = "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])
    settings = yaml.safe_dump(dict(facts.settings), sort_keys=False)
    inputs = "\n".join(f"- {path}: {digest}" for path, digest in made["inputs"].items())
    return (
        f"{_data(facts)}\n\n{table}\n\nAll parameters:\n\n```yaml\n{settings}```\n\n"
        f"MD5 of what it was made from:\n\n{inputs}"
    )


def _data(facts: Facts) -> str:
    rows = {name: about["rows"] for name, about in facts.data["files"].items()}
    queries = ", ".join(f"{rows[f'queries.{split}.parquet']:,} {split}" for split in facts.study.splits)
    kind = datasets.kind(facts.study.dataset)
    return (
        f"Data: `{facts.study.at.dataset}`, {kind.origin(facts.data)}. {rows['passages.parquet']:,} passages; "
        f"queries: {queries}. {kind.RIGHTS}"
    )


def _encoder(facts: Facts) -> str:
    name = facts.experiment.encoder
    entry, folder = facts.study.params.encoders[name], workflow.encoder_folder(facts.study, name)
    if entry.hub:
        origin = f"`{entry.hub}` at commit `{entry.revision}`{_kept(entry)}"
    elif entry.package:
        origin = f"the model in the Python package `{entry.package}` (SHA-256 `{entry.sha256}`){_kept(entry)}"
    elif folder.parent.name == "encoders":
        origin = f"pre-trained on the train text of {', '.join(facts.study.at.pretraining.corpora)}"
    else:
        origin = f"`{folder}` of the project, whose README.md says how it was pre-trained"
    return f"`{name}` ({_shape(facts, name)}): {origin}"


def _kept(entry: Encoder) -> str:
    return "" if entry.keep is None else f", of which layers {', '.join(map(str, entry.keep))} are kept"


def _teacher(facts: Facts) -> str:
    name, published = facts.experiment.teacher, facts.study.at.published_scores
    if name is None:
        return "none"
    if published and published.teacher == name:
        return f"`{name}`, replaced by the scores published at {published.url or published.path}"
    teacher = facts.study.run(name)
    return f"`{name}`: {teacher.model}, encoder `{teacher.encoder}`, seed {facts.study.at.seeds[0]}"


def _reproduction(facts: Facts) -> str:
    commit = facts.made["commit"]
    checkout = "" if commit == "unknown" else f"git checkout {commit.removesuffix('-dirty')}\n"
    dirty = " The working tree had changes that are not in this commit." if commit.endswith("-dirty") else ""
    stage = stages.evaluation(facts.study, facts.run, facts.seed)
    by_dvc = (
        f"\n\nOr with DVC, if params.yaml has `scale: {facts.study.scale}` (`make stages` after changing it):"
        f"\n\n```\ndvc repro {stage}\n```"
    )
    return (
        "In a clone of the project, in its environment (`make env && . .venv/bin/activate`):\n\n"
        f"```\n{checkout}{build_command(facts.study, facts.run, facts.seed)}\n```{by_dvc if stage else ''}\n\n"
        f"With the same seed on the same kind of CPU, the weights are identical to the last bit.{dirty}"
    )


def _limits(facts: Facts) -> str:
    dataset, seeds = facts.study.dataset, len(facts.study.at.seeds)
    test = facts.data["files"]["queries.test.parquet"]["rows"]
    points = [
        f"It has {facts.parameters:,} parameters and {facts.steps:,} steps of training: enough to compare ways of "
        "training, which is what it was made for. It is not meant for real searches.",
        f"It was measured on {test:,} test queries from the collection that it was trained on, and on no other text.",
    ]
    kind = datasets.kind(dataset)
    if hasattr(kind, "limits"):
        points.append(kind.limits(dataset))
    points.append(
        f"This is one of {seeds} seeds; the project's tables average over them and test the differences."
        if seeds > 1
        else "There is one seed at this scale: how much another would differ is not known."
    )
    return "\n".join(f"- {point}" for point in points)
