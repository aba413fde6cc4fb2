"""Steps that judge the paper's claims from results: no model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dualenc.claims import page
from dualenc.runtime.files import atomic, read_json, write_json
from dualenc.study import artefacts
from dualenc.tables import pages


def judge(claim: str, params: Mapping[str, Any], root: Path, output: Path) -> None:
    """Write the verdict on one claim and the numbers behind it (JSON), from the results below ``root``."""
    module = artefacts.module("claim", claim)
    write_json(output, page.record(module, params, module.parts(params, root)))


def collect(names: Sequence[str], verdicts: Path, output: Path) -> None:
    """Write ``claims.json``, ``.md`` and ``.html`` into ``output``, from ``<name>.json`` of the folder ``verdicts``."""
    records = {name: read_json(verdicts / f"{name}.json", page.Verdict) for name in names}
    readable = page.markdown(records)
    write_json(output / "claims.json", records)
    for suffix, text in ((".md", readable), (".html", pages.page(readable, "claims"))):
        with atomic(output / f"claims{suffix}") as path:
            path.write_text(text, encoding="utf-8")
