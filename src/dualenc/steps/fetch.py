"""An encoder that others have pre-trained: from the Hugging Face hub, or from an installed Python package."""

from dualenc.encoders import hub, packages, third_party
from dualenc.runtime.files import atomic, md5, write_json
from dualenc.steps.arguments import OutputFolder, Params
from dualenc.study.schema import ORIGIN
from dualenc.study.settings import Fetch


def fetch(params: Params[Fetch], output: OutputFolder) -> None:
    """Get a pre-trained BERT from the Hugging Face hub or from an installed Python package.

    Writes its folder and ``manifest.json``, which says where it is from. Raises ``UserError`` as
    `dualenc.encoders.hub`, `dualenc.encoders.packages` and `dualenc.encoders.third_party` do.
    """
    encoder = params.encoder
    if encoder.package:
        checkpoint = packages.checked(encoder.package, encoder.path, encoder.sha256)
    else:
        checkpoint = hub.download(encoder.hub, encoder.revision)
    with atomic(output) as temporary:
        third_party.convert(checkpoint, encoder, params.pair, temporary)
        files = {file.name: md5(file) for file in third_party.files(checkpoint)}
        write_json(
            temporary / "manifest.json", encoder.model_dump(include=ORIGIN, exclude_none=True) | {"files": files}
        )
