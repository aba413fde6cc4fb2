"""dvc.yaml: a stage for each job of the workflow that makes data, an encoder, a model, runs, scores or metrics.

A stage has the files of its job and the keys of params.yaml that decide it, and runs that one job through Snakemake
(``dualenc stage``). Tables, figures and claims have none: Snakemake makes them in seconds. The jobs of one rule are a
``foreach`` group: ``train@de-m3se``, and ``train@de-m3se-seed-2`` for a further seed.

DVC reads values in params.yaml, but has to be told which stages there are and which layers of ``experiments`` one
inherits from; so dvc.yaml is written from params.yaml, and what runs or records a stage checks that it is up to date.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from dualenc.orchestration import origins, plan, slices, workflow
from dualenc.runtime import provenance
from dualenc.runtime.errors import UserError
from dualenc.study import artefacts
from dualenc.study.config import Study

FILE = Path("dvc.yaml")
LOCK = "requirements.lock"
"""What DVC knows of the versions of packages, which decide the text of some datasets."""
ARTIFACTS = {"teacher": "ca", "student": "de-m3se"}  # the student with the paper's best loss
CURVES = {"x": "step", "y": "value", "template": "curve"}
MARGINS = {"x": "x", "y": "density", "template": "margins"}
HEAD = """\
# Written by `make stages` from params.yaml. Values may change without it; run it again after an edit that changes which
# jobs there are (scale, experiments, encoders, seeds, artefacts) or which modules a command imports.
"""
Stage = dict[str, Any]


def text(study: Study) -> str:
    """The content of dvc.yaml."""
    return HEAD + yaml.safe_dump(document(study), default_flow_style=None, sort_keys=False, width=120)


def check(study: Study) -> None:
    """Raise ``UserError`` if dvc.yaml is not the one of params.yaml."""
    if not FILE.exists() or FILE.read_text(encoding="utf-8") != text(study):
        raise UserError(f"{FILE} does not have the stages of params.yaml at scale {study.scale}: run `make stages`.")


def document(study: Study) -> dict[str, Any]:
    """The content of dvc.yaml as mappings and lists."""
    root = f"results/{study.scale}"
    stages = _data(study, root) | _encoders(study, root) | _models(study, root) | _metrics(study, root)
    needed = {path for stage in stages.values() for path in stage.get("do", stage)["deps"]}
    first = study.at.seeds[0]
    models = {name: f"{root}/runs/{run}/seed-{first}/model" for name, run in ARTIFACTS.items()}
    trained = {f"{root}/runs/{job.run}/seed-{job.seed}" for job in _jobs(study, "train")}
    return {
        "stages": _shared(study, root, needed) | stages,
        "plots": [
            *({f"{run}/curve.csv": CURVES} for run in sorted(trained)),
            *([{f"{root}/figure-data/fig8.csv": MARGINS}] if "fig8" in study.artefacts else []),
        ],
        "artifacts": {
            name: {"path": path, "type": "model", "desc": f"{ARTIFACTS[name]}, seed {first}, scale {study.scale}"}
            for name, path in models.items()
            if str(Path(path).parent) in trained
        },
    }


def names(study: Study) -> set[str]:
    """The names of all stages, with those of each group: ``lists``, ``train@de-m3se``."""
    found = document(study)["stages"]
    return {f"{name}@{key}" if key else name for name, stage in found.items() for key in stage.get("foreach", [""])}


def evaluation(study: Study, run: str, seed: int) -> str | None:
    """The stage that makes a run's metrics, such as ``evaluate@de-m3se``; None for a run that no artefact shows."""
    job = plan.Job("evaluate", run, seed)
    return f"evaluate@{_key(study, job)}" if job in _jobs(study, job.rule) else None


def _jobs(study: Study, rule: str) -> list[plan.Job]:
    """The jobs of a rule that the artefacts need."""
    found = set().union(*(plan.jobs(study, artefact) for artefact in study.artefacts))
    return sorted(job for job in found if job.rule == rule)


def _key(study: Study, job: plan.Job) -> str:
    """The name of a job's stage within its group."""
    return job.run if job.seed == study.at.seeds[0] else f"{job.run}-seed-{job.seed}"


def _stage(rule: str, target: str, **about: Sequence[Any]) -> Stage:
    """A stage that makes ``target``, one file of its job; ``about``: deps, params, outs, metrics.

    Its code is that of the folder that DVC works in, which may be a temporary one, not that of the environment.
    """
    return {
        "cmd": f"PYTHONPATH=src dualenc stage {rule} {target}",
        **{name: list(values) for name, values in about.items() if values},
    }


