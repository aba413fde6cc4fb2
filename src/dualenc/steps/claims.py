"""All verdicts on one page."""

from dualenc.claims import page
from dualenc.runtime.files import atomic, read_json, write_json
from dualenc.steps.arguments import Folder, OutputFolder
from dualenc.tables import pages


def claims(names: list[str], verdicts: Folder, output: OutputFolder) -> None:
    """Collect the verdicts on claims on one page.

    Writes ``claims.json``, ``.md`` and ``.html`` into ``output``, from ``<name>.json`` of the folder ``verdicts``.
    """
    records = {name: read_json(verdicts / f"{name}.json", page.Verdict) for name in names}
    readable = page.markdown(records)
    write_json(output / "claims.json", records)
    for suffix, text in ((".md", readable), (".html", pages.page(readable, "claims"))):
        with atomic(output / f"claims{suffix}") as path:
            path.write_text(text, encoding="utf-8")
