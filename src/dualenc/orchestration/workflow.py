"""What the Snakefile needs to know: which files an artefact needs, where encoders and lists are, what reports say."""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from dualenc.data.collection import SPLITS
from dualenc.encoders import encoder_files, tokenizer_files
from dualenc.runtime.errors import UserError
from dualenc.study import artefacts
from dualenc.study.config import Study
from dualenc.study.kinds import KINDS

UNTRAINED = ("random", "bm25")  # orders of the candidates that no model made
TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json"]
ENCODER_FILES = ["config.json", "model.safetensors", *TOKENIZER_FILES]
MODEL_FILES = [  # of every kind of model, below its folder
    *ENCODER_FILES,
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
]
EVALUATED = ["metrics.json", "per_query.parquet"]
CHECKPOINT_SETS = ["train", "test"]
CHECKPOINT_FILES = [*(f"model/{name}" for name in MODEL_FILES), *(f"{name}.run.gz" for name in CHECKPOINT_SETS)]


def runs_folder(run: str, parent: str) -> PurePosixPath:
    """Folder, below ``results/<scale>``, of the runs to evaluate: the candidates themselves if no model made them.

    ``parent`` is "runs" for re-ranked candidates or "retrieval"; BM25's candidates are its retrieval, too.
    """
    return PurePosixPath("evaluation") if run in UNTRAINED else PurePosixPath(parent, run)


def files(study: Study, artefact: str) -> list[PurePosixPath]:
    """The files, below ``results/<scale>``, that an artefact is made from: what its ``needs`` name."""
    return [path for need in study.artefacts[artefact].needs for path in NEEDS[need](study, artefact)]


def _seeded(study: Study, artefact: str, parent: str, names: Iterable[str] | None = None) -> list[PurePosixPath]:
    """Folders in ``parent`` of all runs of an artefact, or of ``names``, with all its seeds."""
    names = study.runs(artefact) if names is None else names
    return [PurePosixPath(parent, name, f"seed-{seed}") for name in names for seed in study.seeds(artefact)]


def _metrics(study: Study, artefact: str) -> list[PurePosixPath]:
    folders = [PurePosixPath("runs", name) for name in UNTRAINED] + _seeded(study, artefact, "runs")
    return [folder / name for folder in folders for name in EVALUATED]


def _runs(study: Study, artefact: str) -> list[PurePosixPath]:
    names = study.sets
    evaluation = [PurePosixPath("evaluation", f"{s}.{kind}") for s in names for kind in ("run.gz", "qrels.tsv")]
    return evaluation + [folder / f"{s}.run.gz" for folder in _seeded(study, artefact, "runs") for s in names]


def _curves(study: Study, artefact: str) -> list[PurePosixPath]:
    return [folder / "curve.csv" for folder in _seeded(study, artefact, "runs")]


def _retrieval(study: Study, artefact: str) -> list[PurePosixPath]:
    """Full retrieval by BM25 and, first seed, by the models of those kinds that can search all passages."""
    searching = [name for name in study.runs(artefact) if KINDS[study.run(name).model].searches]
    folders = [PurePosixPath("retrieval", name, f"seed-{study.seeds(artefact)[0]}") for name in searching]
    folders.insert(0, PurePosixPath("retrieval", "bm25"))
    return [folder / name for folder in folders for name in EVALUATED]


def _checkpoints(study: Study, artefact: str) -> list[PurePosixPath]:
    folders = [
        folder / f"step-{s}" for folder in _seeded(study, artefact, "checkpoints") for s in study.checkpoint_steps
    ]
    return [folder / name for folder in folders for name in CHECKPOINT_FILES]


def _lists(study: Study, artefact: str) -> list[PurePosixPath]:
    """The lists that the runs were trained on: those of every teacher, and without scores if a run has none."""
    return list(dict.fromkeys(lists_of(study, name) for name in study.runs(artefact)))