def _each(name: str, items: dict[str, Any] | list[str], do: Stage) -> dict[str, Stage]:
    return {name: {"foreach": items, "do": do}} if items else {}


def _in_git(*paths: str) -> list[dict[str, dict[str, bool]]]:
    """Outputs that git keeps, and not DVC's cache."""
    return [{path: {"cache": False}} for path in paths]


def _shared(study: Study, root: str, needed: Iterable[str]) -> dict[str, Stage]:
    """What all jobs of a command share, and all runs of an experiment: their inputs, so their stages watch nothing."""
    judged = ["measures", "confidence", "resamples", "permutations", "seed"]
    judged += ["sets"] if len(study.test_sets) > 1 else []
    params = {name: [f"scales.{study.scale}.{key}" for key in keys] for name, keys in slices.SHARED.items()}
    params["evaluate"] = [f"evaluation.{key}" for key in judged]
    read = {name: study.params.datasets[name] for name in origins.datasets(study)}
    texts = [name for name, one in read.items() if "packages" in type(one).model_fields]
    params["dataset"] = [f"datasets.{name}.packages" for name in texts]
    locked = {"dataset": [LOCK]} if origins.packages(study) else {}
    stages = {}
    for target in sorted(path for path in needed if path.startswith(f"{root}/code/")):
        name = Path(target).name
        files = [str(path) for path in provenance.code(f"steps.{name}")] + locked.get(name, [])
        about = {"deps": files, "params": params.get(name, []), "outs": [target]}
        stages["code-" + name.replace("_", "-")] = _stage("code", target, **about)
    for name in sorted({study.split(job.run)[0] for job in _jobs(study, "train")}):
        target = f"{root}/experiments/{name}.json"
        shown = slices.with_curves(study) if slices.curves(study, name) else []
        chosen = [f"scales.{study.scale}.artefacts.{one}" for one in shown if one in study.at.artefacts]
        stages[f"experiment-{name}"] = _stage(
            "experiment",
            target,
            deps=[artefacts.path(study.artefacts[one].kind, one) for one in shown],
            params=[*_layers(study, name), *chosen],
            outs=[target],
        )
    return stages


def _layers(study: Study, experiment: str) -> list[str]:
    """The keys of params.yaml that an experiment is made of."""
    chain = study.chain(experiment)
    keys = [f"experiments.{name}" for name in chain]
    return keys + [f"scales.{study.scale}.experiments.{name}" for name in chain if name in study.at.experiments]


def _data(study: Study, root: str) -> dict[str, Stage]:
    """Datasets, their tokens, candidates, lists and evaluation sets."""
    data, scale = f"{root}/data/{study.at.dataset}", f"scales.{study.scale}"
    stages = {}
    for name in dict.fromkeys([study.at.dataset, *_pretrained_on(study)]):
        own, sets = ("", study.splits) if name == study.at.dataset else (f"-{name}", workflow.SPLITS)
        folder = f"{root}/data/{name}"
        texts = [f"{folder}/{file}" for s in sets for file in (f"queries.{s}.parquet", f"qrels.{s}.tsv")]
        manifest, passages = f"{folder}/manifest.json", f"{folder}/passages.parquet"
        stages["dataset" + own] = _stage(
            "dataset",
            manifest,
            deps=[f"{root}/code/dataset", *origins.files(study, name)],
            params=[f"datasets.{name}"],
            outs=[manifest, passages, *texts],
        )
        stages["tokens" + own] = _stage(
            "tokens",
            f"{folder}/tokens/manifest.json",
            deps=[f"{root}/code/tokens", manifest, f"{workflow.tokenizer_folder(study)}/tokenizer.json"],
            outs=[f"{folder}/tokens"],
        )
    candidates = f"{data}/candidates"
    official = [f"{scale}.candidates", f"datasets.{study.at.dataset}"]
    few = [f"{scale}.train_evaluation"] if study.at.published_scores else []
    read = origins.files(study, study.at.dataset) if study.at.candidates == "official" else []
    stages["candidates"] = _stage(
        "candidates",
        f"{candidates}/metrics.json",
        deps=[f"{root}/code/candidates", f"{data}/manifest.json", *read],
        params=[f"{scale}.depth", *(official if study.at.candidates == "official" else [f"{scale}.bm25", *few])],
        outs=[f"{candidates}/{name}.run.gz" for name in study.splits],
        metrics=_in_git(f"{candidates}/metrics.json"),
    )
    stages["evaluation-sets"] = _stage(
        "evaluation_sets",
        f"{root}/evaluation/test.run.gz",
        deps=[f"{root}/code/evaluation_sets", f"{data}/manifest.json", candidates],
        params=[f"{scale}.train_evaluation", f"{scale}.depth"],
        outs=[f"{root}/evaluation"],
    )
    sizes, one_hot = [f"{scale}.list_length", f"{scale}.train_lists"], f"{root}/supervision/one-hot"
    published = study.at.published_scores
    if published:
        stages["import-scores"] = _stage(
            "import_scores",
            f"{one_hot}/lists.parquet",
            deps=[f"{root}/code/import_scores", f"{data}/manifest.json", *([published.path] if published.path else [])],
            params=[*sizes, f"{scale}.published_scores"],
            outs=[one_hot, f"{root}/supervision/{published.teacher}"],
        )
    else:
        deps = [f"{root}/code/lists", f"{data}/manifest.json", candidates]
        stages["lists"] = _stage("lists", f"{one_hot}/lists.parquet", deps=deps, params=sizes, outs=[one_hot])
    return stages


