"""Questions with pools of passages, as DPR prepared Natural Questions (Karpukhin et al., 2020).

``biencoder-nq-{train,dev}.json``, plain or compressed, are arrays of {question, answers, positive_ctxs, negative_ctxs,
hard_negative_ctxs}; a passage is {title, text, score, title_score, passage_id}. The first positive is the gold passage,
of score 1000. The other positives and the hard negatives are BM25's first 100 for the question, with its scores: those
that hold an answer, and the rest. ``negative_ctxs`` are random. The files are larger than memory, so they are read as
streams, once for the questions and once for the passages.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import ijson

from dualenc.data import collection, sources
from dualenc.data.runs import Run, ranked
from dualenc.data.sampling import in_hash_order
from dualenc.data.selection import MaxQueries
from dualenc.data.sources import Source
from dualenc.data.text import opened
from dualenc.runtime.errors import UserError
from dualenc.runtime.values import Count, Positive, Strict

FILES = {"train": "train", "validation": "train", "test": "dev"}
"""The file that each split is taken from; the paper tests on dev, so nothing may be chosen on it."""
GOLD = 1000
"""What serves as the score of the gold passage."""


RIGHTS = "The manifest names no licence; Natural Questions and Wikipedia's text are under CC BY-SA."


class TrainQueries(MaxQueries):
    """How many questions a split has at most; those of validation are taken out of train, so not all can be."""

    validation: Positive


class Parameters(Strict):
    """Questions with pools of passages as DPR prepared them.

    ``hard_negatives`` and ``random_negatives`` are how many of them a pool has at most.
    """

    kind: Literal["dpr"]
    train: Source
    dev: Source
    titles: bool
    hard_negatives: Positive
    random_negatives: Count
    max_queries: TrainQueries


class Passage(NamedTuple):
    """A passage of a question's pool; ``score`` is BM25's, or ``GOLD``, or 0 for random ones."""

    pid: str
    score: float
    title: str
    text: str


class Entry(NamedTuple):
    """A question and its pool; ``number`` is its place in the file, from 1."""

    number: int
    question: str
    positives: list[Passage]
    hard_negatives: list[Passage]
    random_negatives: list[Passage]

    def passages(self) -> list[Passage]:
        """The whole pool; a passage may be in it twice."""
        return [*self.positives, *self.hard_negatives, *self.random_negatives]


class Question(NamedTuple):
    """A question that is kept: its text, where it is in its file, and its judgements (pid -> rel)."""

    text: str
    number: int
    judged: dict[str, int]


def build(folder: str | Path, parameters: Parameters, workers: int = 1) -> None:
    """Write the dataset of ``parameters.train`` and ``parameters.dev``, which is the test split.

    A question's id is a hash of its text. The validation split is taken from train by the hash of the id. All passages
    that the files give for the questions that are kept make the collection; ``titles`` puts their titles before them.
    The gold passage has rel 2 and other positives 1. Left out and counted in the manifest are questions that a file
    repeats, those without a positive, which cannot be evaluated, and from train those without a hard negative, which
    make no list, and those that dev also has. Raises ``UserError`` as ``sources.fetch``, ``read`` and
    ``collection.check`` do.
    """
    paths = {"train": sources.fetch(parameters.train), "dev": sources.fetch(parameters.dev)}
    unpinned = [path for name, path in paths.items() if not sources.pinned(getattr(parameters, name))]
    questions, counts = _questions(paths, parameters.max_queries.model_dump())
    collection.write(
        folder,
        _passages(paths, questions, parameters.titles),
        {split: [(qid, one.text) for qid, one in asked.items()] for split, asked in questions.items()},
        {
            split: [(qid, pid, rel) for qid, one in asked.items() for pid, rel in one.judged.items()]
            for split, asked in questions.items()
        },
        {**parameters.model_dump(), "sources": sources.described(unpinned), "counts": counts},
    )


def files(parameters: Parameters) -> list[Path]:
    """The ones of the two files that are on this machine. Raises ``UserError`` as ``text.opened`` does."""
    return [sources.at(path) for path in places(parameters)]


def places(parameters: Parameters) -> list[Path]:
    """Where params.yaml says that the files are, if it does not say where to download them from."""
    return [Path(one.path) for one in (parameters.train, parameters.dev) if one.path is not None]


def origin(manifest: Mapping[str, Any]) -> str:
    """Where a manifest says that the texts come from."""
    return " and ".join(manifest[part]["url"] or manifest[part]["path"] for part in ("train", "dev"))


def candidates(parameters: Parameters, split: str) -> Run:
    """The pools of a split's questions, best first: what models re-rank.

    As in the paper's Appendix B, the pool of a validation or test question is its positives, ``hard_negatives`` of
    BM25's passages without an answer, and ``random_negatives``; it holds the positives by construction, so recall says
    nothing here, and a random order scores far above 0. In train it is the gold passage and hard negatives alone, which
    makes lists of one positive and BM25's negatives. Passages have BM25's score where BM25 found them, and 0 where it
    did not: so the gold passage has no special place, and the order is a first stage's.
    Raises ``UserError`` as ``build`` does.
    """
    paths = {"train": sources.fetch(parameters.train), "dev": sources.fetch(parameters.dev)}
    kept = _questions(paths, parameters.max_queries.model_dump())[0][split]
    wanted = {one.number: qid for qid, one in kept.items()}
    run = {}
    for entry in read(paths[FILES[split]]):
        if entry.number in wanted:
            qid = wanted[entry.number]
            pool = _pool(entry, split, parameters)
            run[qid] = ranked(qid, list(pool), list(pool.values()))
    return {qid: run[qid] for qid in kept}


def _pool(entry: Entry, split: str, parameters: Parameters) -> dict[str, float]:
    """The scores of the passages in a question's pool."""
    found = {one.pid: one.score for one in entry.positives if one.score != GOLD}
    positives = {one.pid: found.get(one.pid, 0) for one in entry.positives}
    hard = [one for one in entry.hard_negatives if one.pid not in positives][: parameters.hard_negatives]
    random = [one for one in entry.random_negatives if one.pid not in positives][: parameters.random_negatives]
    if split == "train":
        gold = entry.positives[0].pid
        return {gold: positives[gold], **{one.pid: one.score for one in hard}}
    return {one.pid: 0.0 for one in random} | {one.pid: one.score for one in hard} | positives


