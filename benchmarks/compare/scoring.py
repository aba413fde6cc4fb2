"""Scores and embeddings: the project's, from tokens, against the library's `predict`, `encode` and `similarity`."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import workload
from harness import Comparison, seconds

from dualenc.scorers import models, scoring

QUERIES = 1000
# (layers, width): pairs, passages
SHAPES = {
    "cpu": {(2, 128): (100_000, 20_000), (6, 384): (5_000, 4_000)},
    "cuda": {(6, 384): (100_000, 100_000), (12, 768): (100_000, 100_000)},
}
LATE_PAIRS = 4_000
QUICK = {(2, 128): (5_000, 4_000)}


def comparisons(device: str, scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Teacher scores, passage embeddings and late-interaction scores of each shape."""
    for (layers, width), (pairs, passages) in (QUICK if quick else SHAPES[device]).items():
        count = max(passages, pairs // 5)
        work = workload.work(scratch / f"scoring-{layers}-{width}", layers, width, QUERIES, count)
        yield from _teacher(work, layers, width, pairs)
        yield from _encode(work, layers, width, passages)
        yield from _late_interaction(work, layers, width)


def _settings(model: models.Model) -> Iterator[tuple[str, models.Model]]:
    """The library's model as it comes, and all in bfloat16 as its documentation advises where speed counts."""
    yield "", model
    if workload.has_bfloat16():
        yield ", all in bfloat16", copy.deepcopy(model).bfloat16()


def _loaded(model: models.Model, kind: str, work: workload.Work) -> models.Model:
    """A model as the project's steps have it, which load it from its folder; the library's calls get it as it is."""
    folder = work.encoder.with_name(kind)
    model.save(str(folder), create_model_card=False)
    return models.load(folder, kind)


def _drawn(work: workload.Work, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of queries and of passages, a hundred passages and more for each query."""
    generator = np.random.default_rng(workload.SEED)
    queries = np.sort(generator.integers(len(work.queries), size=pairs))
    return queries, generator.integers(len(work.passages), size=pairs)


def _teacher(work: workload.Work, layers: int, width: int, pairs: int) -> Iterator[Comparison]:
    model = models.cross_encoder(work.encoder, dropout=0.0, max_length=workload.LENGTHS["pair"]).eval()
    own = _loaded(model, "cross-attention", work)
    queries, passages = _drawn(work, pairs)
    text = [(work.queries[query], work.passages[passage]) for query, passage in zip(queries, passages, strict=True)]
    ours = scoring.score(own, work.source, queries[:1000], passages[:1000])
    lengths = work.source.queries.lengths()[queries] + work.source.passages.lengths()[passages] + 3
    for how, other in _settings(model):
        theirs = other.predict(text[:1000])
        yield Comparison(
            path=f"teacher scoring, {layers} x {width}",
            against=f"CrossEncoder.predict{how}",
            setting=f"{pairs:,} pairs; largest difference {np.abs(ours - theirs).max():.1g}, spread {theirs.std():.1g}",
            ours=lambda: seconds(lambda: scoring.score(own, work.source, queries, passages)),
            theirs=lambda other=other: seconds(lambda: other.predict(text)),
            amount=pairs,
            unit="pairs",
            target=1.8,
            limit=workload.model_rate() / (workload.operations(lengths, layers, width) / pairs),
        )


def _encode(work: workload.Work, layers: int, width: int, count: int) -> Iterator[Comparison]:
    options = {"pooling": "mean", "dropout": 0.0, "gain": 1.0, "max_length": workload.LENGTHS["text"]}
    model = models.dual_encoder(work.encoder, **options)
    own = _loaded(model, "dual-encoder", work)
    text, rows = work.passages[:count], np.arange(count)
    lengths = work.source.passages.lengths()[:count] + 2
    for how, other in _settings(model):
        yield Comparison(
            path=f"passage encoding, {layers} x {width}",
            against=f"SentenceTransformer.encode{how}",
            setting=f"{count:,} passages",
            ours=lambda: seconds(lambda: scoring.embed(own, work.source.passages, rows, work.source)),
            theirs=lambda other=other: seconds(lambda: other.encode(text)),
            amount=count,
            unit="passages",
            target=1.5,
            limit=workload.model_rate() / (workload.operations(lengths, layers, width) / count),
        )


def _late_interaction(work: workload.Work, layers: int, width: int) -> Iterator[Comparison]:
    """The library's way to score lists: encode each query and its passages, and compare them."""
    model = models.late_interaction(work.encoder, gain=1.0, max_length=workload.LENGTHS["text"])
    own = _loaded(model, "late-interaction", work)
    per_query = 100
    queries = np.repeat(np.arange(LATE_PAIRS // per_query), per_query)
    passages = np.arange(LATE_PAIRS)

    def theirs(other: models.Model) -> None:
        asked = other.encode_query(work.queries[: LATE_PAIRS // per_query], show_progress_bar=False)
        given = other.encode_document(work.passages[:LATE_PAIRS], show_progress_bar=False)
        for at, query in enumerate(asked):
            other.similarity([query], given[at * per_query : (at + 1) * per_query])

    lengths = work.source.passages.lengths()[:LATE_PAIRS] + 2
    for how, other in _settings(model):
        yield Comparison(
            path=f"ColBERT scoring, {layers} x {width}",
            against=f"MultiVectorEncoder: encode, similarity{how}",
            setting=f"{LATE_PAIRS:,} pairs, {per_query} of each query",
            ours=lambda: seconds(lambda: scoring.score(own, work.source, queries, passages)),
            theirs=lambda other=other: seconds(lambda: theirs(other)),
            amount=LATE_PAIRS,
            unit="pairs",
            target=1.0,
            limit=workload.model_rate() / (workload.operations(lengths, layers, width) / LATE_PAIRS),
        )
