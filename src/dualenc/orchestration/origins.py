"""What results are made from and no job makes, by its content: files that people supply, code, package versions.

Snakemake runs a job again if an input is newer than what it made. That is right for files that jobs make. A file that
comes from elsewhere may be different but older (``cp -p``, ``rsync -a``), or the same but newer, or gone once its
dataset is made; an upgraded package leaves no file that a rule could name. So rules take what this module finds as a
parameter, and a job runs again whenever that changes.
"""

import hashlib
import json
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from dualenc.data import datasets as kinds
from dualenc.data import sources
from dualenc.encoders import packages as model_packages
from dualenc.orchestration import workflow
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5, read_json, write_json
from dualenc.study.config import Study

NOTES = Path(".snakemake", "dualenc")
"""Folder for what would take long to find out again; safe to delete."""
SMALL = 1 << 16  # bytes; the MD5 of a smaller file is quick to calculate
LOADED = (".jinja", ".json", ".model", ".safetensors", ".txt")
"""Suffixes of the files of an encoder's folder that the libraries look for."""


def check(study: Study) -> None:
    """Raise ``UserError`` if a file that the study is made from, or a package that gives text, is missing."""
    for name in datasets(study):
        dataset(study, name)
    published_scores(study)


def datasets(study: Study) -> list[str]:
    """The dataset of a study, and those that its encoders are pre-trained on if they are."""
    made = {workflow.encoder_folder(study, study.run(name).encoder).parent.name for name in study.trained}
    corpora = workflow.pretrained_on(study) if "encoders" in made else ()
    return list(dict.fromkeys([study.at.dataset, *corpora]))


def dataset(study: Study, name: str) -> dict[str, str]:
    """File -> MD5 of what a dataset is read from here; for text of packages, package -> version.

    Files from the web have their MD5 in params.yaml. If none of the files is here, but the dataset is, they are those
    that it was made from. Raises ``UserError`` as ``check`` does.
    """
    parameters = study.params.datasets[name]
    kind = kinds.kind(parameters)
    if hasattr(kind, "packages"):
        return versions(kind.packages(parameters))
    made = Path("results", study.scale, "data", name, "manifest.json")
    return _given(lambda: kind.files(parameters), made, kind.places(parameters))


def files(study: Study, name: str) -> list[str]:
    """The files that a dataset is read from here. Raises ``UserError`` as ``check`` does."""
    of_files = hasattr(kinds.kind(study.params.datasets[name]), "files")
    return list(dataset(study, name)) if of_files else []


def given(study: Study) -> list[str]:
    """All files that datasets and published scores are read from here. Raises ``UserError`` as ``check`` does."""
    return [*(file for name in datasets(study) for file in files(study, name)), *published_scores(study)]


def packages(study: Study) -> dict[str, str]:
    """The versions that decide the text of the study's datasets. Raises ``UserError`` as ``check`` does."""
    found: dict[str, str] = {}
    for name in datasets(study):
        if hasattr(kinds.kind(study.params.datasets[name]), "packages"):
            found |= dataset(study, name)
    return found


def check_packages(study: Study) -> None:
    """Raise ``UserError`` if a package that an encoder is still to be taken from is not installed."""
    for name in sorted({study.run(run).encoder for run in study.trained}):
        entry, made = study.params.encoders[name], Path(workflow.encoder_folder(study, name), "manifest.json")
        if entry.package and not made.exists():
            try:
                model_packages.folder(entry.package, entry.path)
            except UserError as error:
                raise UserError(f"params.yaml: encoders.{name}: {error}") from None


def candidates(study: Study) -> dict[str, str]:
    """What candidates are read from, apart from the dataset folder, as ``dataset`` has it."""
    return dataset(study, study.at.dataset) if study.at.candidates == "official" else {}


def published_scores(study: Study) -> dict[str, str]:
    """File -> MD5 of published scores that are here, as ``dataset`` has it."""
    published = study.at.published_scores
    if published is None or published.path is None:
        return {}
    made = Path("results", study.scale, "supervision", "one-hot", "lists.parquet.json")
    return _given(lambda: [sources.at(published.path)], made, [Path(published.path)])


