"""Files that come from elsewhere: on this machine already, or to be downloaded."""

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from dualenc.data.text import only_form, opened
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5
from dualenc.study.schema import SentenceEncoder, Source

DOWNLOADS = Path("data", "downloads")


def fetch(source: Source) -> Path:
    """The file of a source: at its path, or downloaded into ``DOWNLOADS`` under the name that its URL has.

    Raises ``UserError`` as ``text.opened`` does for the file at a path, and as ``download`` does.
    """
    if source.path is None:
        # only now: the Snakefile reads this module, and downloads nothing
        from dualenc.runtime.download import download

        name = PurePosixPath(unquote(urlsplit(source.url).path)).name
        return download(source.url, DOWNLOADS / name, size=source.size, md5=source.md5)
    return at(source.path)


def at(path: str | Path) -> Path:
    """The file at a path of params.yaml. Raises ``UserError`` as ``text.opened`` does."""
    with opened(path):
        return Path(path)


def tsv_files(path: str | Path, splits: Mapping[str, str]) -> list[Path]:
    """The files of a collection in a folder: the collection, then queries and judgements of each split.

    ``splits`` maps our names of the splits to the files'. Raises ``UserError`` as ``tsv_file`` does.
    """
    names = ["collection", *(f"{kind}.{name}" for kind in ("queries", "qrels") for name in splits.values())]
    return [tsv_file(path, name) for name in dict.fromkeys(names)]


def tsv_file(path: str | Path, name: str) -> Path:
    """The file ``<name>.tsv`` of a folder, plain or compressed.

    Raises ``UserError`` as ``text.opened`` does, and if it is there in two forms.
    """
    return at(only_form(Path(path) / f"{name}.tsv"))


def pinned(source: Source) -> bool:
    """Whether params.yaml says which bytes a file has."""
    return source.path is None and source.md5 is not None


def described(files: Iterable[Path]) -> dict[str, dict[str, object]]:
    """Size and MD5 of each file, as a manifest has them."""
    return {str(path): {"size": path.stat().st_size, "md5": md5(path)} for path in files}


def packaged(encoder: SentenceEncoder) -> Path:
    """The model's folder in the installed package. Raises ``UserError`` if it is not installed, or other files are."""
    found = importlib.util.find_spec(encoder.package)
    if found is None or not found.submodule_search_locations:
        name = encoder.package.replace("_", "-")
        raise UserError(f"package {encoder.package!r} is not installed: run `pip install --no-deps {name}`.")
    path = Path(found.submodule_search_locations[0], encoder.path)
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise UserError(f"{weights} is missing: install the package {encoder.package!r} again.")
    with open(weights, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != encoder.sha256:
        raise UserError(f"{weights} has SHA-256 {digest}, not {encoder.sha256} as params.yaml says: install another.")
    return path
