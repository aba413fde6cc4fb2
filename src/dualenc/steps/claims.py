"""The step that judges the paper's claims from results: no model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc import claims
from dualenc.claims import page
from dualenc.files import atomic, write_json
from dualenc.steps.artefacts import find


def judge(params: Mapping[str, Mapping[str, Any]], root: Path, output: Path) -> None:
    """Write ``claims.json`` and ``claims.md`` into ``output``, from the results below ``root``.

    ``params`` has the slice of params.yaml of each claim.
    """
    records = {}
    for claim, slice_ in params.items():
        module = find(claims, claim)
        records[claim] = page.record(module, slice_, module.parts(slice_, root))
    write_json(output / "claims.json", records)
    with atomic(output / "claims.md") as path:
        path.write_text(page.markdown(records, next(iter(params.values()))), encoding="utf-8")