def _pretrained(study: Study) -> list[str]:
    """The encoders that are pre-trained here, each after the one that it grows from."""
    used = sorted({study.run(job.run).encoder for job in _jobs(study, "train")})
    found: list[str] = []
    for name in used:
        chain = []
        while name and workflow.encoder_folder(study, name).parent.name == "encoders":
            chain.append(name)
            name = study.params.encoders[name].grows_from
        found += reversed(chain)
    return list(dict.fromkeys(found))


def _pretrained_on(study: Study) -> list[str]:
    """The datasets that encoders are pre-trained on, if any are."""
    return workflow.pretrained_on(study) if _pretrained(study) else []


def _encoders(study: Study, root: str) -> dict[str, Stage]:
    """Encoders that are pre-trained or fetched; none if all are files of this repository."""
    scale, read, stages = f"scales.{study.scale}", _pretrained_on(study), {}
    corpora = list(study.at.pretraining.corpora) if read else []
    lists = [f"{root}/corpora/{name}.parquet" for name in corpora]
    manifests = [f"{root}/data/{name}/manifest.json" for name in dict.fromkeys([study.at.dataset, *read])]
    for name, output in zip(corpora, lists, strict=True):
        deps = [f"{root}/code/corpus", f"{root}/data/{name}/manifest.json"]
        params = [f"{scale}.{key}" for key in ("bm25", "depth", "list_length")]
        stages[f"corpus-{name}"] = _stage("corpus", output, deps=deps, params=params, outs=[output, f"{output}.json"])
    tokenizer = workflow.tokenizer_folder(study)
    if tokenizer.name == "tokenizer":
        stages["tokenizer"] = _stage(
            "tokenizer",
            f"{tokenizer}/tokenizer.json",
            deps=[
                f"{root}/code/tokenizer",
                *(f"{root}/data/{name}/manifest.json" for name in workflow.pretrained_on(study)),
            ],
            params=[f"{scale}.vocabulary", f"{scale}.lengths.pair"],
            outs=[str(tokenizer)],
        )
    if read:
        stages["texts"] = _stage(
            "texts",
            f"{root}/texts/manifest.json",
            deps=[
                *[f"{root}/code/texts", f"{tokenizer}/tokenizer.json"],
                *(f"{root}/data/{name}/manifest.json" for name in study.at.pretraining.texts),
            ],
            params=[
                *(f"{scale}.pretraining.{key}" for key in ("texts", "most_texts", "sentence_encoder")),
                f"{scale}.tokens_per_batch",
            ],
            outs=[f"{root}/texts"],
        )
    for name in _pretrained(study):
        folder, start = f"{root}/encoders/{name}", [f"{root}/{path}" for path in workflow.grows_from(study, name)]
        tokens = [str(Path(manifest).parent / "tokens") for manifest in manifests]
        shared = [f"{root}/code/pretrain", f"{root}/evaluation"]
        shared += [f"{tokenizer}/{file}" for file in workflow.TOKENIZER_FILES]
        stages[f"pretrain-{name}"] = _stage(
            "pretrain",
            f"{folder}/model.safetensors",
            deps=[*shared, *manifests, *tokens, *lists, f"{root}/texts", *start],
            params=[f"encoders.{name}", *(f"{scale}.{key}" for key in ("pretraining", "lengths", "tokens_per_batch"))],
            outs=[*(f"{folder}/{file}" for file in workflow.ENCODER_FILES), *_in_git(f"{folder}/curve.csv")],
            metrics=_in_git(f"{folder}/metrics.json"),
        )
    for name in sorted({study.run(job.run).encoder for job in _jobs(study, "train")}):
        if study.params.encoders[name].hub:
            folder = str(workflow.encoder_folder(study, name))
            params = [f"encoders.{name}", f"{scale}.lengths.pair"]
            deps = [f"{root}/code/fetch"]
            stages[f"fetch-{name}"] = _stage(
                "fetch", f"{folder}/manifest.json", deps=deps, params=params, outs=[folder]
            )
    return stages


