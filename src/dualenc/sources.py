"""Files that come from elsewhere: on this machine already, or to be downloaded."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from dualenc.errors import UserError
from dualenc.files import md5
from dualenc.parameters import Source

DOWNLOADS = Path("data", "downloads")
FORMS = ("", ".gz", ".xz")
"""Suffixes of the forms that a tab-separated file may have."""


def fetch(source: Source) -> Path:
    """The file of a source: at its path, or downloaded into ``DOWNLOADS`` under the name that its URL has.

    Raises ``UserError`` if the path does not exist, and as ``download`` does.
    """
    if source.path is None:
        from dualenc.download import download  # only now: the Snakefile reads this module, and downloads nothing

        name = PurePosixPath(unquote(urlsplit(source.url).path)).name
        return download(source.url, DOWNLOADS / name, size=source.size, md5=source.md5)
    return at(source.path)


def at(path: str) -> Path:
    """The file at a path of params.yaml. Raises ``UserError`` if it does not exist."""
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist: put the file there or correct its path in params.yaml.")
    return Path(path)


def tsv_files(path: str | Path, splits: Mapping[str, str]) -> list[Path]:
    """The files of a collection in a folder: the collection, then queries and judgements of each split.

    ``splits`` maps our names of the splits to the files'. Raises ``UserError`` for one that is missing.
    """
    names = ["collection", *(f"{kind}.{name}" for kind in ("queries", "qrels") for name in splits.values())]
    return [tsv_file(path, name) for name in dict.fromkeys(names)]


def tsv_file(path: str | Path, name: str) -> Path:
    """The file ``<name>.tsv``, plain or compressed, of a folder. Raises ``UserError`` if there is none."""
    forms = [Path(path) / f"{name}.tsv{suffix}" for suffix in FORMS]
    file = next((file for file in forms if file.is_file()), None)
    if file is None:
        raise UserError(f"{forms[0]} (or .gz, .xz) does not exist: put it there or correct the dataset's path.")
    return file


def pinned(source: Source) -> bool:
    """Whether params.yaml says which bytes a file has."""
    return source.path is None and source.md5 is not None


def described(files: Iterable[Path]) -> dict[str, dict[str, object]]:
    """Size and MD5 of each file, as a manifest has them."""
    return {str(path): {"size": path.stat().st_size, "md5": md5(path)} for path in files}
