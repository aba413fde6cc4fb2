"""The step that judges the paper's claims from results: no model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc import claims, pages
from dualenc.claims import page
from dualenc.files import atomic, write_json
from dualenc.steps.artefacts import find


def judge(params: Mapping[str, Mapping[str, Any]], root: Path, output: Path) -> None:
    """Write ``claims.json``, ``.md`` and ``.html`` into ``output``, from the results below ``root``.

    ``params`` has the slice of params.yaml of each claim.
    """
    records = {}
    for claim, slice_ in params.items():
        module = find(claims, claim)
        records[claim] = page.record(module, slice_, module.parts(slice_, root))
    write_json(output / "claims.json", records)
    readable = page.markdown(records, next(iter(params.values())))
    with atomic(output / "claims.md") as path:
        path.write_text(readable, encoding="utf-8")
    with atomic(output / "claims.html") as path:
        path.write_text(pages.page(readable, "claims"), encoding="utf-8")
