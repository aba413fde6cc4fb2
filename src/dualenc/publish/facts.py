"""What is known of a trained model: all that its training, its evaluation and its data have left in files."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from safetensors import safe_open

from dualenc.data import collection, frames
from dualenc.evaluation import metrics
from dualenc.evaluation.results import BM25, RETRIEVAL
from dualenc.orchestration import slices, workflow
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5, read_json, read_yaml
from dualenc.runtime.provenance import Provenance
from dualenc.scorers import models
from dualenc.study.config import Study
from dualenc.study.schema import Experiment
from dualenc.training import supervision
from dualenc.training.trainer import CHOOSES

Metrics = dict[tuple[str, str], dict[str, dict[str, float]]]
"""(setting, evaluation set) -> measure -> mean, low, high, queries; settings are "runs" (re-ranked) and "retrieval"."""


class Settings(BaseModel):
    """What has to be in a run's ``config.yaml``, apart from what is compared with params.yaml."""

    experiment: dict[str, Any]


class Facts(NamedTuple):
    """What is known of a trained model.

    ``name`` is that of the folder to come, ``folder`` that of the run. ``settings`` is its config.yaml, ``made`` its
    provenance.json, ``data`` the manifest of its dataset, ``lists`` that of its lists. ``others`` are the metrics of
    its teacher and of BM25. It has this many ``parameters`` and is the model of step ``best`` of ``steps``.
    """

    name: str
    study: Study
    run: str
    seed: int
    experiment: Experiment
    folder: Path
    settings: Mapping[str, Any]
    made: Mapping[str, Any]
    data: Mapping[str, Any]
    lists: Mapping[str, Any]
    metrics: Metrics
    others: Mapping[str, Metrics]
    parameters: int
    steps: int
    best: int


def build_command(study: Study, run: str, seed: int) -> str:
    """The command that makes a model and its metrics."""
    folder = f"results/{study.scale}/runs/{run}/seed-{seed}"
    changes = f"scale={study.scale}" + (" pretrain=true" if study.params.pretrain else "")
    # Both files: git may have fetched the metrics without the model.
    return f"snakemake --cores 2 --config {changes} -- {folder}/model/model.safetensors {folder}/metrics.json"


def read(study: Study, run: str, seed: int, results: Path, name: str) -> Facts:
    """The facts of a run with a seed, for a folder called ``name``.

    Raises ``UserError`` for a model that is not trained and evaluated yet, and for one that was trained with parameters
    or from files other than those that are here now.
    """
    root, experiment = results / study.scale, study.run(run)
    folder = root / "runs" / run / f"seed-{seed}"
    data, lists = root / "data" / study.at.dataset / "manifest.json", root / workflow.lists_of(study, run)
    own = {part: folder / part for part in ("config.yaml", "provenance.json", "curve.csv", "metrics.json")}
    parts = [folder / "model" / part for kind in ("encoder", experiment.model) for part in models.FILES[kind]]
    make = f"make it with `{build_command(study, run, seed)}`"
    needed = [*parts, *own.values(), data, Path(f"{lists}.json")]
    missing = next((path for path in needed if not path.is_file()), None)
    if missing is not None:
        raise UserError(
            f"{run}, seed {seed}, is not trained and evaluated yet at scale {study.scale} ({missing} is missing): "
            f"{make}, or fetch it with `dvc pull`."
        )
    settings, made = read_yaml(own["config.yaml"], Settings), read_json(own["provenance.json"], Provenance)
    lists_manifest = read_json(f"{lists}.json", supervision.Manifest)
    changed = _changed_key(settings, slices.train(study, run, seed)) or _changed_file(
        made["inputs"],
        {data: md5(data), lists: lists_manifest["md5"]},
        Path(workflow.encoder_folder(study, experiment.encoder), "model.safetensors"),
    )
    if changed:
        raise UserError(f"{folder / 'model'} was trained with a different {changed} from the one here now: {make}.")
    curve = frames.read_curve(own["curve.csv"], make)
    split, _, measure = CHOOSES.partition("_")
    # At step 0 the start is probed, which no checkpoint has.
    probes = curve[(curve.split == split) & (curve.metric == measure) & (curve.step > 0)]
    if probes.empty:
        raise UserError(f"{own['curve.csv']} has no {measure} on {split} after step 0: {make}.")
    teacher = experiment.teacher
    others = {f"its teacher `{teacher}`": f"{teacher}/seed-{study.at.seeds[0]}"} if teacher else {}
    others = {system: _metrics(root, place) for system, place in (others | {"BM25": BM25}).items()}
    return Facts(
        name=name,
        study=study,
        run=run,
        seed=seed,
        experiment=experiment,
        folder=folder,
        settings=settings,
        made=made,
        data=read_json(data, collection.Manifest),
        lists=lists_manifest,
        metrics=_metrics(root, f"{run}/seed-{seed}"),
        others={system: found for system, found in others.items() if found},
        parameters=sum(_size(path) for path in (folder / "model").rglob("*.safetensors")),
        steps=int(probes.step.max()),
        best=int(probes.step[probes.value.idxmax()]),
    )


def _changed_key(settings: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first key whose value is not the one that a model was trained with."""
    # Whether train and test were probed along the way changes no weight.
    before, now = (_flat({key: value for key, value in one.items() if key != "curves"}) for one in (settings, now))
    return next((key for key in now if before.get(key) != now[key]), None)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "experiment"} | settings["experiment"]


def _changed_file(inputs: Mapping[str, str], digests: Mapping[Path, str], encoder: Path) -> Path | None:
    """The first file whose MD5 is not the one that a model was trained from; an encoder may have been deleted."""
    digests = {**digests, **({encoder: md5(encoder)} if encoder.is_file() else {})}
    return next((path for path, now in digests.items() if inputs.get(f"{path.parent.name}/{path.name}") != now), None)


def _metrics(root: Path, place: str) -> Metrics:
    """What a system's metrics.json has, of re-ranking and of retrieval, if there is one."""
    settings = {setting: root / setting / place / "metrics.json" for setting in ("runs", RETRIEVAL)}
    return {
        (setting, split): measures
        for setting, path in settings.items()
        if path.is_file()
        for split, measures in read_json(path, metrics.Metrics).items()
    }


def _size(path: Path) -> int:
    """How many numbers a file of weights holds."""
    with safe_open(path, "numpy") as weights:
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