def _models(study: Study, root: str) -> dict[str, Stage]:
    """Trained models, and what is made with them: scores of teachers, blocks of scores, steps, retrieval."""
    data = f"{root}/data/{study.at.dataset}"
    texts, at = [f"{data}/manifest.json", f"{data}/tokens"], "${item.run}/seed-${item.seed}"
    run, model = f"{root}/runs/{at}", f"{root}/runs/{at}/model"

    def each(rule: str, target: str, deps: Sequence[str], outs: Sequence[Any]) -> dict[str, Stage]:
        """The group of a rule."""
        items = {_key(study, job): {"run": job.run, "seed": job.seed} for job in _jobs(study, rule)}
        if rule in ("train", "checkpoints"):
            for item in items.values():
                item["experiment"] = study.split(item["run"])[0]
                item["encoder"] = str(workflow.encoder_folder(study, study.run(item["run"]).encoder))
                item["lists"] = f"{root}/{workflow.lists_of(study, item['run'])}"
        do = _stage(rule, target, deps=[f"{root}/code/{rule}", *texts, *deps], outs=outs)
        return _each(rule.replace("_", "-"), items, do)

    experiment = f"{root}/experiments/${{item.experiment}}.json"
    trained = [f"{root}/evaluation", experiment, "${item.encoder}", "${item.lists}"]
    runs = [f"{run}/{name}.run.gz" for name in study.sets]
    found = [f"{root}/retrieval/{at}/{name}.run.gz" for name in study.test_sets]
    kept, block, steps = (f"{root}/{parent}/{at}" for parent in ("checkpoints", "score-matrices", "score-updates"))
    one_hot, scored = f"{root}/supervision/one-hot/lists.parquet", f"{root}/supervision/${{item.run}}"
    about = _in_git(*(f"{run}/{name}" for name in ("curve.csv", "config.yaml", "provenance.json")))
    return {
        **each("train", f"{run}/curve.csv", trained, [model, *runs, *about]),
        **each("checkpoints", f"{kept}/step-0/model/model.safetensors", trained, [kept]),
        **each("teacher_scores", f"{scored}/lists.parquet", [model, one_hot], [scored]),
        **each("score_matrix", f"{block}.parquet", [model, f"{root}/evaluation"], [f"{block}.parquet"]),
        **each("score_updates", f"{steps}.parquet", [model, f"{root}/evaluation", kept], [f"{steps}.parquet"]),
        **each("retrieval", found[0], [model], found),
    }


def _metrics(study: Study, root: str) -> dict[str, Stage]:
    """Metrics of runs: of re-ranked candidates and of retrieval."""
    needed = {path for artefact in study.artefacts for path in workflow.files(study, artefact)}
    stages = {}
    for parent, rule, sets in (
        ("runs", "evaluate", study.sets),
        ("retrieval", "evaluate_retrieval", study.test_sets),
    ):
        items = {_key(study, job): {"of": f"{job.run}/seed-{job.seed}"} for job in _jobs(study, rule)}
        items |= {
            name: {"of": name} for name in workflow.UNTRAINED if any(p.parts[:2] == (parent, name) for p in needed)
        }
        for item in items.values():
            item["runs"] = f"{root}/{workflow.runs_folder(item['of'], parent)}"
        folder = f"{root}/{parent}/${{item.of}}"
        runs = [f"${{item.runs}}/{name}.run.gz" for name in sets]
        do = _stage(
            rule,
            f"{folder}/metrics.json",
            deps=[f"{root}/code/evaluate", f"{root}/evaluation", *runs],
            outs=[f"{folder}/per_query.parquet"],
            metrics=_in_git(f"{folder}/metrics.json"),
        )
        stages |= _each(rule.replace("_", "-"), items, do)
    return stages
