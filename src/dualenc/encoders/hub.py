"""Files of BERTs on the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import HfApi, errors, hf_hub_download

from dualenc.encoders.third_party import TOKENIZER, TOKENIZER_CONFIG, WEIGHTS
from dualenc.runtime.errors import UserError


def download(hub: str, revision: str | None) -> Path:
    """The folder, below the library's cache, with the files of one commit of a model.

    Raises ``UserError`` if one that is needed is not available, and if no commit is given: it then says which is the
    newest, for the user to write down, as a build has to have the same weights next year.
    """
    if revision is None:
        raise UserError(f"no revision is given for {hub}: write {_newest(hub)} into params.yaml.")
    config, _ = [_file(hub, revision, name) for name in ("config.json", "vocab.txt")]
    if _file(hub, revision, WEIGHTS[0], optional=True) is None:
        _file(hub, revision, WEIGHTS[1])
    for name in (TOKENIZER_CONFIG, TOKENIZER):
        _file(hub, revision, name, optional=True)
    return config.parent


def _newest(hub: str) -> str:
    """The newest commit of a model, in words."""
    try:
        return f"its newest commit, {HfApi().model_info(hub).sha},"
    except (OSError, errors.HTTPError):
        return f"a commit that https://huggingface.co/{hub}/commits/main lists"


def _file(hub: str, revision: str, name: str, *, optional: bool = False) -> Path | None:
    try:
        return Path(hf_hub_download(hub, name, revision=revision))
    except (OSError, errors.EntryNotFoundError, errors.HTTPError) as error:
        if optional and isinstance(error, errors.RemoteEntryNotFoundError):
            return None
        raise UserError(
            f"{name} of {hub} at {revision} cannot be downloaded ({type(error).__name__}): check the encoder's hub "
            "and revision in params.yaml, and the network."
        ) from None
