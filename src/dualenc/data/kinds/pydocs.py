"""The embedded dataset: the first sentence of a docstring asks, the rest of that docstring answers.

The text is read from installed Python packages without importing them, so it needs no download, and a
pinned environment gives the same bytes everywhere. Every query has one relevant passage.
"""

import ast
import gc
import hashlib
import os
import platform
import re
import sys
import sysconfig
import warnings
import zlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dualenc.data import collection
from dualenc.data.collection import SPLITS
from dualenc.data.docstrings import docstrings, question_and_answer
from dualenc.data.selection import MaxQueries
from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import reported
from dualenc.runtime.values import Positive, Strict, Texts, real

# Tests, code copied from other packages, and corners of the standard library that document nothing else.
SKIPPED = {
    *("test", "tests", "conftest.py", "_internal", "_vendor", "vendor", "vendored", "extern", "externals"),
    *("site-packages", "dist-packages", "idlelib", "lib2to3", "turtledemo", "ensurepip"),
}
GRAM = 4  # words; shorter runs are shared by unrelated texts ("the name of the")
NEAR_DUPLICATE = 0.5  # of a passage's word 4-grams
RIGHTS = "The manifest names no licence: each docstring is under that of its package."
LICENCE = "apache-2.0"  # of a model trained on these texts


class Pair(NamedTuple):
    """One docstring; ``id`` is ``module:Class.function``, or ``module`` for a module's own docstring."""

    id: str
    query: str
    passage: str


class Fractions(Strict):
    """How the splits share the texts."""

    train: real(0, 1, open="low high")
    validation: real(0, 1, open="low high")
    test: real(0, 1, open="low high")

    @model_validator(mode="after")
    def _whole(self) -> "Fractions":
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise PydanticCustomError("not_allowed", "make the three add up to 1")
        return self


class Parameters(Strict):
    """Docstrings of installed packages: first sentence -> the rest."""

    kind: Literal["pydocs"]
    packages: Annotated[Texts, Field(min_length=1)]
    max_words: Positive
    min_query_words: Positive
    min_passage_words: Positive
    max_passages: Positive
    fractions: Fractions
    max_queries: MaxQueries

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        for key in ("min_query_words", "min_passage_words"):
            if getattr(self, key) > self.max_words:
                about = {"key": key, "least": getattr(self, key), "most": self.max_words}
                raise PydanticCustomError("not_allowed", "{key} = {least} is larger than max_words = {most}", about)
        return self


def build(folder: str | Path, parameters: Parameters, workers: int) -> None:
    """Write the dataset of ``packages``: import names, or ``stdlib`` for the whole standard library.

    Passages are cut to ``max_words`` words; pairs with a shorter query or passage than the minima, or a query
    longer than ``max_words``, are left out, then near-duplicates (``distinct``). All pairs of a module fall
    into one split by the hash of its name, in the proportions ``fractions``. By hash, too, a split keeps at
    most ``max_queries`` queries, and the collection at most ``max_passages`` passages: all positives of these
    queries, however many, and then others. The bytes depend on the installed versions, not on their place or
    on ``workers``.

    Raises ``UserError`` for a package that is not installed or has no Python source, and for a split without queries.
    """
    installed = metadata.packages_distributions()
    found = {package: find(package, installed) for package in parameters.packages}
    sources = {module: path for _, files in found.values() for module, path in files.items()}
    limits = parameters.model_dump(include={"max_words", "min_query_words", "min_passage_words"})
    fractions, max_queries = parameters.fractions.model_dump(), parameters.max_queries.model_dump()
    max_passages = parameters.max_passages
    read, counts = read_modules(sources, **limits, workers=workers)
    pairs = distinct(read)
    askable = unambiguous(pairs)
    asked = {split: [pair for pair in askable if split_of(pair, fractions) == split] for split in SPLITS}
    asked = {split: sorted(asked[split], key=shuffled)[: max_queries[split]] for split in SPLITS}
    positives = {pair.id for split in SPLITS for pair in asked[split]}
    ordered = sorted(pairs, key=lambda pair: (pair.id not in positives, shuffled(pair)))
    about = {
        "source": "docstrings of installed Python packages: first sentence -> the rest",
        "python": platform.python_version(),
        "packages": {package: version for package, (version, _) in found.items()},
        "parameters": limits | {"fractions": fractions, "max_queries": max_queries, "max_passages": max_passages},
        "counts": counts | {"distinct pairs": len(pairs), "pairs with an unambiguous query": len(askable)},
    }
    collection.write(
        folder,
        sorted((pair.id, pair.passage) for pair in ordered[: max(max_passages, len(positives))]),
        {split: sorted((pair.id, pair.query) for pair in asked[split]) for split in SPLITS},
        {split: sorted((pair.id, pair.id, 1) for pair in asked[split]) for split in SPLITS},
        about,
    )


def packages(parameters: Parameters) -> list[str]:
    """The installed packages that decide the text."""
    return parameters.packages


def origin(manifest: Mapping[str, Any]) -> str:
    """Where a manifest says that the texts come from."""
    return f"{manifest['source']} ({', '.join(f'{name} {version}' for name, version in manifest['packages'].items())})"


def limits(parameters: Parameters) -> str:
    """What a model of these texts cannot be expected to do, as its card says."""
    return (
        "Queries are the first sentences of docstrings and passages the rest of them, cut to "
        f"{parameters.max_words} words: nobody ever asked these questions."
    )


