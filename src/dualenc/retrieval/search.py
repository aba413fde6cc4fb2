"""Top passages of a trained dual-encoder for a typed query, with BM25's ranks and its teacher's order next to them."""

import hashlib
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sentence_transformers import SentenceTransformer

from dualenc.data import arrays, collection
from dualenc.data.runs import ranked
from dualenc.retrieval import dense
from dualenc.retrieval.candidates import bm25
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5
from dualenc.scorers import models, reading
from dualenc.study.config import Study


def search(study: Study, run: str, query: str, top: int, results: Path, scratch: Path) -> dict[str, Any]:
    """The ``top`` passages of the whole collection for ``query``, by exact search with the first seed of ``run``.

    Each has its rank and score, the text, BM25's rank of it in the whole collection (None if they share no word),
    and its rank and score among these passages by the run's teacher (None if it has none). Raises ``UserError`` for an
    unknown run, one that is not a dual-encoder, one that is not trained yet, and an empty query.
    """
    experiment = study.run(run, "--experiment")
    if experiment.model != "dual-encoder":
        known = [name for name, one in study.experiments.items() if one.model == "dual-encoder"]
        raise UserError(
            f"{run} is a {experiment.model} model, which has no dense vectors to search: name one of "
            f"{', '.join(known)}."
        )
    if not query.strip():
        raise UserError('The query is empty: type what to look for, such as "how to …".')
    root = results / study.scale
    data = root / "data" / study.at.dataset
    model = models.load(_trained(study, run, root), experiment.model)
    pids = collection.ids(data, "passages")
    saved = embeddings(model, _trained(study, run, root), data / "tokens", study.at.tokens_per_batch, scratch)
    vectors = arrays.blocks(saved, dense.PASSAGES_AT_ONCE)
    scores, rows = dense.search(model.encode([query], show_progress_bar=False), vectors, min(top, len(pids)))
    best = ranked(query, pids.take(pa.array(rows[0])).to_pylist(), scores[0])
    texts = collection.passages(data, best.pids).set_index("pid").text[best.pids].tolist()
    every = collection.texts(data, "passages")
    first_stage = bm25(pids, every, {query: query}, depth=len(pids), **study.at.bm25.model_dump()).run
    places = {pid: place for place, pid in enumerate(first_stage[query].pids, start=1)}
    found = [
        {"rank": rank, "pid": pid, "score": float(score), "bm25_rank": places.get(pid)}
        for rank, (pid, score) in enumerate(zip(*best, strict=True), start=1)
    ]
    for line, teacher in zip(found, _teacher(study, experiment.teacher, root, query, best.pids, texts), strict=True):
        line |= teacher
    for line, text in zip(found, texts, strict=True):
        line["text"] = text
    about = {"query": query, "run": run, "seed": study.at.seeds[0], "scale": study.scale, "teacher": experiment.teacher}
    return {**about, "collection": len(pids), "passages": found}


def _trained(study: Study, run: str, root: Path) -> Path:
    """The folder of a trained model. Raises ``UserError`` that says how to make it."""
    folder = root / "runs" / run / f"seed-{study.at.seeds[0]}" / "model"
    if not (folder / "model.safetensors").is_file():
        raise UserError(
            f"{run} is not trained yet at scale {study.scale}: make it with `snakemake --cores 2 "
            f"--config scale={study.scale} -- {folder / 'model.safetensors'}`."
        )
    return folder


def _teacher(
    study: Study, teacher: str | None, root: Path, query: str, pids: list[str], texts: list[str]
) -> list[dict[str, Any]]:
    """Rank and score of each passage by the teacher, among these passages."""
    if teacher is None:
        return [{"teacher_rank": None, "teacher_score": None}] * len(pids)
    scores = score_texts(models.load(_trained(study, teacher, root), study.run(teacher).model), query, texts)
    order = ranked(query, pids, scores).pids
    places = [order.index(pid) + 1 for pid in pids]
    return [{"teacher_rank": place, "teacher_score": float(score)} for place, score in zip(places, scores, strict=True)]


def score_texts(model: models.Model, query: str, texts: list[str]) -> np.ndarray:
    """Scores (N,) float32 of the texts as passages for a query, by any kind of model."""
    if not hasattr(model, "encode_query"):
        return model.predict([(query, text) for text in texts], show_progress_bar=False)
    encoded = model.encode_query([query]), model.encode_document(texts)
    return model.similarity(*encoded)[0].cpu().numpy()


def embeddings(
    model: SentenceTransformer, folder: Path, token_folder: Path, tokens_per_batch: int, scratch: Path
) -> Path:
    """The file of the embeddings (N, D) float32 of all passages, named by a hash of the model and the tokens."""
    weights = sorted(path for path in folder.rglob("*") if path.is_file())
    key = " ".join(md5(path) for path in [*weights, token_folder / "manifest.json"])
    path = scratch / "embeddings" / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.npy"
    if not path.is_file():
        source = reading.texts(token_folder, "test", tokens_per_batch)
        rows = range(len(source.passages.offsets) - 1)
        print(f"Encoding {len(rows):,} passages, once for this model.", file=sys.stderr, flush=True)
        blocks = dense.encode(model, source, rows)
        arrays.write(path, blocks, np.float32, model.get_embedding_dimension())
    return path


def as_text(found: dict[str, Any]) -> str:
    """What ``search`` found, for a terminal: a line of ranks and scores for each passage, and its text below it."""
    width = min(shutil.get_terminal_size().columns, 100)
    teacher = f", with {found['teacher']}'s order of these" if found["teacher"] else ""
    lines = [f"{found['run']} (seed {found['seed']}, {found['scale']}), {found['collection']:,} passages{teacher}", ""]
    for line in found["passages"]:
        first_stage = f"BM25 {line['bm25_rank'] or '-'}"
        order = f"  {found['teacher']} {line['teacher_rank']} ({line['teacher_score']:.3f})" if found["teacher"] else ""
        lines.append(f"{line['rank']:>3}  {line['score']:>8.3f}  {first_stage}{order}  {line['pid']}")
        lines += textwrap.wrap(line["text"], width, initial_indent="     ", subsequent_indent="     ")
    return "\n".join(lines)
