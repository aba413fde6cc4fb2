"""Texts as long as MS MARCO's, and an encoder with random weights that reads them: what the models' paths are fed."""

import os
import re
from functools import cache
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

from dualenc.encoders import precision, tokens
from dualenc.runtime import provenance
from dualenc.scorers import models, reading
from dualenc.scorers.reading import Texts

TOKENIZER = Path(__file__).parents[2] / "miniatures" / "small-2-24"
VOCABULARY = 30522  # rows of BERT's word embeddings, which an optimiser has to walk over; the tokenizer uses 8,192
LENGTHS = {"text": 200, "pair": 232}  # most tokens of a text and of a pair, as at the scale `paper`
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}  # as at the scales `mini` and `paper`
LIST = 20  # passages of a query
SEED = 1
MEASURED = 2.0  # seconds for each matrix product
SECONDS, LEAST = 1.0, 500  # of a call, on a processor of any speed, and what it does at least


class Work(NamedTuple):
    """Queries and passages as text and as tokens, and the folder of an encoder that reads them."""

    queries: list[str]
    passages: list[str]
    source: Texts
    encoder: Path


def passage_lengths(count: int, generator: np.random.Generator) -> np.ndarray:
    """Tokens (count,) of passages, special ones too: about MS MARCO's distribution, mean 75, at most 200."""
    return np.clip(generator.lognormal(np.log(69), 0.4, count), 10, LENGTHS["text"]).astype(int)


def texts(lengths: np.ndarray, generator: np.random.Generator) -> list[str]:
    """Texts of so many tokens, [CLS] and [SEP] counted: words that are one token each, drawn by Zipf's law."""
    known = sorted(Tokenizer.from_file(str(TOKENIZER / "tokenizer.json")).get_vocab())
    words = np.array([word for word in known if len(word) > 2 and word.isalpha()], dtype=object)
    ranks = np.exp(generator.random(lengths.sum()) * np.log(len(words))).astype(np.int64) - 1
    drawn = np.split(words[ranks], np.cumsum(lengths)[:-1])
    return [" ".join(some[2:].tolist()) for some in drawn]


def work(folder: Path, layers: int, width: int, queries: int, passages: int) -> Work:
    """Write an encoder of this shape to a folder, and tokens of so many texts."""
    generator = np.random.default_rng(SEED)
    asked = texts(generator.integers(6, 16, queries), generator)
    given = texts(passage_lengths(passages, generator), generator)
    torch.manual_seed(SEED)
    shape = {"layers": layers, "width": width, "heads": max(1, width // 64), "vocabulary": VOCABULARY}
    bert = models.pretraining_model(**shape, max_length=LENGTHS["pair"], pad=0)
    models.save_encoder(bert, TOKENIZER, folder / "encoder", LENGTHS["pair"])
    tokens.write(folder / "tokens", TOKENIZER / "tokenizer.json", {"queries.train": asked, "passages": given})
    source = reading.texts(folder / "tokens", "train", TOKENS_PER_BATCH[models.device()])
    return Work(asked, given, source, folder / "encoder")


def operations(lengths: np.ndarray, layers: int, width: int) -> float:
    """Products and sums of a forward pass over texts of these lengths, in BERT's matrix products, without padding."""
    lengths = lengths.astype(float)
    return float((lengths * layers * (24 * width**2 + 4 * lengths * width)).sum())


@cache
def has_bfloat16() -> bool:
    """Whether bfloat16 is of any use here: where it is emulated, or no faster at a usual width, nobody takes it."""
    return torch.cuda.is_available() or precision.fastest(precision.measure(384, training=True)) != "float32"


@cache
def model_rate() -> float:
    """Operations a second that a model could do at most: in bfloat16 where the device has that."""
    return matrix_rate(torch.bfloat16 if has_bfloat16() else torch.float32)


def enough(limit: float, most: int) -> int:
    """How many are done in ``SECONDS`` or twice that, where no more than ``limit`` a second can be: hundreds."""
    return min(most, max(LEAST, 100 * round(SECONDS * limit / 100)))


@cache
def matrix_rate(dtype: torch.dtype) -> float:
    """Operations a second of the best matrix product that this device was seen to do in ``dtype``, of three shapes."""
    device, best = models.device(), 0.0
    for rows, inner, columns in ((4096, 384, 1536), (4096, 1024, 1024), (4096, 4096, 4096)):
        a = torch.randn(rows, inner, device=device).to(dtype)
        b = torch.randn(inner, columns, device=device).to(dtype)
        taken, until = [], perf_counter() + MEASURED
        while not taken or perf_counter() < until:
            taken.append(_seconds(a, b))
        best = max(best, 2 * rows * inner * columns / min(taken))
    return best


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    from harness import seconds

    def product() -> None:
        a @ b
        synchronise()

    return seconds(product)


def synchronise() -> None:
    """Wait until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def use_threads(threads: int) -> None:
    """Let this process, and those that it starts, calculate with so many threads."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def device_name() -> str:
    """What the file of this device's results is called."""
    return re.sub(r"\W+", "-", torch.cuda.get_device_name().lower()) if torch.cuda.is_available() else "cpu"


def machine(threads: int) -> dict[str, str]:
    """The processor, and in words the threads and versions that matter."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "sentence-transformers"))
    software = f"{threads} threads of {len(os.sched_getaffinity(0))} cores, {versions}"
    return {"processor": provenance.processor(), "software": software}
