"""Seconds and peak memory of `dualenc import-scores`, on generated rows in the format of the published T1 file.

    python benchmarks/import_scores.py 40000000 benchmarks/import_scores.json

Rows come in no order, 99 for each query, a tenth of the queries with two positives. Five rows are spoiled: the import
has to name their lines and to leave them out.
"""

import io
import json
import os
import re
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from pyarrow import csv, parquet

from dualenc.runtime.provenance import processor
from dualenc.steps.import_scores import import_scores
from dualenc.study.settings import ImportScores
from dualenc.training.score_rows import mixed

ROWS_OF_A_QUERY = 99
AT_ONCE = 1_000_000
STEP = 12_345  # between the ids of a query's negatives
SPOILED = {  # a line and the first one -> what stands in its place
    "missing pid": lambda line, first: b"\t".join(line.split(b"\t")[:4]) + b"\t\n",
    "NaN": lambda line, first: b"\t".join([b"nan", *line.split(b"\t")[1:]]),
    "short row": lambda line, first: b"\t".join(line.split(b"\t")[:3]) + b"\n",
    "duplicate pair": lambda line, first: first,
    "wrong encoding": lambda line, first: line.replace(b"\t", b"\t\xe9", 1),
}


def main(
    rows: Annotated[int, typer.Argument(min=60)],
    result: Annotated[str, typer.Argument(help="JSON file to write, or - to only print")],
    passages: Annotated[int, typer.Option(min=1000)] = 8_841_823,
    list_length: Annotated[int, typer.Option(min=2)] = 20,
) -> None:
    """Generate, import, and report."""
    spoiled = {what: rows * number // 6 + 1 for number, what in enumerate(SPOILED, start=1)}
    with tempfile.TemporaryDirectory(prefix="import-scores-") as name:
        folder = Path(name)
        generate(folder, rows, passages, spoiled)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # a process with a memory of its own
            seconds, cpu_seconds, peak, log = pool.submit(measure, folder, list_length, len(spoiled)).result()
        named = [int(line) for line in re.findall(r"^  line (\d+):", log, flags=re.MULTILINE)]
        if named != list(spoiled.values()):
            raise SystemExit(f"spoiled are {spoiled}, but the import says: {log}")
        report = {
            "rows": rows,
            "file_MB": round((folder / "scores.tsv").stat().st_size / 1e6),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu_seconds, 1),
            "rows_per_cpu_second": round(rows / cpu_seconds),
            "peak_MB": round(peak),
            "lists": parquet.read_metadata(folder / "supervision" / "ca" / "top.parquet").num_rows,
            "defects_named": spoiled,
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "date": date.today().isoformat(),
        }
    text = json.dumps(report, indent=2)
    print(text)
    if result != "-":
        Path(result).write_text(text + "\n", encoding="utf-8")


def generate(folder: Path, rows: int, passages: int, spoiled: dict[str, int]) -> None:
    """Write ``scores.tsv``, with these lines ``spoiled``, and the ids of a dataset, in blocks."""
    queries = rows // ROWS_OF_A_QUERY + 1
    step = next(one for one in range(max(3, rows * 2 // 3), 2 * rows + 9) if np.gcd(one, rows) == 1)
    first = b""
    with open(folder / "scores.tsv", "wb") as file:
        for start in range(0, rows, AT_ONCE):
            # Steps without a common divisor go through all triples, in an order that looks random.
            triple = np.arange(start, min(start + AT_ONCE, rows), dtype=np.int64) * step % rows
            query, number = np.divmod(triple, ROWS_OF_A_QUERY)
            positive = (query * 7919 - (number % 2) * (query % 10 == 0)) % passages
            negative = (query * 7919 + (number + 1) * STEP) % passages
            columns = [logits(query, positive), logits(query, negative), query, positive, negative]
            block = io.BytesIO()
            csv.write_csv(
                pa.table(columns, names=list("abcde")), block, csv.WriteOptions(include_header=False, delimiter="\t")
            )
            lines = block.getvalue().splitlines(keepends=True)
            first = first or lines[0]
            for what, line in spoiled.items():
                if start < line <= start + len(triple):
                    lines[line - start - 1] = SPOILED[what](lines[line - start - 1], first)
            file.writelines(lines)
    for name, column, count in (("queries.train", "qid", queries), ("passages", "pid", passages)):
        ids = pa.array(np.arange(count)).cast(pa.string())
        parquet.write_table(pa.table({column: ids, "text": pa.array([""] * count)}), folder / f"{name}.parquet")
    (folder / "manifest.json").write_text("{}", encoding="utf-8")


def logits(query: np.ndarray, passage: np.ndarray) -> np.ndarray:
    """Scores (N,) of pairs in [-10, 10), the same wherever a pair stands."""
    return (mixed((query << 32 | passage).astype(np.uint64)) / 2**64 * 20 - 10).astype(np.float32)


def measure(folder: Path, list_length: int, allowed: int) -> tuple[float, float, float, str]:
    """Seconds, those of the processor, and peak memory in MB of the import, and what it prints."""
    published = {"path": str(folder / "scores.tsv"), "teacher": "ca", "tolerance": 0, "allowed_defects": allowed}
    params = ImportScores(list_length=list_length, train_lists=10**9, published_scores=published)
    log, start, cpu = io.StringIO(), time.perf_counter(), time.process_time()
    with redirect_stderr(log):
        import_scores(params, folder, folder / "scratch", folder / "supervision")
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return seconds, cpu_seconds, int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000, log.getvalue()


if __name__ == "__main__":
    typer.run(main)
