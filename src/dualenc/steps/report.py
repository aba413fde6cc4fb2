"""The step that makes the report, from results and from what Snakemake knows about how they were made."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dualenc.report import front_page
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic
from dualenc.steps.arguments import File, Folder, Output
from dualenc.tables import pages

TARGET = "artefacts"
"""The rule whose results are reported."""


def report(
    scale: Annotated[str, typer.Option()], config: Annotated[list[str], typer.Option(help="as given to the workflow")],
    root: Folder, figures: Folder, logs: Folder, stylesheet: File, front: Output, output: Output,
) -> None:  # fmt: skip
    """Make the report of a scale's results with Snakemake, and its first page.

    The first page, ``front``, is written first: Snakemake's report, ``output``, takes it up. ``config`` are the keys of
    params.yaml, ``<key>=<value>``, that the workflow was called with. Raises `UserError` if Snakemake fails.
    """
    summary = _snakemake(config, "--detailed-summary")
    costs = front_page.costs(summary, logs, root / "times")
    with atomic(front) as path:
        body = pages.fragment(front_page.front(root, figures, scale, costs, front_page.made(summary)))
        path.write_text(f'<style>{pages.style()}</style><div class="dualenc">{body}</div>', encoding="utf-8")
    with atomic(output) as path:
        _snakemake(config, "--report", str(path), "--report-stylesheet", str(stylesheet))


def _snakemake(config: Sequence[str], *arguments: str) -> str:
    """What Snakemake prints about the artefacts; it runs no job."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", *config, *arguments]
    result = subprocess.run([*command, "--", TARGET], stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if result.returncode:
        raise UserError(f"snakemake {arguments[0]} exited with status {result.returncode}: see its output above.")
    return result.stdout
