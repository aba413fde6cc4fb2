"""Files that come from elsewhere: on this machine already, or to be downloaded."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import unquote, urlsplit

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from dualenc.data.text import opened
from dualenc.runtime.files import md5
from dualenc.runtime.values import Md5, Strict, Text, whole

DOWNLOADS = Path("data", "downloads")


class Source(Strict):
    """A file that comes from elsewhere: the one at ``path``, or at ``url`` with its size in bytes and its MD5."""

    path: Text | None = None
    url: Text | None = None
    size: whole(1, 10**15) | None = None
    md5: Md5 | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise PydanticCustomError("not_allowed", "give either a path or a url")
        return self


def fetch(source: Source) -> Path:
    """The file of a source: at its path, or downloaded into ``DOWNLOADS`` under the name that its URL has.

    Raises ``UserError`` as ``text.opened`` does for the file at a path, and as ``download`` does.
    """
    if source.path is None:
        # only now: the Snakefile imports this module, but downloads nothing
        from dualenc.runtime.download import download

        name = PurePosixPath(unquote(urlsplit(source.url).path)).name
        return download(source.url, DOWNLOADS / name, size=source.size, md5=source.md5)
    return at(source.path)


def at(path: str | Path) -> Path:
    """The file at a path of params.yaml. Raises ``UserError`` as ``text.opened`` does."""
    with opened(path):
        return Path(path)


def pinned(source: Source) -> bool:
    """Whether params.yaml says which bytes a file must have."""
    return source.path is None and source.md5 is not None


def described(files: Iterable[Path]) -> dict[str, dict[str, object]]:
    """Size and MD5 of each file, as a manifest has them."""
    return {str(path): {"size": path.stat().st_size, "md5": md5(path)} for path in files}
