"""An encoder from the Hugging Face hub."""

from pathlib import Path

from dualenc.encoders import hub
from dualenc.runtime.files import atomic, md5, write_json
from dualenc.study.schema import Encoder


def fetch(encoder: Encoder, positions: int, output: Path) -> None:
    """Write an encoder that params.yaml names by ``hub`` and ``revision`` to the folder ``output``.

    ``manifest.json`` says where it is from. Raises ``UserError`` as `dualenc.encoders.hub` does.
    """
    files = hub.download(encoder.hub, encoder.revision)
    with atomic(output) as temporary:
        hub.convert(files[0].parent, encoder, positions, temporary)
        about = {"hub": encoder.hub, "revision": encoder.revision, "files": {file.name: md5(file) for file in files}}
        write_json(temporary / "manifest.json", about)
