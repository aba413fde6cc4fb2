"""Tables: no model, no torch, no matplotlib."""

from dualenc.steps.arguments import Folder, OutputFolder, Params
from dualenc.study import artefacts
from dualenc.study.settings import Artefact
from dualenc.tables import writing


def table(artefact: str, params: Params[Artefact], root: Folder, output: OutputFolder) -> None:
    """Make one table from the results in a scale's folder.

    Writes ``<artefact>.csv``, ``.md``, ``.html`` and ``.tex`` into ``output``.
    """
    module = artefacts.module("table", artefact)
    writing.write(module.table(params.model_dump(exclude_unset=True), root), artefact, module.CAPTION, output)
