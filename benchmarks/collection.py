"""How time and memory of the steps that read a whole collection grow with it, each in a process of its own.

    python benchmarks/collection.py --passages 10000 100000 1000000

The collection is synthetic: words are drawn by Zipf's law, the stop words first, and the model has random weights. What
has been measured is kept in ``collection.json`` next to this file and not measured again, so a run that was stopped
goes on where it was; a collection is deleted once all is measured.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from os import sched_getaffinity
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dualenc import cli
from dualenc.data import collection
from dualenc.runtime import provenance
from dualenc.runtime.files import read_json, write_json

HERE = Path(__file__).parent
RESULTS = HERE / "collection.json"
ENCODER = HERE.parent / "miniatures" / "small-2-24"  # its tokenizer; and its words are those of the collection
VOCABULARY = 1 << 20  # words; the rare ones are two of the tokenizer's in one
QUERIES = {"train": 10, "validation": 10, "test": 1000}
BM25_QUERIES, BM25_DEPTH, DEPTH = 100, 100, 1000
MODEL = {"layers": 1, "width": 32, "heads": 1, "max_length": 32}
TOKENS_PER_BATCH = 2048
SHARDS = 8
SEED = 1
WORDS = 55  # of a passage of MS MARCO, on average


class At(NamedTuple):
    """A collection: its folder, its passages and the mean number of words of one. And the threads that work on it."""

    folder: Path
    passages: int
    words: int
    threads: int


def texts(count: int, words: int, seed: int) -> Iterator[str]:
    """Texts of ``words`` words on average."""
    from bm25s.stopwords import STOPWORDS_EN
    from tokenizers import Tokenizer

    known = sorted(Tokenizer.from_file(str(ENCODER / "tokenizer.json")).get_vocab())
    known = [*STOPWORDS_EN, *(word for word in known if len(word) > 2 and word.isalpha() and word not in STOPWORDS_EN)]
    rare = (known[at // len(known)] + known[at % len(known)] for at in range(VOCABULARY - len(known)))
    vocabulary = np.array([*known, *rare], dtype=object)
    generator = np.random.default_rng(seed)
    for start in range(0, count, 10_000):
        lengths = np.maximum(1, generator.poisson(words, size=min(10_000, count - start)))
        ranks = np.exp(generator.random(lengths.sum()) * np.log(VOCABULARY)).astype(np.int64) - 1  # P ~ 1 / rank
        for drawn in np.split(vocabulary[ranks], np.cumsum(lengths)[:-1]):
            yield " ".join(drawn.tolist())


def write(at: At) -> Callable[[], None]:
    """Write the dataset, its text made on the way."""
    passages = ((str(number), text) for number, text in enumerate(texts(at.passages, at.words, SEED)))
    asked = zip((f"q{number}" for number in range(sum(QUERIES.values()))), texts(10_000, 8, SEED + 1), strict=False)
    queries = {split: [next(asked) for _ in range(count)] for split, count in QUERIES.items()}
    relevant = np.random.default_rng(SEED).integers(at.passages, size=sum(QUERIES.values())).astype(str)
    qrels = {split: [(qid, relevant[int(qid[1:])], 1) for qid, _ in rows] for split, rows in queries.items()}
    return partial(collection.write, at.folder / "dataset", passages, queries, qrels, {})


def check(at: At) -> Callable[[], None]:
    """Check the dataset, as the steps do that read it first."""
    return partial(collection.check_folder, at.folder / "dataset")


def tokens(at: At) -> Callable[[], None]:
    """Tokenise all texts."""
    from dualenc.steps.tokens import tokens

    return partial(tokens, at.folder / "dataset", ENCODER, at.folder / "tokens")


def candidates(at: At) -> Callable[[], object]:
    """BM25: index the collection and search it for some queries."""
    from dualenc.retrieval.candidates import bm25

    data = at.folder / "dataset"
    asked = collection.queries(data, "test").head(BM25_QUERIES)
    queries = dict(zip(asked.qid, asked.text, strict=True))
    options = {"k1": 0.9, "b": 0.4, "stop_words": "english", "stemmer": "english"}
    options |= {"depth": BM25_DEPTH, "threads": at.threads}
    return partial(bm25, collection.ids(data, "passages"), collection.texts(data, "passages"), queries, **options)


def encode(at: At) -> Callable[[], None]:
    """Encode the collection, one shard after the other."""
    import torch

    from dualenc.scorers import models
    from dualenc.scorers.kinds import dual_encoder
    from dualenc.steps.encode import encode
    from dualenc.study.settings import Encode

    torch.manual_seed(SEED)
    bert = models.pretraining_model(**MODEL, vocabulary=8192, pad=0)
    models.save_encoder(bert, ENCODER, at.folder / "encoder", MODEL["max_length"])
    options = {"pooling": "mean", "dropout": 0.0, "gain": 1.0, "max_length": MODEL["max_length"]}
    dual_encoder.start(at.folder / "encoder", **options).save(str(at.folder / "model"), create_model_card=False)

    def shards() -> None:
        params = Encode(shards=SHARDS, tokens_per_batch=TOKENS_PER_BATCH)
        for number, file in enumerate(embeddings(at)):
            encode(params, at.folder / "tokens", at.folder / "model", number, at.folder / "scratch", file)

    return shards


def search(at: At) -> Callable[[], None]:
    """Search the shards for all test queries."""
    from dualenc.steps.retrieval import retrieval
    from dualenc.study.settings import Retrieval

    params = Retrieval(model="dual-encoder", depth=DEPTH, tokens_per_batch=TOKENS_PER_BATCH)
    folders = [at.folder / name for name in ("dataset", "tokens", "model")]
    return partial(retrieval, params, *folders, at.folder / "de" / "seed-1", embeddings(at))


def evaluate(at: At) -> Callable[[], None]:
    """Read the run that the search made, and evaluate it."""
    from dualenc.data.runs import read_run
    from dualenc.evaluation.metrics import evaluate

    run, qrels = at.folder / "de" / "seed-1" / "test.run.gz", collection.qrels(at.folder / "dataset", "test")
    return lambda: evaluate(read_run(run), qrels, ["MRR@10", "nDCG@10", f"R@{DEPTH}"])


def embeddings(at: At) -> list[Path]:
    """The files of the shards."""
    return [at.folder / "embeddings" / f"{number}-of-{SHARDS}.npy" for number in range(SHARDS)]


STEPS = {step.__name__: step for step in (write, check, tokens, candidates, encode, search, evaluate)}


def memory() -> int:
    """The most memory that this process has had, in MiB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


