"""What a finished build tells: where the results are, and how long each kind of job took."""

import csv
from pathlib import Path


def summary(root: Path, figures: Path) -> str:
    """Lines for the terminal, from the files below ``results/<scale>`` and its Snakemake benchmarks."""
    lines = ["", f"{'job':<18}{'jobs':>6}{'seconds':>10}{'longest':>10}{'peak MB':>10}"]
    times: dict[str, list[tuple[float, float]]] = {}
    for path in sorted((root / "times").rglob("*.tsv")):
        rule = path.relative_to(root / "times").parts[0].removesuffix(".tsv")
        with open(path) as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        memory = 0.0 if row["max_rss"] in ("-", "NA") else float(row["max_rss"])
        times.setdefault(rule, []).append((float(row["s"]), memory))
    for rule, jobs in sorted(times.items(), key=lambda item: -sum(seconds for seconds, _ in item[1])):
        seconds = [one for one, _ in jobs]
        peak = max(memory for _, memory in jobs)
        lines.append(f"{rule:<18}{len(jobs):>6}{sum(seconds):>10.1f}{max(seconds):>10.1f}{peak:>10.0f}")
    total = sum(seconds for jobs in times.values() for seconds, _ in jobs)
    lines += [f"{'all':<18}{sum(map(len, times.values())):>6}{total:>10.1f}", ""]
    lines += [f"tables   {path}" for path in sorted((root / "tables").glob("*.md"))]
    lines += [f"figures  {path}" for path in sorted(figures.glob("*.pdf"))]
    lines += [f"{path.stem:<9}{path}" for path in (root / "claims.md", root / "report.html") if path.exists()]
    return "\n".join(lines)
