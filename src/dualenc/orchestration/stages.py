"""dvc.yaml: a stage for each job of the workflow that makes data, an encoder, a model, runs, scores or metrics.

A stage has the files of its job (`dualenc.orchestration.dag`) and the keys of params.yaml that its slice is from
(`dualenc.orchestration.slices`), and runs that one job through Snakemake (``dualenc stage``). Tables, figures and
claims have none: Snakemake makes them in seconds. The jobs that a rule has for each run are a ``foreach`` group:
``train@de-m3se``, and ``train@de-m3se-seed-2`` for a further seed.

DVC reads values in params.yaml, but has to be told which stages there are and which layers of ``experiments`` one
inherits from; so dvc.yaml is written from the rules and params.yaml, and what runs or records a stage checks that it is
up to date.
"""

import inspect
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from dualenc.data.collection import SPLITS
from dualenc.orchestration import dag, origins, slices
from dualenc.orchestration.dag import File, Job
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic
from dualenc.runtime.provenance import PACKAGE
from dualenc.study import artefacts
from dualenc.study.config import Study

FILE = Path("dvc.yaml")
CHECKED = origins.NOTES / "dvc.yaml"
"""What dvc.yaml was found to agree with: reading the DAG takes seconds, and each of DVC's stages asks."""
LOCK = "requirements.lock"
"""What DVC knows about the versions of packages, which decide the text of some datasets."""
WITHOUT = ("table", "figure", "claim", "claims", "report")
"""Rules that have no stages."""
METRICS, IN_GIT = ["metrics.json"], ["curve.csv", "config.yaml", "provenance.json"]
"""Names of files that git keeps, rather than DVC's cache."""
FOLDERS = ["encoder"]
"""Inputs whose files stand for all of their folder, as libraries load what they find there."""
ARTIFACTS = {"teacher": "ca", "student": "de-m3se"}  # the student with the paper's best loss
CURVES = {"x": "step", "y": "value", "template": "curve"}
MARGINS = {"x": "x", "y": "density", "template": "margins"}
HEAD = """\
# Written by `make stages` from params.yaml and the rules. Values may change without it; run it again after an edit that
# changes which jobs there are (scale, experiments, encoders, seeds, artefacts) or which modules a command imports.
"""
Stage = dict[str, Any]


def text(study: Study) -> str:
    """The content of dvc.yaml. Raises ``UserError`` as `dag.read` does."""
    stages = document(study, dag.read(study))
    return HEAD + yaml.safe_dump(stages, default_flow_style=None, sort_keys=False, width=120)


def check(study: Study) -> None:
    """Raise ``UserError`` if dvc.yaml is not the one of params.yaml and the rules."""
    decide = [Path("params.yaml"), Path("Snakefile"), *Path("workflow").rglob("*.smk"), *PACKAGE.rglob("*.py")]
    now = f"{study.scale} {origins.digest(path for path in [FILE, *sorted(decide)] if path.exists())}"
    if CHECKED.exists() and CHECKED.read_text(encoding="utf-8") == now:
        return
    if not FILE.exists() or FILE.read_text(encoding="utf-8") != text(study):
        raise UserError(f"{FILE} does not have the stages of params.yaml at scale {study.scale}: run `make stages`.")
    with atomic(CHECKED) as path:
        path.write_text(now, encoding="utf-8")


def document(study: Study, jobs: Sequence[Job]) -> dict[str, Any]:
    """The content of dvc.yaml, as mappings and lists, for the jobs of the DAG."""
    outs = _outs(jobs)
    rules = defaultdict(list)
    for job in dag.in_order(jobs):
        if job.outputs and not job.temporary and job.rule not in WITHOUT:
            rules[job.rule].append(job)
    stages: dict[str, Stage] = {}
    for rule, of_rule in rules.items():
        of_rule.sort(key=lambda job: _key(study, job))
        name, keys = rule.replace("_", "-"), [_key(study, job) for job in of_rule]
        written = [_stage(study, job, outs) for job in of_rule]
        if not _is_grouped(of_rule[0]):
            stages |= {f"{name}-{key}" if key else name: stage for key, (stage, _) in zip(keys, written, strict=True)}
            continue
        do = written[0][0]
        if any(stage != do for stage, _ in written):
            raise ValueError(f"the jobs of rule {rule} differ in more than wildcards and what named functions return")
        items = {key: job.wildcards | item for key, job, (_, item) in zip(keys, of_rule, written, strict=True)}
        stages[name] = {"foreach": items, "do": do}
    root, first = f"results/{study.scale}", study.at.seeds[0]
    curves = sorted(file.path for job in jobs for file in job.outputs if file.path.startswith(f"{root}/runs/"))
    curves = [path for path in curves if path.endswith("/curve.csv")]
    return {
        "stages": stages,
        "plots": [
            *({path: CURVES} for path in curves),
            *([{f"{root}/figure-data/fig8.csv": MARGINS}] if "fig8" in study.artefacts else []),
        ],
        "artifacts": {
            name: {"path": f"{folder}/model", "type": "model", "desc": f"{run}, seed {first}, scale {study.scale}"}
            for name, run in ARTIFACTS.items()
            if f"{(folder := f'{root}/runs/{run}/seed-{first}')}/curve.csv" in curves
        },
    }


