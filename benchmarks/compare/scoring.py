"""Scores and embeddings: the project's, from tokens, against the library's `predict`, `encode` and `similarity`."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import workload
from harness import Comparison, seconds

from dualenc.scorers import models, scoring, vectors
from dualenc.scorers.kinds import cross_attention, dual_encoder, late_interaction

QUERIES = 1000
MOST, QUICK = 100_000, 1_500  # pairs, or passages; a slow processor gets fewer
SHAPES = {"cpu": [(2, 128), (6, 384)], "cuda": [(6, 384), (12, 768)]}


def comparisons(device: str, scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Teacher scores, passage embeddings and late-interaction scores of each shape."""
    for layers, width in SHAPES[device][:1] if quick else SHAPES[device]:
        lengths = workload.passage_lengths(QUERIES, np.random.default_rng(workload.SEED))
        limit = workload.model_rate() / (workload.operations(lengths, layers, width) / QUERIES)
        count = workload.enough(limit, QUICK if quick else MOST)
        work = workload.work(scratch / f"scoring-{layers}-{width}", layers, width, QUERIES, count)
        yield from _teacher(work, layers, width, count)
        yield from _encode(work, layers, width, count)
        yield from _late_interaction(work, layers, width, count)


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
    model = cross_attention.start(work.encoder, dropout=0.0, max_length=workload.LENGTHS["pair"]).eval()
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
    model = dual_encoder.start(work.encoder, **options)
    own = _loaded(model, "dual-encoder", work)
    text, rows = work.passages[:count], np.arange(count)
    lengths = work.source.passages.lengths()[:count] + 2
    for how, other in _settings(model):
        yield Comparison(
            path=f"passage encoding, {layers} x {width}",
            against=f"SentenceTransformer.encode{how}",
            setting=f"{count:,} passages",
            ours=lambda: seconds(lambda: vectors.embed(own, work.source.passages, rows, work.source)),
            theirs=lambda other=other: seconds(lambda: other.encode(text)),
            amount=count,
            unit="passages",
            target=1.5,
            limit=workload.model_rate() / (workload.operations(lengths, layers, width) / count),
        )


def _late_interaction(work: workload.Work, layers: int, width: int, pairs: int) -> Iterator[Comparison]:
    """The library's way to score lists: encode each query and its passages, and compare them."""
    model = late_interaction.start(work.encoder, gain=1.0, max_length=workload.LENGTHS["text"])
    own = _loaded(model, "late-interaction", work)
    per_query = 100
    queries = np.repeat(np.arange(pairs // per_query), per_query)
    passages = np.arange(pairs)

    def theirs(other: models.Model) -> None:
        asked = other.encode_query(work.queries[: pairs // per_query], show_progress_bar=False)
        given = other.encode_document(work.passages[:pairs], show_progress_bar=False)
        for at, query in enumerate(asked):
            other.similarity([query], given[at * per_query : (at + 1) * per_query])

    lengths = work.source.passages.lengths()[:pairs] + 2
    for how, other in _settings(model):
        yield Comparison(
            path=f"ColBERT scoring, {layers} x {width}",
            against=f"MultiVectorEncoder: encode, similarity{how}",
            setting=f"{pairs:,} pairs, {per_query} of each query",
            ours=lambda: seconds(lambda: scoring.score(own, work.source, queries, passages)),
            theirs=lambda other=other: seconds(lambda: theirs(other)),
            amount=pairs,
            unit="pairs",
            target=1.0,
            limit=workload.model_rate() / (workload.operations(lengths, layers, width) / pairs),
        )