def _text(study: Study, artefact: str) -> list[PurePosixPath]:
    names = ["passages.parquet"] + [name for s in SPLITS for name in (f"queries.{s}.parquet", f"qrels.{s}.tsv")]
    return [PurePosixPath("data", study.at.dataset, name) for name in names]


def _models(study: Study, artefact: str) -> list[PurePosixPath]:
    """The trained models, and the tokens that they read."""
    models = [folder / "model" / name for folder in _seeded(study, artefact, "runs") for name in MODEL_FILES]
    return [*models, PurePosixPath("data", study.at.dataset, "tokens", "manifest.json")]


def _score_matrices(study: Study, artefact: str) -> list[PurePosixPath]:
    return [folder.with_suffix(".parquet") for folder in _seeded(study, artefact, "score-matrices")]


def _score_updates(study: Study, artefact: str) -> list[PurePosixPath]:
    return [folder.with_suffix(".parquet") for folder in _seeded(study, artefact, "score-updates")]


NEEDS = {
    "metrics": _metrics,
    "runs": _runs,
    "curves": _curves,
    "retrieval": _retrieval,
    "checkpoints": _checkpoints,
    "lists": _lists,
    "text": _text,
    "models": _models,
    "score-matrices": _score_matrices,
    "score-updates": _score_updates,
}
"""What an artefact may need, and which files that is."""


ALONG = {"curves": ["curves"], "checkpoints": ["checkpoints", "score-updates"]}
"""What training gives in addition to its model, and for which needs of artefacts."""


def asking(study: Study, what: str) -> list[str]:
    """The artefacts that look at ``what``, a key of ``ALONG``."""
    return [name for name, artefact in study.artefacts.items() if not set(ALONG[what]).isdisjoint(artefact.needs)]


def wanted(study: Study, what: str) -> set[tuple[str, int]]:
    """The runs, with their seeds, of which an artefact looks at ``what``, a key of ``ALONG``.

    For checkpoints it is every such run with every such seed, as one rule makes them.
    """
    shown = asking(study, what)
    found = {(run, seed) for name in shown for run in study.runs(name) for seed in study.seeds(name)}
    if what == "checkpoints":
        return {(run, seed) for run, _ in found for _, seed in found}
    return found


def any_of(values: Iterable[object]) -> str:
    """The constraint of a wildcard that has one of these values; none fits if there are none."""
    return "|".join(sorted({re.escape(str(value)) for value in values})) or "(?!)"


