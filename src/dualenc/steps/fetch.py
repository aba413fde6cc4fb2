"""An encoder from the Hugging Face hub."""

from dualenc.encoders import hub
from dualenc.runtime.files import atomic, md5, write_json
from dualenc.steps.arguments import OutputFolder, Params
from dualenc.study.settings import Fetch


def fetch(params: Params[Fetch], output: OutputFolder) -> None:
    """Download a pre-trained BERT from the Hugging Face hub.

    Writes its folder and ``manifest.json``, which says where it is from. Raises ``UserError`` as
    `dualenc.encoders.hub` does.
    """
    encoder = params.encoder
    files = hub.download(encoder.hub, encoder.revision)
    with atomic(output) as temporary:
        hub.convert(files[0].parent, encoder, params.pair, temporary)
        about = {"hub": encoder.hub, "revision": encoder.revision, "files": {file.name: md5(file) for file in files}}
        write_json(temporary / "manifest.json", about)
