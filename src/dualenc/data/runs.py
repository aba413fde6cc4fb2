"""TREC runs: for each query its passages, best first, in files that trec_eval and ir-measures read.

A line is ``qid Q0 pid rank score tag``. In memory a run is a dictionary from qid to a `Ranking`.

**Ties.** Passages are ordered by descending float32 score; equal scores are ordered by a hash of qid and pid.
Neither the order of the candidates (the first stage's ranking, which would lift a scorer that says nothing)
nor the order of the pids (which may correlate with relevance) decides a tie. So a constant scorer gets what a
random order gets, and every system gets the same order among the same tied passages. trec_eval and
ir-measures break ties by pid, whatever the rank column says: `dualenc.evaluation.metrics` therefore hands them ranks,
not scores.
"""

import gzip
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dualenc.data.text import lines
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic
from dualenc.runtime.lookup import shown


class Ranking(NamedTuple):
    """The N scored passages of one query: their ids, and their scores as (N,) float32."""

    pids: list[str]
    scores: np.ndarray


Run = dict[str, Ranking]


def ranked(qid: str, pids: list[str], scores: ArrayLike) -> Ranking:
    """The passages of query ``qid``, best first by the rule of this module.

    ``scores`` (N,) of any number type are rounded to float32 first, so that a run in memory and the same run
    read from a file have the same ties. Raises `UserError` for a passage that appears twice in the list and for a score
    that is not finite.
    """
    if len(pids) != len(scores):
        raise ValueError(f"query {qid}: {len(pids)} passages but {len(scores)} scores")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is refused below
        scores = np.asarray(scores, dtype=np.float32)
    if not np.isfinite(scores).all():
        at = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise UserError(
            f"query {qid}: the score of passage {pids[at]} is {scores[at]}, but scores must be finite "
            "float32 numbers; look for a diverged model or a missing score."
        )
    if len(set(pids)) != len(pids):
        seen = set()
        twice = next(pid for pid in pids if pid in seen or seen.add(pid))
        raise UserError(f"query {qid}: passage {twice} is listed more than once; keep one of its lines.")

    order = np.argsort(-scores, kind="stable")
    tied = np.flatnonzero(scores[order[1:]] == scores[order[:-1]])
    if len(tied):  # only tied passages are hashed: runs with few ties, the usual case, are sorted several times faster
        tie_break = np.zeros(len(pids), dtype=np.uint64)
        for i in order[np.union1d(tied, tied + 1)].tolist():
            tie_break[i] = int.from_bytes(blake2b(f"{qid} {pids[i]}".encode(), digest_size=8).digest())
        order = np.lexsort((tie_break, -scores))
    return Ranking([pids[i] for i in order.tolist()], scores[order])


def write_run(path: str | Path, run: Run, *, tag: str) -> None:
    """Write ``run`` as a gzip TREC run, atomically; the same run always gives the same bytes.

    Queries keep the order of ``run``; the passages of each are sorted by the rule of this module and ranked
    from 1. Nine significant digits restore every float32 score exactly. Raises `UserError` as `ranked`
    does, and for an id or a tag that is empty or holds white space.
    """
    # Level 1 takes a tenth of the time of the default level 9, for files 7 % larger.
    with (
        atomic(path) as temporary,
        open(temporary, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0) as file,
    ):
        for qid, (pids, scores) in run.items():
            words = [tag, qid, *pids]
            if " ".join(words).split() != words:
                bad = next(word for word in words if word.split() != [word])
                raise UserError(f"{path}, query {qid}: {bad!r} must be a single word to go into a run; rename it.")
            ranking = ranked(qid, pids, scores)
            passages = zip(ranking.pids, ranking.scores.tolist(), strict=True)
            lines = [f"{qid} Q0 {pid} {rank} {score:.9g} {tag}\n" for rank, (pid, score) in enumerate(passages, 1)]
            file.write("".join(lines).encode())


def read_run(path: str | Path) -> Run:
    """Read a TREC run, made here or elsewhere; each query's passages are sorted by this module's rule.

    The rank column is not used, as in trec_eval. Raises `UserError` for a file that `dualenc.data.text` cannot read,
    for a line that is not a line of a run (with its number), and as `ranked` does.
    """
    columns: dict[str, tuple[list[str], list[float]]] = {}
    for number, line in lines(path):
        try:
            qid, _, pid, _, score, _ = line.split()
            pids, scores = columns.setdefault(qid, ([], []))
            pids.append(pid)
            scores.append(_number(score))
        except ValueError:
            raise UserError(
                f"{path}, line {number}: expected 'qid Q0 pid rank score tag' with a number as the score, "
                f"got {shown(line)}; correct the line."
            ) from None
    try:
        return {qid: ranked(qid, pids, scores) for qid, (pids, scores) in columns.items()}
    except UserError as error:
        raise UserError(f"{path}, {error}") from None


def _number(text: str) -> float:
    """``float`` of a text without what only Python takes for a number, such as 1_0."""
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)