def use_own_commands() -> None:
    """Let jobs call the ``dualenc`` of the environment that Snakemake runs in, activated or not."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def check_encoders(study: Study) -> None:
    """Raise ``UserError`` for the first encoder of the scale in a folder that is not what params.yaml says about it.

    Each has to be a whole BERT of its shape, with the heads that its models start from and the student's tokenizer.
    """
    heads: dict[str, set[str]] = {name: set() for family in study.at.encoders.values() for name in family}
    shown = {run for artefact in study.artefacts for run in study.runs(artefact)}
    for experiment in map(study.run, shown.union(study.experiments)):
        needed = heads.setdefault(experiment.encoder, set())
        needed |= {*KINDS[experiment.model].heads, *(["words"] if experiment.mlm_weight else [])}
    tokenizer = Path(tokenizer_folder(study), "tokenizer.json")
    for name, needed in sorted(heads.items()):
        entry = study.params.encoders[name]
        if not entry.folder or study.params.pretrain:
            continue
        try:
            encoder_files.check_files(entry.folder, encoder_files.FILES, "encoder")
            file = Path(entry.folder, "config.json")
            encoder_files.check_config(file, encoder_files.read_object(file), entry)
            encoder_files.check_weights(entry.folder, needed)
            tokenizer_files.check_tokenizer(entry.folder)
            if tokenizer.is_file():
                own = Path(entry.folder, "tokenizer.json")
                tokenizer_files.check_same(own, tokenizer_files.digests(tokenizer), tokenizer)
        except UserError as error:
            raise UserError(f"params.yaml: encoders.{name}: {error}") from None


def in_report(kind: str, file: str) -> dict[str, Any]:
    """How Snakemake's report names an artefact's ``file``: arguments of its ``report`` flag."""
    return {
        "caption": "../report/artefact.rst",
        "category": f"{kind.capitalize()}s",
        "labels": lambda wildcards: {
            "name": wildcards.artefact,
            "content": artefacts.title(kind, wildcards.artefact),
            "as": file,
        },
    }


def caption(kind: str, name: str) -> str:
    """The caption of an artefact, as the report reads it."""
    return artefacts.restructured(artefacts.caption(kind, name))


def pretrained_on(study: Study) -> list[str]:
    """The datasets whose train splits miniatures are pre-trained on, by their lists or by their texts."""
    return list(dict.fromkeys([*study.at.pretraining.corpora, *study.at.pretraining.texts]))


def texts_files(study: Study) -> list[str]:
    """The files of the texts without labels; those of vectors are there if there is a sentence encoder."""
    vectors = ["sentences.npy", "pieces.npy"] if study.at.pretraining.sentence_encoder else []
    return ["texts.ids.npy", "texts.offsets.npy", "manifest.json", "about.json", *vectors]


def encoder_folder(study: Study, encoder: str) -> PurePosixPath:
    """Where an encoder is: the folder that params.yaml names, or that the ``pretrain`` or the ``fetch`` rule makes."""
    entry = study.params.encoders[encoder]
    if entry.folder and not study.params.pretrain:
        return PurePosixPath(entry.folder)
    return PurePosixPath("results", study.scale, "fetched" if entry.fetched else "encoders", encoder)


def grows_from(study: Study, encoder: str) -> list[PurePosixPath]:
    """The weights, below ``results/<scale>``, that the pre-training of a miniature starts from: one file or none."""
    lower = study.params.encoders[encoder].grows_from
    return [PurePosixPath("encoders", lower, "model.safetensors")] if lower else []


def tokenizer_folder(study: Study) -> PurePosixPath:
    """Where the tokenizer is: next to the student's weights if these are given, or made by its rule."""
    student = study.at.encoders["student"][-1]
    entry = study.params.encoders[student]
    if entry.fetched or (entry.folder and not study.params.pretrain):
        return encoder_folder(study, student)
    return PurePosixPath("results", study.scale, "tokenizer")


def scores(study: Study, teacher: str) -> list[PurePosixPath]:
    """The shards, below ``results/<scale>``, of a teacher's scores: none if its one shard needs no file."""
    shards = study.at.shards if study.at.shards > 1 else 0
    return [PurePosixPath("supervision", teacher, "scores", f"{number}-of-{shards}.npy") for number in range(shards)]


def embeddings(study: Study, run: str, seed: str) -> list[PurePosixPath]:
    """The shards, below ``results/<scale>``, that a run is searched in: none if its one shard needs no file.

    Sparse vectors have none.
    """
    dense = KINDS[study.run(run).model].searches == "dense"
    shards = study.at.shards if dense and study.at.shards > 1 else 0
    folder = PurePosixPath("retrieval", run, f"seed-{seed}", "embeddings")
    return [folder / f"{number}-of-{shards}.npy" for number in range(shards)]


def lists_of(study: Study, run: str) -> PurePosixPath:
    """The lists, below ``results/<scale>``, that a run is trained on: with its teacher's scores if it has one.

    Published scores cover many negatives of a query, so the highest of them have separate lists.
    """
    experiment, published = study.run(run), study.at.published_scores
    chosen = published and experiment.teacher == published.teacher and experiment.selection == "top"
    return PurePosixPath("supervision", experiment.teacher or "one-hot", "top.parquet" if chosen else "lists.parquet")
