"""Files that come from elsewhere: on this machine already, or to be downloaded."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from dualenc.download import download
from dualenc.parameters import Source
from dualenc.text import opened

DOWNLOADS = Path("data", "downloads")


def fetch(source: Source) -> Path:
    """The file of a source: at its path, or downloaded into ``DOWNLOADS`` under the name that its URL has.

    Raises ``UserError`` as ``text.opened`` does for the file at a path, and as ``download`` does.
    """
    if source.path is None:
        name = PurePosixPath(unquote(urlsplit(source.url).path)).name
        return download(source.url, DOWNLOADS / name, size=source.size, md5=source.md5)
    with opened(source.path):
        return Path(source.path)