def measure(step: str, at: At) -> dict[str, float]:
    """Time and memory of a step in this process: imports take no time, and ``before_mib`` of the memory."""
    import torch

    cli.options(threads=at.threads)
    torch.set_num_threads(at.threads)
    work = STEPS[step](at)
    before, start, cpu = memory(), time.monotonic(), time.process_time()
    work()
    seconds = {"seconds": time.monotonic() - start, "cpu_seconds": time.process_time() - cpu}
    return {name: round(value, 2) for name, value in seconds.items()} | {"peak_mib": memory(), "before_mib": before}


def measure_all(at: At) -> None:
    """Measure all steps that are not in the results yet, each in its own process, and delete the collection."""
    for step in STEPS:
        results = read_json(RESULTS) if RESULTS.exists() else []
        about = {"step": step, "passages": at.passages, "words": at.words, "threads": at.threads}
        if any(about.items() <= row.items() for row in results):
            continue
        arguments = ["--step", step, "--threads", at.threads, "--words", at.words, "--passages", at.passages]
        command = [sys.executable, __file__, *map(str, arguments), "--scratch", str(at.folder.parent)]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        print(about | found, flush=True)
        machine = {"processor": provenance.processor(), "cores": len(sched_getaffinity(0)), "date": str(date.today())}
        write_json(RESULTS, [*results, about | found | machine])
    shutil.rmtree(at.folder, ignore_errors=True)


def draw() -> None:
    """Draw CPU time and memory against the size, with the exponents of the power laws that fit large sizes best."""
    import pandas as pd
    from matplotlib.figure import Figure

    from dualenc.figures import drawing

    frame = pd.DataFrame(read_json(RESULTS)).sort_values("passages")
    largest = frame.words[frame.passages.idxmax()]
    colours = dict(
        zip(STEPS, ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"], strict=True)
    )
    with drawing.style():
        figure = Figure(figsize=(10, 4.4))
        axes = figure.subplots(1, 2, sharex=True)
        for (step, words), some in frame.groupby(["step", "words"], sort=False):
            look = {"color": colours[step], "marker": "o", "linestyle": "-" if words == largest else ":"}
            axes[0].plot(some.passages, some.cpu_seconds, **look)
            if words == largest:
                large = some[some.passages >= 100_000]  # below, what does not depend on the size takes most of the time
                exponent = np.polyfit(np.log(large.passages), np.log(large.cpu_seconds), 1)[0]
                look["label"] = f"{step}: n$^{{{exponent:.2f}}}$"
            axes[1].plot(some.passages, some.peak_mib, **look)
        axes[0].set(xscale="log", yscale="log", title="CPU seconds", xlabel="passages")
        axes[1].set(xscale="log", ylim=(0, None), title="most memory of the process, MiB", xlabel="passages")
        figure.legend(loc="outside right upper", frameon=False)
        figure.savefig(RESULTS.with_suffix(".png"), metadata={"Software": None})


def main() -> None:
    """Measure and draw; with ``--step`` measure that one in this process and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, nargs="+", required=True)
    parser.add_argument("--words", type=int, default=WORDS, help="of a passage, on average")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scratch", type=Path, default=Path("scratch/collection"), help="where the collections are")
    parser.add_argument("--step", choices=STEPS)
    given = parser.parse_args()
    for passages in given.passages:
        at = At(given.scratch / f"{passages}x{given.words}", passages, given.words, given.threads)
        if given.step:
            print(json.dumps(measure(given.step, at)))
        else:
            measure_all(at)
    if not given.step:
        draw()


if __name__ == "__main__":
    main()
