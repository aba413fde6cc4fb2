"""What the jobs of each rule ask a cluster for: GPUs, memory, run time, as `dualenc.orchestration.plan` estimates.

All jobs of a rule ask for the same, what its largest job at the scale needs: the members of a Slurm job array share one
request. A job that is tried again asks for more time and memory, in proportion to the attempt.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dualenc.orchestration import plan
from dualenc.runtime.errors import UserError
from dualenc.study.config import Study
from dualenc.study.kinds import KINDS

WITH_MODEL = (
    *("texts", "pretrain", "train", "rerank", "teacher_scores", "score_shard", "encode", "retrieval"),
    *("score_matrix", "score_updates"),
)
READ_ALL = ("dataset", "candidates", "tokens", "lists", "import_scores", "corpus", "encode", "retrieval")
SHARDED = ("encode", "retrieval", "score_shard", "teacher_scores")
TOGETHER = ("train", "rerank")  # by several processes
PLANNED = {"encode": "retrieval", "score_shard": "teacher_scores"}  # a part of what the plan has as one job


def requests(study: Study, measured: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rule -> the arguments of its ``resources``: ``gpu``, ``mem_mb`` and, in minutes, ``runtime``.

    ``local_gpu`` repeats ``gpu``: Snakemake gives no job, wherever it runs, more of a resource than its limit, and the
    default profile limits this one.

    ``measured`` are entries of `benchmarks/throughput.json`; the first one with a GPU counts if jobs have one, else the
    first without. Raises ``UserError`` if there is none. Training on several nodes has all that Slurm needs to know for
    it.
    """
    hardware = next((one for one in measured if one.get("gpu", False) == bool(study.at.gpus)), None)
    if hardware is None:
        raise UserError("benchmarks/throughput.json has no measurement of such a device: see benchmarks/README.md.")
    asked = {}
    for rule in dict.fromkeys([*READ_ALL, *WITH_MODEL]):
        runs = _runs(study, rule) if rule in WITH_MODEL else []
        some = [plan.Job(PLANNED.get(rule, rule), run, study.at.seeds[0]) for run in runs]
        seconds = max((plan.seconds(study, [job], hardware) for job in some), default=0.0)
        memory = max((plan.cost(study, job).memory for job in some), default=0.0)
        if rule == "pretrain":
            used = {name for family in study.at.encoders.values() for name in family}
            shapes = [study.params.encoders[name] for name in used if not study.params.encoders[name].fetched]
            seconds = max((plan.pretraining_seconds(study, one, hardware) for one in shapes), default=0.0)
        asked[rule] = _asked(study, rule, seconds, memory)
    return asked


def _runs(study: Study, rule: str) -> list[str]:
    """The runs of which the rule may have jobs."""
    teachers = {study.run(name).teacher for name in study.trained} - {None}
    if rule in ("teacher_scores", "score_shard"):
        return sorted(teachers)
    if rule in ("encode", "retrieval"):
        return [name for name in study.trained if KINDS[study.run(name).model].searches]
    return study.trained


def _asked(study: Study, rule: str, seconds: float, memory: float) -> dict[str, Any]:
    at, cluster = study.at, study.params.cluster
    millions = at.sizes.passages / 1e6 if rule in READ_ALL else 0.0
    parts = at.shards if rule in SHARDED else at.processes if rule in TOGETHER else 1
    minutes = cluster.minutes + cluster.minutes_per_million * millions / (at.shards if rule in SHARDED else 1)
    megabytes = cluster.mem_mb + cluster.mem_mb_per_million * millions
    megabytes += 0 if at.gpus else memory / 1e6
    asked: dict[str, Any] = {
        "gpu": at.gpus if rule in WITH_MODEL else 0,
        "mem_mb": growing(megabytes),
        "runtime": growing(minutes + cluster.slack * seconds / 60 / parts, cluster.most_minutes),
    }
    if rule in TOGETHER:
        asked |= {"processes": at.processes, "nodes": at.nodes, "gpu": at.gpus * at.processes}
        asked["mem_mb"] = growing(megabytes * at.processes / at.nodes)
        asked |= _several_nodes(study) if at.nodes > 1 else {}
    return asked | {"local_gpu": asked["gpu"]}


def _several_nodes(study: Study) -> dict[str, Any]:
    """One task per node, which starts the node's processes; with ``mpi`` Snakemake leaves the start to the job."""
    gpus = study.at.gpus * study.at.processes // study.at.nodes
    per_node = ["--ntasks-per-node=1", *([f"--gpus-per-node={gpus}"] if gpus else [])]
    return {
        **{"tasks": study.at.nodes, "tasks_per_gpu": 0},
        **{"mpi": "srun", "slurm_extra": " ".join(per_node)},
    }


def growing(amount: float, most: float = math.inf) -> Callable[..., int]:
    """A resource, rounded up, that grows with the attempt, up to ``most``."""
    return lambda wildcards, attempt: min(math.ceil(amount) * attempt, most)
