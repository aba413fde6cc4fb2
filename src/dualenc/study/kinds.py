"""The kinds of models, as far as params.yaml and the workflow have to know them, without importing them.

A kind is a module of ``dualenc.scorers.kinds``, which says this of itself in ``ABOUT``.
"""

from typing import Literal, NamedTuple

from dualenc.runtime.literals import literal
from dualenc.runtime.provenance import PACKAGE


class About(NamedTuple):
    """What is known of a kind of model.

    It ``reads`` a "text" or a "pair" at once, which is also what its lengths are called, and starts from an encoder
    with these ``heads`` (`dualenc.encoders.encoder_files.weights`). ``searches`` says whether it can search a whole
    collection, and by which vectors, "dense" or "sparse"; ``shown``, whether figures can show it.
    """

    reads: str
    heads: list[str]
    searches: str | None
    shown: bool


FILES = sorted((PACKAGE / "scorers" / "kinds").glob("[a-z]*.py"))
KINDS = {
    path.stem.replace("_", "-"): About(**literal(path, "ABOUT", f"src/dualenc/scorers/kinds/{path.name}"))
    for path in FILES
}
Kind = Literal[*KINDS]
