"""Each hot path of this project against what people would use instead, in turns, on the same data.

    python benchmarks/compare                 # all paths
    python benchmarks/compare training bm25   # some
    python benchmarks/compare quick           # small shapes; nothing is recorded
    python benchmarks/compare --table         # only write the tables of docs/performance.md anew

Adds to ``benchmarks/<device>.json``, "cpu" or the name of the GPU, and puts the tables into docs/performance.md.
"""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Annotated

import harness
import typer
import workload

from dualenc.runtime.files import atomic, read_json
from dualenc.scorers.models import device

RESULTS = Path(__file__).parents[1]
DOCUMENT = RESULTS.parent / "docs" / "performance.md"
QUICK = "quick"
PATHS = ("training", "scoring", "bm25", "search", "metrics", "startup")


def main(
    paths: Annotated[list[str] | None, typer.Argument(help=f"of {', '.join(PATHS)}, or quick")] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="of each of the two, in turns, if they are short")] = 5,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    tsv: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="a collection, for bm25")] = None,
    jar: Annotated[Path | None, typer.Option(exists=True, help="Anserini's, which is Lucene, for bm25")] = None,
    table: Annotated[bool, typer.Option("--table", help="measure nothing")] = False,
) -> None:
    """Measure the paths one after the other; each is written as soon as it is measured."""
    quick = paths == [QUICK]
    unknown = set() if quick else set(paths or []) - set(PATHS)
    if unknown:
        raise typer.BadParameter(
            f"there is no path {', '.join(sorted(unknown))}: name some of {', '.join(PATHS)}, or {QUICK} alone."
        )
    file = RESULTS / f"{workload.device_name()}.json"
    if not table:
        workload.use_threads(threads)
        with tempfile.TemporaryDirectory() as scratch:
            for path in PATHS if quick or not paths else paths:
                given = {"tsv": tsv, "jar": jar} if path == "bm25" else {"quick": quick}
                for comparison in import_module(path).comparisons(device(), Path(scratch), **given):
                    entry = harness.measure(comparison, 1 if quick else repetitions)
                    print(harness.line(entry), flush=True)
                    if not quick:
                        harness.record(file, [entry], workload.machine(threads))
    if file == RESULTS / "cpu.json" and file.exists() and not quick:
        write_tables(file)


def write_tables(file: Path) -> None:
    """Put the tables of a file of results into the document."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(harness.BEGIN)
    _, _, after = rest.partition(harness.END)
    with atomic(DOCUMENT) as temporary:
        temporary.write_text(before + harness.tables(read_json(file)) + after, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
