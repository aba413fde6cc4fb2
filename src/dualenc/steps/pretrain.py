"""A miniature BERT, pre-trained on the train splits of some datasets."""

import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dualenc.data import arrays
from dualenc.data.collection import read_qrels
from dualenc.encoders import tokens
from dualenc.miniatures import pretraining
from dualenc.miniatures.pretraining_batches import Unlabelled
from dualenc.runtime import provenance, states
from dualenc.runtime.files import atomic, write_json
from dualenc.scorers import distributed, models, reading
from dualenc.scorers.reading import Texts
from dualenc.steps.arguments import Folder, OutputFolder, Params, Scratch, set_torch_threads
from dualenc.steps.inputs import (
    passage_rows,
    read_candidates,
    read_lists,
    rows,
    worth_ranking,
    write_about,
    write_curve,
)
from dualenc.study.settings import Pretrain
from dualenc.training.supervision import Lists


def pretrain(
    params: Params[Pretrain], data: Folder, corpora: Folder, texts: Folder, dataset: Annotated[str, typer.Option()],
    evaluation: Folder, tokenizer: Folder, scratch: Scratch, output: OutputFolder,
    start: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="encoder to grow from")] = None,
) -> None:  # fmt: skip
    """Pre-train a miniature BERT on the train splits of its corpora.

    Writes its folder with ``curve.csv`` and ``metrics.json`` (the last probe). ``data/<dataset>`` are dataset folders
    with their tokens, ``corpora/<dataset>.parquet`` the lists of each corpus, ``texts`` is the folder of the texts
    without labels; ``dataset`` and ``evaluation`` are what is probed, on its validation split. ``start`` is the folder
    of the miniature that this one grows from.
    """
    set_torch_threads()
    parameters, lengths = params.pretraining, params.lengths.model_dump()
    names = list(parameters.corpora)
    inputs = [corpora / f"{name}.parquet" for name in names]
    inputs += [data / name / "tokens" / "manifest.json" for name in dict.fromkeys([*names, dataset])]
    inputs += [texts / "manifest.json", texts / "about.json"]
    inputs += [evaluation / name for name in ("validation.run.gz", "validation.qrels.tsv")]
    inputs += [start / "model.safetensors"] if start else []
    about = params.model_dump()
    state = states.state_folder(scratch, about, inputs, provenance.code("miniatures.pretraining"))
    with distributed.locked(state):
        parts = [read(data / name, corpora / f"{name}.parquet", params.tokens_per_batch) for name in names]
        source, lists = concatenated(parts)
        folder = data / dataset
        query_rows = rows(folder, "validation")
        qrels = read_qrels(evaluation / "validation.qrels.tsv")
        candidates = worth_ranking(read_candidates(evaluation, "validation", query_rows), qrels)
        held_out = pretraining.Held(
            reading.texts(folder / "tokens", "validation", params.tokens_per_batch),
            candidates,
            qrels,
            query_rows,
            passage_rows(folder, candidates),
        )
        model, curve = pretraining.pretrain(
            source,
            lists,
            unlabelled(texts),
            held_out,
            times=np.repeat(list(parameters.corpora.values()), [len(part.queries) for _, part in parts]),
            encoder=params.encoder,
            start=start,
            parameters=parameters,
            lengths=lengths,
            state=state,
        )
        with atomic(output) as temporary:
            models.save_encoder(model, tokenizer, temporary, lengths["pair"])
            frame = write_curve(temporary, curve)
            last = frame[frame.split == "validation"].groupby("metric").value.last()
            write_json(temporary / "metrics.json", {"steps": int(frame.step.max()), **last.to_dict()})
            write_about(temporary, about, inputs, params.encoder.width)
        shutil.rmtree(state)


def unlabelled(folder: Path) -> Unlabelled:
    """The texts without labels, and what the sentence encoder, if any, says about them."""
    files = [folder / f"{name}.npy" for name in ("sentences", "pieces")]
    said = [arrays.read(file, 2, mmap_mode="r") for file in files] if files[0].exists() else [None, None]
    return Unlabelled(tokens.read(folder, "texts"), *said)


def read(folder: Path, lists: Path, tokens_per_batch: int) -> tuple[Texts, Lists]:
    """The texts of a dataset's train split, and the lists of its corpus."""
    source = reading.texts(folder / "tokens", "train", tokens_per_batch)
    return source, read_lists(lists, folder, rows(folder, "train"))


def concatenated(parts: list[tuple[Texts, Lists]]) -> tuple[Texts, Lists]:
    """Several corpora as one: texts one after the other, and the rows of the lists moved accordingly."""
    sources = [source for source, _ in parts]
    queries = tokens.concatenate([source.queries for source in sources])
    passages = tokens.concatenate([source.passages for source in sources])
    counts = np.array([[len(source.queries.lengths()), len(source.passages.lengths())] for source in sources])
    before = np.cumsum(counts, axis=0) - counts
    lists = Lists(
        queries=np.concatenate([part.queries + at for (_, part), (at, _) in zip(parts, before, strict=True)]),
        passages=np.concatenate([part.passages + at for (_, part), (_, at) in zip(parts, before, strict=True)]),
        labels=np.concatenate([part.labels for _, part in parts]),
        teacher=None,
        judged=[row + at for (_, part), (_, at) in zip(parts, before, strict=True) for row in part.judged],
    )
    return sources[0]._replace(queries=queries, passages=passages), lists