def find(package: str, installed: Mapping[str, list[str]]) -> tuple[str, dict[str, Path]]:
    """The version of a package and its Python files by module name; nothing is imported.

    ``installed`` maps import names to distributions (``importlib.metadata.packages_distributions``). The
    standard library and its parts have Python's version. Raises ``UserError`` as ``build`` does.
    """
    standard = Path(sysconfig.get_path("stdlib"))
    if package == "stdlib":
        names = sys.stdlib_module_names - SKIPPED
        files = {module: path for name in names for module, path in _modules(standard, name).items()}
        return platform.python_version(), files
    if package in sys.stdlib_module_names:
        version, files = platform.python_version(), _modules(standard, package)
    elif package in installed:
        distribution = metadata.distribution(min(installed[package]))
        version, files = distribution.version, _modules(Path(distribution.locate_file("")), package)
    else:
        raise UserError(f"package {package!r} is not installed; install it or remove it from the pydocs packages.")
    if not files:
        raise UserError(f"package {package!r} has no Python source; remove it from the pydocs packages.")
    return version, files


def _modules(root: Path, package: str) -> dict[str, Path]:
    paths = [root / f"{package}.py"] if (root / f"{package}.py").is_file() else []
    for folder, subfolders, files in os.walk(root / package):
        subfolders[:] = set(subfolders) - SKIPPED
        paths += [Path(folder, file) for file in set(files) - SKIPPED if file.endswith(".py")]
    dotted = {path: ".".join(path.relative_to(root).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in dotted.items()}


def read_modules(sources: dict[str, Path], *, workers: int, **limits: int) -> tuple[list[Pair], dict[str, int]]:
    """The pairs of all modules in the order of their names, and how many docstrings passed each step."""
    names = sorted(sources)
    read = partial(read_module, **limits)
    # Syntax trees hold no reference cycles: without the collector, parsing them is a fifth faster.
    with ProcessPoolExecutor(workers, initializer=gc.disable) as pool:
        done = pool.map(read, names, (sources[name] for name in names), chunksize=32)
        results = list(reported(done, "pydocs", "modules", len(names)))
    counts = Counter({"modules": len(names)})
    for _, found in results:
        counts.update(found)
    return [pair for pairs, _ in results for pair in pairs], dict(counts)


def read_module(
    name: str, path: Path, *, max_words: int, min_query_words: int, min_passage_words: int
) -> tuple[list[Pair], dict[str, int]]:
    """The pairs of one file, and its counts; a file that this Python cannot parse has none."""
    counts = {"unreadable modules": 0, "docstrings": 0, "docstrings with an answer": 0, "pairs": 0}
    source = path.read_bytes()
    if b'"""' not in source and b"'''" not in source:
        return [], counts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return [], counts | {"unreadable modules": 1}
    pairs: dict[str, Pair] = {}
    for qualified, docstring in docstrings(tree):
        counts["docstrings"] += 1
        # Cleaning only shortens, and most docstrings are one sentence: they need none.
        if len(docstring.split()) < min_query_words + min_passage_words:
            continue
        query, words = question_and_answer(docstring, max_words)
        if len(words) < min_passage_words:
            continue
        counts["docstrings with an answer"] += 1
        if min_query_words <= len(query.split()) <= max_words:
            # A name defined twice (the setter of a property, two branches) keeps its first docstring.
            identifier = f"{name}:{qualified}" if qualified else name
            pairs.setdefault(identifier, Pair(identifier, query, " ".join(words)))
    return list(pairs.values()), counts | {"pairs": len(pairs)}


def distinct(pairs: list[Pair]) -> list[Pair]:
    """The pairs whose passage is not a near-duplicate: at least half its word 4-grams are in none kept before.

    So any two kept passages have a Jaccard similarity of at most 1/2. Passages put together from several
    others (templates, inherited parameters) are dropped as well.
    """
    seen: set[int] = set()
    kept = []
    for pair in pairs:
        words = normalised(pair.passage)
        grams = {" ".join(words[start : start + GRAM]) for start in range(max(1, len(words) - GRAM + 1))}
        hashes = {zlib.crc32(gram.encode()) for gram in grams}
        if len(hashes & seen) <= NEAR_DUPLICATE * len(hashes):
            seen |= hashes
            kept.append(pair)
    return kept


def unambiguous(pairs: list[Pair]) -> list[Pair]:
    """The pairs whose normalised query no other pair has: it would have answers that are not judged."""
    queries = [" ".join(normalised(pair.query)) for pair in pairs]
    times = Counter(queries)
    return [pair for pair, query in zip(pairs, queries, strict=True) if times[query] == 1]


def normalised(text: str) -> list[str]:
    """The lower-case words of a text, without punctuation."""
    return re.findall(r"[^\W_]+", text.lower())


def split_of(pair: Pair, fractions: dict[str, float]) -> str:
    """The split of a pair's module: its name's hash falls into one of the parts of [0, 1)."""
    position = _hash("split", pair.id.partition(":")[0])
    for split in SPLITS:
        position -= fractions[split]
        if position < 0:
            return split
    return SPLITS[-1]


def shuffled(pair: Pair) -> float:
    """The pair's place in an order that has nothing to do with its name, module or text."""
    return _hash("order", pair.id)


def _hash(purpose: str, name: str) -> float:
    """A number in [0, 1) that is the same on every machine."""
    return int(hashlib.md5(f"{purpose} {name}".encode()).hexdigest()[:12], 16) / 16**12