def encoder(study: Study, name: str) -> str:
    """A digest of what the libraries load of an encoder's folder; empty if a job makes it."""
    folder = Path(workflow.encoder_folder(study, name))
    return "" if folder.is_relative_to("results") else _folder(folder)


def tokenizer(study: Study, names: Sequence[str] = workflow.TOKENIZER_FILES) -> str:
    """A digest of files of the tokenizer; empty if a job makes them. Raises ``UserError`` as ``digest`` does."""
    folder = Path(workflow.tokenizer_folder(study))
    return "" if folder.is_relative_to("results") else digest(folder / name for name in names)


def digest(paths: Iterable[str | Path]) -> str:
    """One MD5 of the contents of some files. Raises ``UserError`` for one that cannot be read."""
    return hashlib.md5("".join(_md5(Path(path)) for path in paths).encode()).hexdigest()


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of Python and of packages, given by their import names, or ``stdlib``.

    Raises ``UserError`` for a package that is not installed.
    """
    installed = _installed()
    others = [name for name in packages if name != "stdlib" and name not in sys.stdlib_module_names]
    missing = next((name for name in others if name not in installed), None)
    if missing is not None:
        raise UserError(f"package {missing!r} is not installed; install it or remove it from the pydocs packages.")
    return {"python": platform.python_version(), **{name: installed[name] for name in others}}


def as_json(value: Mapping[str, Any]) -> str:
    """What a rule has as a parameter, always in the same order."""
    return json.dumps(value, sort_keys=True)


def _given(find: Callable[[], list[Path]], made: Path, places: Sequence[Path]) -> dict[str, str]:
    """File -> MD5 of the files that ``find`` finds, or those of the manifest ``made`` if none of them is here.

    Without this, nothing could be done in a clone that has results but not the files that they were made from. Nothing
    goes unnoticed: there is no file that could differ. ``places`` are the files that params.yaml still names, or their
    folders.
    """
    try:
        return {str(path): _md5(path) for path in find()}
    except UserError:
        known = read_json(made).get("sources", {}) if made.exists() else {}
        named = all({file, file.parent} & {*places} and not file.exists() for file in map(Path, known))
        if not known or not named:
            raise
        return {name: about["md5"] for name, about in known.items()}


@cache
def _folder(folder: Path) -> str:
    return digest(sorted(path for path in folder.rglob("*") if path.suffix in LOADED and path.is_file()))


@cache
def _md5(path: Path) -> str:
    """The MD5 of a file. That of a large one is cached, with its size and times."""
    try:
        status = path.stat()
        if status.st_size < SMALL:
            return md5(path)
        # The time of the last change of any kind, which nobody can set, is included: `cp -p` keeps the other.
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        name, notes = str(path.absolute()), _noted("md5.json")
        if notes.get(name, [])[:-1] != stamp:
            notes[name] = [*stamp, md5(path)]
            _note("md5.json", notes)
        return notes[name][-1]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): correct it or its permissions.") from None


@cache
def _installed() -> dict[str, str]:
    """Import name -> version of all installed packages.

    Cached with the times of the folders that they are in, as reading the files of all of them takes a second.
    """
    here = {"", str(Path.cwd()), str(Path(sys.executable).parent)}  # which hold no packages, and change often
    folders = [Path(one) for one in sys.path if one not in here and Path(one).is_dir()]
    stamp = {str(folder): folder.stat().st_mtime_ns for folder in folders}
    notes = _noted("versions.json")
    if notes.get("folders") != stamp:
        packages = metadata.packages_distributions()
        found = {name: metadata.version(min(made_by)) for name, made_by in packages.items()}
        notes = {"folders": stamp, "versions": found}
        _note("versions.json", notes)
    return notes["versions"]


def _noted(name: str) -> dict[str, Any]:
    try:
        return json.loads((NOTES / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _note(name: str, value: Mapping[str, Any]) -> None:
    """Keep a note if that is possible: a folder may be read-only, and jobs of a cluster may write at the same time."""
    with suppress(OSError):
        write_json(NOTES / name, value)
