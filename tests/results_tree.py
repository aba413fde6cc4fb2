"""A small results folder with real files: per-query values drawn around a chosen mean for each run."""

from zlib import crc32

import numpy as np

from dualenc.evaluation import write_metrics

EVALUATION = {
    "measures": ["MRR@10", "nDCG@10"],
    "confidence": 0.95,
    "resamples": 200,
    "permutations": 4999,
    "seed": 7,
}
QUERIES = {"train": 30, "validation": 20, "test": 60}


def run(name, *, width=16, layers=1):
    """What the slice of an artefact says about a run."""
    experiment = name.partition(".")[0]
    losses = {"ca": "softmax-ce-onehot", "de": "softmax-ce-onehot"}
    return {
        "name": name,
        "experiment": experiment,
        "encoder": f"small-{layers}-{width}",
        "width": width,
        "layers": layers,
        "model": "cross-attention" if experiment == "ca" else "dual-encoder",
        "loss": losses.get(experiment, experiment.removeprefix("de-")),
    }


def params(artefact, runs, *, seeds=(1, 2), dataset="pydocs"):
    """The slice of params.yaml that an artefact gets."""
    return {
        "artefact": artefact,
        "scale": "smoke",
        "dataset": dataset,
        "seeds": list(seeds),
        "runs": runs,
        "evaluation": EVALUATION,
    }


def per_query(name, mean, seed, queries=None):
    """Values in [mean - .1, mean + .1] for every query: evaluation set -> measure -> qid -> value.

    All runs share most of each query's deviation, as systems do on easy and hard queries.
    """
    shared, own = np.random.default_rng(0), np.random.default_rng([seed, crc32(name.encode())])
    return {
        evalset: {
            measure: {
                f"{evalset}-{number}": mean + 0.09 * shared.uniform(-1, 1) + 0.01 * own.uniform(-1, 1)
                for number in range(count)
            }
            for measure in EVALUATION["measures"]
        }
        for evalset, count in (queries or QUERIES).items()
    }


def write(root, means, seeds=(1, 2), queries=None):
    """Write ``runs/<name>`` below ``root`` for each name -> mean of ``means``, and for a random order."""
    for name, mean in {"random": 0.1, **means}.items():
        untrained = name in ("random", "bm25")
        for seed in [0] if untrained else seeds:
            folder = root / "runs" / name / ("" if untrained else f"seed-{seed}")
            about = {key: EVALUATION[key] for key in ("confidence", "resamples", "seed")}
            write_metrics(folder, per_query(name, mean, seed, queries), **about)
