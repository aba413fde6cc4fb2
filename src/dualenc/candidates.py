"""First-stage candidates: BM25 over the whole collection, for every split (Robertson & Zaragoza, 2009)."""

from collections.abc import Sequence

import bm25s
import numpy as np
import Stemmer

from dualenc.errors import UserError
from dualenc.runs import Run, ranked


def bm25(
    pids: Sequence[str],
    passages: Sequence[str],
    queries: dict[str, str],
    *,
    depth: int,
    k1: float,
    b: float,
    stop_words: str,
    stemmer: str,
) -> Run:
    """The ``depth`` best passages of each query (qid -> text), best first.

    Passages that share no term with the query are not retrieved, so a list may be shorter than ``depth``. Raises
    ``UserError`` if ``depth`` is larger than the collection.
    """
    if depth > len(pids):
        raise UserError(f"BM25 is asked for {depth} candidates of {len(pids)} passages: lower the scale's depth.")
    stem = Stemmer.Stemmer(stemmer) if stemmer != "none" else None
    stop = "en" if stop_words == "english" else None
    index = bm25s.BM25(k1=k1, b=b)
    index.index(bm25s.tokenize(list(passages), stopwords=stop, stemmer=stem, show_progress=False), show_progress=False)
    run = {}
    tokens = bm25s.tokenize(list(queries.values()), stopwords=stop, stemmer=stem, show_progress=False, return_ids=False)
    for qid, words in zip(queries, tokens, strict=True):
        scores = index.get_scores(words) if words else np.zeros(len(pids), dtype=np.float32)
        best = np.argpartition(-scores, depth - 1)[:depth]
        best = best[scores[best] > 0]
        run[qid] = ranked(qid, [pids[row] for row in best], scores[best])
    return run
