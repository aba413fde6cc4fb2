"""A small results folder with real files: per-query values drawn around a chosen mean for each run."""

import re
from zlib import crc32

import numpy as np

from dualenc.evaluation.metrics import write_metrics
from dualenc.study.settings import Artefact

EVALUATION = {
    "measures": ["MRR@10", "nDCG@10"],
    "confidence": 0.95,
    "resamples": 200,
    "permutations": 4999,
    "seed": 7,
}
QUERIES = {"train": 30, "validation": 20, "test": 60}


MODELS = {"ca": "cross-attention", "de": "dual-encoder", "colbert": "late-interaction"}
DISTILLED = re.compile(r"(?:de|colbert)-(mse|margin-mse|rankdistil-b|m3se|softmax-ce)(?:-.*)?")


def run(name, *, width=16, layers=1, list_size=4):
    """What the slice of an artefact says about a run."""
    experiment, _, encoder = name.partition(".small-")
    loss = DISTILLED.fullmatch(experiment)
    return {
        "name": name,
        "experiment": experiment,
        "encoder": f"small-{encoder or f'{layers}-{width}'}",
        "width": int(encoder.split("-")[1]) if encoder else width,
        "layers": int(encoder.split("-")[0]) if encoder else layers,
        "model": MODELS[experiment.partition("-")[0]],
        "loss": loss[1] if loss else "softmax-ce-onehot",
        "list_size": list_size,
    }


def params(artefact, runs, *, seeds=(1, 2), dataset="pydocs", options=None):
    """The slice of params.yaml that an artefact gets."""
    return {
        "artefact": artefact,
        "scale": "smoke",
        "dataset": dataset,
        "seeds": list(seeds),
        "runs": runs,
        "evaluation": EVALUATION,
        "options": options or {},
    }


def told(params):
    """A slice of ``params`` as the command of its artefact is told."""
    runs = [{"loss_parameters": {}, "teacher": None, **run} for run in params["runs"]]
    return Artefact(**{"checkpoints": [], **params, "runs": runs})


def per_query(name, mean, seed, queries=None):
    """Values in [mean - .1, mean + .1] for every query: evaluation set -> measure -> qid -> value.

    ``mean`` is one for all evaluation sets or one for each. All runs share most of each query's deviation, as systems
    do on easy and hard queries.
    """
    queries = queries or QUERIES
    means = mean if isinstance(mean, dict) else dict.fromkeys(queries, mean)
    shared, own = np.random.default_rng(0), np.random.default_rng([seed, crc32(name.encode())])
    return {
        evalset: {
            measure: {
                f"{evalset}-{number}": level + 0.09 * shared.uniform(-1, 1) + 0.01 * own.uniform(-1, 1)
                for number in range(count)
            }
            for measure in EVALUATION["measures"]
        }
        for evalset, count in queries.items()
        for level in [means.get(evalset, 0.5)]
    }


def write(root, means, seeds=(1, 2), queries=None, folder="runs"):
    """Write ``runs/<name>`` below ``root`` for each name -> mean of ``means``, and for a random order."""
    means = {"random": 0.1, **means} if folder == "runs" else means
    for name, mean in means.items():
        untrained = name in ("random", "bm25")
        for seed in [0] if untrained else seeds:
            output = root / folder / name / ("" if untrained else f"seed-{seed}")
            about = {key: EVALUATION[key] for key in ("confidence", "resamples", "seed")}
            write_metrics(output, per_query(name, mean, seed, queries), **about)


def write_retrieval(root, means, seeds=(1, 2)):
    """Write ``retrieval/<name>`` below ``root``, whose only evaluation set is test."""
    write(root, means, seeds, {"test": QUERIES["test"]}, "retrieval")
