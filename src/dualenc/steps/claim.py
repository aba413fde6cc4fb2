"""The verdict on one of the paper's claims: no model, no torch."""

from dualenc.claims import page
from dualenc.runtime.files import write_json
from dualenc.steps.arguments import Folder, Output, Params
from dualenc.study import artefacts
from dualenc.study.settings import Artefact


def claim(artefact: str, params: Params[Artefact], root: Folder, output: Output) -> None:
    """Judge one of the paper's claims from the results in a scale's folder.

    Writes the verdict and the numbers behind it (JSON).
    """
    module, told = artefacts.module("claim", artefact), params.model_dump(exclude_unset=True)
    write_json(output, page.record(module, told, module.parts(told, root)))