def _questions(
    paths: Mapping[str, Path], limits: Mapping[str, int | None]
) -> tuple[dict[str, dict[str, Question]], dict[str, dict[str, int]]]:
    """The questions of each split by their id, and what each file had and what was left out of it."""
    whole, counts = {}, {}
    for name in ("dev", "train"):
        whole[name], counts[name] = _usable(paths[name], name, whole.get("dev", {}))
    order = in_hash_order(list(whole["train"]))
    ids = {
        "train": order[limits["validation"] :][: limits["train"]],
        "validation": order[: limits["validation"]],
        "test": in_hash_order(list(whole["dev"]))[: limits["test"]],
    }
    return {split: {qid: whole[FILES[split]][qid] for qid in ids[split]} for split in collection.SPLITS}, counts


def _usable(path: Path, name: str, dev: Mapping[str, Question]) -> tuple[dict[str, Question], dict[str, int]]:
    """The questions of the file ``name`` that can be used, by their id, and counts of the others."""
    found: dict[str, Question] = {}
    counts = Counter(questions=0, repeated=0, without_positive=0, without_hard_negative=0, in_dev=0)
    for entry in read(path):
        counts["questions"] += 1
        qid = hashlib.md5(entry.question.encode()).hexdigest()[:16]
        if qid in found:
            counts["repeated"] += 1
        elif not entry.positives:
            counts["without_positive"] += 1
        elif name == "train" and not entry.hard_negatives:
            counts["without_hard_negative"] += 1
        elif name == "train" and qid in dev:
            counts["in_dev"] += 1
        else:
            judged = dict.fromkeys((one.pid for one in entry.positives), 1)
            judged |= {one.pid: 2 for one in entry.positives if one.score == GOLD}
            found[qid] = Question(entry.question, entry.number, judged)
    return found, dict(counts)


def _passages(
    paths: Mapping[str, Path], questions: Mapping[str, Mapping[str, Question]], titles: bool
) -> Iterator[tuple[str, str]]:
    """(pid, text) of all passages that are given for questions that are kept, each once."""
    seen = set()
    for name, path in paths.items():
        kept = {one.number for split, file in FILES.items() if file == name for one in questions[split].values()}
        for entry in read(path):
            for one in entry.passages() if entry.number in kept else []:
                if one.pid not in seen:
                    seen.add(one.pid)
                    yield one.pid, f"{one.title} {one.text}" if titles else one.text


def read(path: Path) -> Iterator[Entry]:
    """The entries of a file, one at a time.

    Raises ``UserError`` as ``text.opened`` does, and with the number of the entry that is wrong.
    """
    number = 0
    with opened(path) as file:
        try:
            for number, entry in enumerate(ijson.items(file, "item", use_float=True), start=1):
                yield _entry(path, number, entry)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise _not_json(path, number, error) from None
    if number == 0:
        raise UserError(f"{path} has no entries: it must be an array of questions; get the file again.")


def _not_json(path: Path, number: int, error: ValueError) -> UserError:
    """The error of a file of which ``number`` entries could be read."""
    why = error.args[0]
    why = (why.decode(errors="replace") if isinstance(why, bytes) else str(error)).split("\n")[0]
    if isinstance(error, UnicodeDecodeError) or "UTF8" in why:
        return UserError(
            f"{path}, entry {number + 1} is not UTF-8; convert the file, for example with `iconv -f latin1 -t utf-8` "
            "if it is Latin-1."
        )
    return UserError(f"{path} is not valid JSON after entry {number} ({why}): get the file again.")


def _entry(path: Path, number: int, entry: Any) -> Entry:
    try:
        pools = [
            [
                Passage(_id(one["passage_id"]), float(one["score"]), _text(one["title"]), _text(one["text"]))
                for one in entry[key]
            ]
            for key in ("positive_ctxs", "hard_negative_ctxs", "negative_ctxs")
        ]
        return Entry(number, _text(entry["question"]), *pools)
    except (KeyError, TypeError, ValueError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else f"cannot be read ({error})"
        raise UserError(f"{path}, entry {number} {what}: DPR's retriever files have it; get the file again.") from None


def _id(value: Any) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not an id")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
