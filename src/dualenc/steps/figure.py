"""Figures: no model, no torch."""

from dualenc.figures import drawing
from dualenc.steps.arguments import Folder, Output, Params
from dualenc.study.settings import Artefact


def figure(artefact: str, params: Params[Artefact], root: Folder, data: Output, pdf: Output, png: Output) -> None:
    """Draw one figure, and write its data, from the results in a scale's folder."""
    drawing.make(artefact, params.model_dump(exclude_unset=True), root, data, pdf, png)