def names() -> set[str]:
    """The names of all stages in dvc.yaml, with those of each group: ``lists``, ``train@de-m3se``."""
    found = yaml.safe_load(FILE.read_text(encoding="utf-8"))["stages"]
    return {f"{name}@{key}" if key else name for name, stage in found.items() for key in stage.get("foreach", [""])}


def evaluation(study: Study, run: str, seed: int) -> str | None:
    """The stage that makes a run's metrics, such as ``evaluate@de-m3se``; None for a run that no artefact shows."""
    shown = {
        (name, one) for artefact in study.artefacts for name in study.runs(artefact) for one in study.seeds(artefact)
    }
    return f"evaluate@{_of_run(study, run, str(seed))}" if (run, seed) in shown else None


def _is_grouped(job: Job) -> bool:
    """Whether the rule has a job for each run, and its stages are a group."""
    return not {"run", "teacher"}.isdisjoint(job.wildcards)


def _key(study: Study, job: Job) -> str:
    """The name of a job's stage among those of its rule: that of the run, or the wildcards'; empty for the dataset."""
    if not _is_grouped(job):
        key = "-".join(job.wildcards.values()).replace("_", "-")
        return "" if job.wildcards.get("dataset") == study.at.dataset else key
    run, _, seed = (job.wildcards.get("run") or job.wildcards["teacher"]).partition("/seed-")
    key = _of_run(study, run, seed or job.wildcards.get("seed"))
    return f"{key}-{job.wildcards['early']}" if "early" in job.wildcards else key


def _of_run(study: Study, run: str, seed: str | None) -> str:
    return run if seed in (None, "", str(study.at.seeds[0])) else f"{run}-seed-{seed}"


def _outs(jobs: Sequence[Job]) -> dict[str, File]:
    """Output of a job -> what DVC keeps it in, and its pattern: a folder with nothing else in it, or the file."""
    fills, in_git = defaultdict(set), set()
    for job in jobs:
        for file in job.outputs if not job.temporary else []:
            above = list(map(str, PurePosixPath(file.path).parents))
            for folder in above:
                fills[folder].add(job)
            if PurePosixPath(file.path).name in (*METRICS, *IN_GIT):
                in_git.update(above)
    found = {}
    for job in jobs:
        for file in job.outputs:
            path, pattern = PurePosixPath(file.path), PurePosixPath(file.pattern)
            while (
                fills[str(path.parent)] == {job}
                and str(path.parent) not in in_git
                and all(f"{{{wildcard}}}" in str(pattern.parent) for wildcard in job.wildcards)
                and sum(PurePosixPath(other.path).is_relative_to(path.parent) for other in job.outputs) > 1
            ):
                path, pattern = path.parent, pattern.parent
            found[file.path] = File(str(path), str(pattern))
    return found


