"""Where the core-seconds of a whole build go: ``python benchmarks/compare/dag.py results/mini --wall 824 --cores 2``.

Snakemake has written the seconds of each job. A job's own work is these less the start-up of a warm job, which is
measured here, and start-up is a part of its own. What jobs do not account for is called Snakemake's: its work before,
between and after them, and cores that are idle because none of the jobs that are left is ready.
"""

import argparse
import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import startup
import workload
from harness import record

PARTS = {
    "tokens and data": ("dataset", "candidates", "tokenizer", "tokens", "import_scores"),
    "training": ("corpus", "texts", "pretrain", "fetch", "train"),
    "scoring": (
        *("rerank", "rerank_checkpoint", "teacher_scores", "score_shard", "score_matrix", "score_updates"),
        *("encode", "retrieval"),
    ),
    "evaluation": ("lists", "evaluation_sets", "evaluate", "evaluate_retrieval"),
    "drawing": ("figure", "table", "claim", "claims", "report", "redraw"),
}
ALL_CORES = ("dataset", "texts")  # rules whose jobs have all cores; the others' have one
STARTS = 15  # of a warm job


def core_seconds(times: Path, wall: float, cores: int, start: float) -> dict[str, float]:
    """Part -> core-seconds, from the files of the jobs below ``times``, the seconds of all and those of a start-up."""
    jobs = [(_rule(path, times), _seconds(path)) for path in sorted(times.rglob("*.tsv"))]
    unknown = {rule for rule, _ in jobs} - {rule for rules in PARTS.values() for rule in rules}
    if unknown:
        raise ValueError(f"rules of no part: {unknown}")
    taken = [(rule, seconds, cores if rule in ALL_CORES else 1) for rule, seconds in jobs]
    found = {
        part: sum(max(0.0, seconds - start) * own for rule, seconds, own in taken if rule in rules)
        for part, rules in PARTS.items()
    }
    found[f"start-up of {len(jobs)} jobs"] = sum(min(start, seconds) * own for _, seconds, own in taken)
    found["Snakemake and idle cores"] = cores * wall - sum(seconds * own for _, seconds, own in taken)
    return found


def _rule(path: Path, times: Path) -> str:
    return path.relative_to(times).parts[0].removesuffix(".tsv")


def _seconds(path: Path) -> float:
    with open(path, encoding="utf-8") as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])


def main() -> None:
    """Print the table, and write its rows among the comparisons if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="results/<scale> of a build from nothing")
    parser.add_argument(
        "--wall", type=float, required=True, help="seconds from the first job's start to the last's end"
    )
    parser.add_argument("--cores", type=int, required=True, help="that Snakemake was given")
    parser.add_argument("--results", type=Path, help="file of the comparisons, which gets an entry for each part")
    arguments = parser.parse_args()
    if not any((arguments.root / "times").rglob("*.tsv")):
        parser.error(f"{arguments.root}/times has no seconds of jobs: build everything from nothing first (make all).")
    with TemporaryDirectory() as scratch:
        start = startup.warm_start(Path(scratch), STARTS)
    found = core_seconds(arguments.root / "times", arguments.wall, arguments.cores, start)
    total = arguments.cores * arguments.wall
    if found["Snakemake and idle cores"] < 0:
        parser.error(f"--wall {arguments.wall:g} with --cores {arguments.cores} is less than what the jobs took.")
    print(f"{'part':<28}{'core-seconds':>14}{'share':>8}")
    for part, seconds in {**found, "all": total}.items():
        print(f"{part:<28}{seconds:>14.1f}{seconds / total:>8.1%}")
    print(f"A warm job starts in {start:.2f} s; {arguments.wall:.0f} s with {arguments.cores} cores.")
    if arguments.results:
        entries = [_entry(arguments.root.name, part, seconds, total) for part, seconds in found.items()]
        record(arguments.results, entries, workload.machine(arguments.cores))


def _entry(scale: str, part: str, seconds: float, total: float) -> dict:
    return {
        "path": f"whole {scale} DAG: {part}",
        "against": "-",
        "setting": f"{seconds / total:.1%} of {total:.0f} core-seconds",
        "ours": round(seconds, 1),
        "theirs": None,
        "unit": "s",
        "ratio": None,
        "ratios": [],
        "target": None,
        "limit_share": None,
        "mib": None,
    }


if __name__ == "__main__":
    main()
