"""What a finished build reports: where the results are, and how long each kind of job took."""

from pathlib import Path
from typing import Annotated

import typer

from dualenc.report import front_page
from dualenc.steps.arguments import Folder


def summary(root: Folder, figures: Annotated[Path, typer.Option(file_okay=False, help="may be missing")]) -> None:
    """Say where the results are and how long each rule took.

    ``root`` is ``results/<scale>``; the times are those of its Snakemake benchmarks.
    """
    lines = ["", f"{'job':<18}{'jobs':>6}{'seconds':>10}{'longest':>10}"]
    times: dict[str, list[float]] = {}
    for path in sorted((root / "times").rglob("*.tsv")):
        rule = path.relative_to(root / "times").parts[0].removesuffix(".tsv")
        times.setdefault(rule, []).append(front_page.seconds(path))
    for rule, seconds in sorted(times.items(), key=lambda item: -sum(item[1])):
        lines.append(f"{rule:<18}{len(seconds):>6}{sum(seconds):>10.1f}{max(seconds):>10.1f}")
    total = sum(map(sum, times.values()))
    lines += [f"{'all':<18}{sum(map(len, times.values())):>6}{total:>10.1f}", ""]
    lines += [f"tables   {path}" for path in sorted((root / "tables").glob("*.md"))]
    lines += [f"figures  {path}" for path in sorted(figures.glob("*.pdf"))]
    lines += [f"{path.stem:<9}{path}" for path in (root / "claims.md", root / "report.html") if path.exists()]
    print("\n".join(lines))