def _stage(study: Study, job: Job, outs: dict[str, File]) -> tuple[Stage, dict[str, str]]:
    """A job's stage, and what the item of its group must say about it apart from its wildcards.

    Its code is that of the folder that DVC works in, which may be a temporary one, not that of the environment.
    """
    grouped = _is_grouped(job)
    deps, item = _deps(job, outs)
    made = [outs[file.path] for file in job.outputs]
    written = list(dict.fromkeys(_template(one.pattern) if grouped else one.path for one in made))
    written += _further_sets(study, job)
    kept = {
        "outs": [one for one in written if PurePosixPath(one).name not in METRICS + IN_GIT],
        "metrics": [{one: {"cache": False}} for one in written if PurePosixPath(one).name in METRICS],
    }
    kept["outs"] += [{one: {"cache": False}} for one in written if PurePosixPath(one).name in IN_GIT]
    parts = dict.fromkeys(maker.rule for maker in job.makers.values() if maker.temporary)
    rule = " ".join([job.rule, *(f"--with {part}" for part in parts)])
    target = _template(job.outputs[0].pattern) if grouped else job.outputs[0].path
    fields = {
        "cmd": f"PYTHONPATH=src dualenc stage {rule} {target}",
        "deps": list(dict.fromkeys([*deps, *_given(study, job)])),
        "params": [] if grouped else _keys(study, job),
        **kept,
    }
    return {name: value for name, value in fields.items() if value}, item


def _template(pattern: str) -> str:
    """A rule's pattern as a template of DVC's: ``{run}`` is ``${item.run}``."""
    return pattern.replace("{", "${item.")


def _deps(job: Job, outs: dict[str, File]) -> tuple[list[str], dict[str, str]]:
    """What a job's stage depends on, and the values that its group's item has for it.

    A manifest stands for all files that a job wrote with it. Temporary files are replaced by their jobs' inputs. In
    a group, what a function of the rule named is a value of the item: a file, or the folder of several.
    """
    deps: list[str] = []
    by_function: dict[str, list[PurePosixPath]] = defaultdict(list)
    manifests = {job.makers[file.path] for file in job.inputs if file.path in job.makers and _is_manifest(file, outs)}
    for file in job.inputs:
        maker = job.makers.get(file.path)
        if maker in manifests and not _is_manifest(file, outs) and outs[file.path].path == file.path:
            continue
        if maker is not None and maker.temporary:
            deps += _deps(maker, outs)[0]
            continue
        out = outs[file.path].path if maker is not None else file.path
        if not _is_grouped(job):
            deps.append(out)
        elif file.pattern is not None:
            up = len(PurePosixPath(file.path).parts) - len(PurePosixPath(out).parts)
            deps.append(_template(str([PurePosixPath(file.pattern), *PurePosixPath(file.pattern).parents][up])))
        else:
            by_function[file.name].append(PurePosixPath(file.path))
    item = {}
    for name, paths in by_function.items():
        item[name] = str(paths[0] if len(paths) == 1 else paths[0].parent)
        whole = len(paths) == 1 or name in FOLDERS
        deps += [f"${{item.{name}}}"] if whole else [f"${{item.{name}}}/{path.name}" for path in paths]
    return list(dict.fromkeys(deps)), item


def _is_manifest(file: File, outs: dict[str, File]) -> bool:
    """Whether a file is a manifest that DVC keeps as a separate file."""
    return PurePosixPath(file.path).name == "manifest.json" and outs.get(file.path, file).path == file.path


def _keys(study: Study, job: Job) -> list[str]:
    """The keys of params.yaml that a job's slice is from."""
    if job.rule == "code":
        return slices.shared(study, job.wildcards["step"]).watched
    function = getattr(slices, job.rule, None)
    if function is None:
        return []
    asked = inspect.signature(function).parameters
    return function(study, **{name: value for name, value in job.wildcards.items() if name in asked}).watched


def _given(study: Study, job: Job) -> list[str]:
    """Files that a job's result depends on and that are not inputs of its rule (`dualenc.orchestration.origins`)."""
    if job.rule == "dataset":
        return origins.files(study, job.wildcards["dataset"])
    if job.rule == "candidates" and study.at.candidates == "official":
        return origins.files(study, study.at.dataset)
    if job.rule == "import_scores":
        return list(origins.published_scores(study))
    if job.rule == "code" and job.wildcards["step"] == "dataset":
        return [LOCK] if origins.packages(study) else []
    if job.rule == "experiment":
        shown = slices.wanting(study, job.wildcards["experiment"])
        return [artefacts.path(study.artefacts[one].kind, one) for one in shown]
    return []


def _further_sets(study: Study, job: Job) -> list[str]:
    """The files of further test sets, which the rule of all datasets does not name."""
    if job.rule != "dataset" or job.wildcards["dataset"] != study.at.dataset:
        return []
    folder = PurePosixPath(job.outputs[0].path).parent
    further = [name for name in study.splits if name not in SPLITS]
    return [str(folder / file) for name in further for file in (f"queries.{name}.parquet", f"qrels.{name}.tsv")]
