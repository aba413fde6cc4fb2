"""Files that come from elsewhere: on this machine already, or to be downloaded."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from dualenc.download import download
from dualenc.errors import UserError
from dualenc.parameters import Source

DOWNLOADS = Path("data", "downloads")


def fetch(source: Source) -> Path:
    """The file of a source: at its path, or downloaded into ``DOWNLOADS`` under the name that its URL has.

    Raises ``UserError`` if the path does not exist, and as ``download`` does.
    """
    if source.path is None:
        name = PurePosixPath(unquote(urlsplit(source.url).path)).name
        return download(source.url, DOWNLOADS / name, size=source.size, md5=source.md5)
    if not Path(source.path).is_file():
        raise UserError(f"{source.path} does not exist: put the file there or correct its path in params.yaml.")
    return Path(source.path)
