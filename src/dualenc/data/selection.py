"""What a dataset keeps of a collection that has more: samples by hash of the id, and passages cut into parts.

Part n of passage ``p`` is ``p-n``, and relevant where ``p`` is. So retrieval and the encoders see the same text.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from dualenc.data import collection
from dualenc.data.collection import SPLITS, Judgements
from dualenc.data.sampling import in_hash_order
from dualenc.runtime.values import Limit, Strict, Text

SET = re.compile(r"(?!(passages|retrieval)$)[A-Za-z0-9-]{1,100}")  # as file names and columns of tables hold it


class MaxQueries(Strict):
    """How many queries a split has at most; None for all."""

    train: Limit
    validation: Limit
    test: Limit


def _sets(sets: dict[str, str]) -> dict[str, str]:
    missing = next((split for split in SPLITS if split not in sets), None)
    if missing:
        raise PydanticCustomError("splits", "it has no {split} split", {"split": missing})
    wrong = next((name for name in sets if not SET.fullmatch(name)), None)
    if wrong is not None:
        raise PydanticCustomError("splits", "{name} must be one word of letters, digits and hyphens", {"name": wrong})
    for name, source in sets.items():  # test sets may share queries
        learnt = next((split for split in SPLITS[:2] if split != name and sets[split] == source), None)
        if learnt:
            about = {"name": name, "split": learnt}
            raise PydanticCustomError("splits", "{name} and {split} are the same: give each its own", about)
    return sets


Sets = Annotated[dict[str, Text], AfterValidator(_sets)]
"""Where train, validation and test come from, and any further test sets."""


def sample(queries: Mapping[str, str], split: str, max_queries: Mapping[str, int | None]) -> dict[str, str]:
    """At most ``max_queries[split]`` of the queries (qid -> text), all for None; further test sets are kept whole."""
    kept = in_hash_order(list(queries))[: max_queries.get(split)]
    return {qid: queries[qid] for qid in kept}


def passages(pids: Sequence[str], judged: Mapping[str, Judgements], max_passages: int | None) -> list[str]:
    """All passages that are judged in any split, however many, and then others up to ``max_passages``."""
    needed = list(dict.fromkeys(pid for rows in judged.values() for _, pid, _ in rows))
    known = set(needed)
    others = in_hash_order([pid for pid in pids if pid not in known]) if max_passages != 0 else []
    left = len(others) if max_passages is None else max(0, max_passages - len(needed))
    return [*needed, *others[:left]]


def write(
    folder: str | Path,
    texts: Iterable[tuple[str, str]],
    kept: Sequence[str],
    queries: Mapping[str, Mapping[str, str]],
    judged: Mapping[str, Judgements],
    max_words: int | None,
    about: Mapping[str, Any],
) -> None:
    """Write the dataset of the ``kept`` among the ``texts`` (pid, text), cut into parts of ``max_words`` words.

    ``queries`` is split -> qid -> text, and ``about`` what the manifest says. Raises ``UserError`` as
    ``collection.check`` does.
    """
    wanted = set(kept)
    found = {pid: text for pid, text in texts if pid in wanted}
    parts = {pid: _parts(pid, found.pop(pid), max_words) for pid in kept}
    collection.write(
        folder,
        [part for pid in kept for part in parts[pid]],
        {split: list(asked.items()) for split, asked in queries.items()},
        {
            split: [(qid, part, rel) for qid, pid, rel in rows for part, _ in parts[pid]]
            for split, rows in judged.items()
        },
        {**about, "max_words": max_words},
    )


def _parts(pid: str, text: str, max_words: int | None) -> list[tuple[str, str]]:
    if max_words is None:
        return [(pid, text)]
    words = text.split()
    starts = range(0, max(1, len(words)), max_words)
    return [(f"{pid}-{number}", " ".join(words[at : at + max_words])) for number, at in enumerate(starts)]


def report(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Say on stderr what came in and what each filter left out: a line for the passages and for each split."""
    for what, numbers in counts.items():
        line = ", ".join(f"{name}: {number:,}" for name, number in numbers.items())
        print(f"{what}: {line}", file=sys.stderr, flush=True)
