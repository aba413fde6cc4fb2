"""Seconds and peak memory of `dualenc import-scores`, on generated rows in the format of the published T1 file.

    python benchmarks/import_scores.py 40000000 benchmarks/import_scores.json
    python benchmarks/import_scores.py 40000000 - --defects

Rows come in no order, 99 for each query, a tenth of the queries with two positives. With ``--defects`` five rows are
spoiled, and the import has to name their lines.
"""

import json
import os
import re
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from pyarrow import csv, parquet

from dualenc.errors import UserError
from dualenc.parameters import PublishedScores
from dualenc.provenance import processor
from dualenc.score_rows import mixed
from dualenc.steps.import_scores import import_scores

ROWS_OF_A_QUERY = 99
AT_ONCE = 1_000_000
STEP = 12_345  # between the ids of a query's negatives
SPOILED = {
    1 / 6: ("missing pid", lambda line, first: b"\t".join(line.split(b"\t")[:4]) + b"\t\n"),
    2 / 6: ("NaN", lambda line, first: b"\t".join([b"nan", *line.split(b"\t")[1:]])),
    3 / 6: ("short row", lambda line, first: b"\t".join(line.split(b"\t")[:3]) + b"\n"),
    4 / 6: ("duplicate pair", lambda line, first: first),
    5 / 6: ("wrong encoding", lambda line, first: line.replace(b"\t", b"\t\xe9", 1)),
}


def main(
    rows: int,
    result: Annotated[str, typer.Argument(help="JSON file to write, or - to only print")],
    defects: Annotated[bool, typer.Option("--defects", help="spoil five rows")] = False,
    passages: int = 8_841_823,
    list_length: int = 20,
) -> None:
    """Generate, import, and report."""
    with tempfile.TemporaryDirectory(prefix="import-scores-") as name:
        folder = Path(name)
        generate(folder, rows, passages)
        spoiled = spoil(folder / "scores.tsv", rows) if defects else {}
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # a process with a memory of its own
            seconds, cpu_seconds, peak, lists, error = pool.submit(measure, folder, list_length).result()
        named = [int(line) for line in re.findall(r"^  line (\d+):", error, flags=re.MULTILINE)]
        if named != list(spoiled.values()):
            raise SystemExit(f"spoiled lines {spoiled}, but the import says: {error or 'nothing'}")
        report = {
            "rows": rows,
            "file_MB": round((folder / "scores.tsv").stat().st_size / 1e6),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu_seconds, 1),
            "rows_per_cpu_second": round(rows / cpu_seconds),
            "peak_MB": round(peak),
            "lists": lists,
            "defects": spoiled,
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "date": date.today().isoformat(),
        }
    text = json.dumps(report, indent=2)
    print(text)
    if result != "-":
        Path(result).write_text(text + "\n")


def generate(folder: Path, rows: int, passages: int) -> None:
    """Write ``scores.tsv`` and the ids of a dataset, in blocks."""
    queries = rows // ROWS_OF_A_QUERY + 1
    step = next(one for one in range(max(3, rows * 2 // 3), 2 * rows + 9) if np.gcd(one, rows) == 1)
    with open(folder / "scores.tsv", "wb") as file:
        for start in range(0, rows, AT_ONCE):
            # Steps without a common divisor go through all triples, in an order that looks random.
            triple = np.arange(start, min(start + AT_ONCE, rows), dtype=np.int64) * step % rows
            query, number = np.divmod(triple, ROWS_OF_A_QUERY)
            positive = (query * 7919 - (number % 2) * (query % 10 == 0)) % passages
            negative = (query * 7919 + (number + 1) * STEP) % passages
            columns = [logits(query, positive), logits(query, negative), query, positive, negative]
            table = pa.table(columns, names=list("abcde"))
            csv.write_csv(table, file, csv.WriteOptions(include_header=False, delimiter="\t"))
    for name, column, count in (("queries.train", "qid", queries), ("passages", "pid", passages)):
        ids = pa.array(np.arange(count)).cast(pa.string())
        parquet.write_table(pa.table({column: ids, "text": pa.array([""] * count)}), folder / f"{name}.parquet")


def logits(query: np.ndarray, passage: np.ndarray) -> np.ndarray:
    """Scores (N,) of pairs in [-10, 10), the same wherever a pair stands."""
    return (mixed((query << 32 | passage).astype(np.uint64)) / 2**64 * 20 - 10).astype(np.float32)


def spoil(path: Path, rows: int) -> dict[str, int]:
    """Spoil a row in five ways, and say which lines these are."""
    lines = {int(rows * where) + 1: how for where, how in SPOILED.items()}
    whole = path.with_suffix(".whole")
    path.rename(whole)
    with open(whole, "rb") as source, open(path, "wb") as file:
        first = source.readline()
        file.write(first)
        for number, line in enumerate(source, start=2):
            file.write(lines[number][1](line, first) if number in lines else line)
    whole.unlink()
    return {what: number for number, (what, _) in lines.items()}


def measure(folder: Path, list_length: int) -> tuple[float, float, float, int, str]:
    """Seconds, those of the processor, peak memory in MB, number of lists and error of the import."""
    published = PublishedScores(path=str(folder / "scores.tsv"), teacher="ca", tolerance=0, allowed_defects=0)
    start, cpu, error, lists = time.perf_counter(), time.process_time(), "", 0
    try:
        import_scores(folder, published, list_length, 1 << 40, folder / "scratch", folder / "supervision")
        lists = parquet.read_metadata(folder / "supervision" / "ca" / "top.parquet").num_rows
    except UserError as refused:
        error = str(refused)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    status = Path("/proc/self/status").read_text()
    return seconds, cpu_seconds, int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000, lists, error


if __name__ == "__main__":
    typer.run(main)
