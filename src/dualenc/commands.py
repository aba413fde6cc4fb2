"""Commands that the workflow calls, one for each rule.

They take the slice of params.yaml that they may see as JSON (``--params``), so that what a job uses is what Snakemake
watches. Wrong arguments are refused before anything is imported or read: a place that cannot be written is not found
out after hours of work.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from dualenc.runtime import launch
from dualenc.runtime.errors import UserError

app = typer.Typer()
step = partial(app.command, rich_help_panel="Steps of the workflow")


def _slice(context: typer.Context, text: str) -> Any:
    from dualenc.study import settings

    return settings.read(context.command.name, text)


def creatable(parameter: typer.CallbackParam, path: Path) -> Path:
    """``path``, unless it cannot be made: what is above it, as far as that exists, has to be a folder to write to."""
    if path.name in ("", ".."):
        raise UserError(f"{parameter.opts[0]} '{path}' has no name of its own: name what is written.")
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UserError(f"{parameter.opts[0]} {path} cannot be written: {error.strerror}.") from None
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise UserError(f"{parameter.opts[0]} {path} cannot be written: {above} is not a folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{parameter.opts[0]} {path} cannot be written: {above} is not writable.")
    return path


Params = Annotated[
    Any, typer.Option("--params", parser=str, callback=_slice, metavar="JSON", help="slice of params.yaml")
]
Output = Annotated[Path, typer.Option(callback=creatable, dir_okay=False, help="the file that is written")]
OutputFolder = Annotated[
    Path, typer.Option(callback=creatable, file_okay=False, writable=True, help="the folder that is written")
]
Scratch = Annotated[
    Path, typer.Option(callback=creatable, file_okay=False, writable=True, help="for what an interrupted job leaves")
]
File = Annotated[Path, typer.Option(exists=True, dir_okay=False, help="file of an earlier step")]
Folder = Annotated[Path, typer.Option(exists=True, file_okay=False, help="folder of an earlier step")]
Folders = Annotated[
    list[Path],
    typer.Option(exists=True, file_okay=False, help="folder of an earlier step; may be given several times"),
]
Shards = Annotated[
    list[Path] | None, typer.Option(exists=True, dir_okay=False, help="a shard; once for each, in order")
]
Shard = Annotated[int, typer.Option(min=0, help="from 0")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1)]
Processes = Annotated[int, typer.Option(min=1, help="that train together")]
Nodes = Annotated[int, typer.Option(min=1, help="of a Slurm job, which the processes are spread over")]


@step()
def dataset(params: Params, output: OutputFolder) -> None:
    """Build a dataset folder."""
    from dualenc.steps.dataset import dataset as build

    build(params, output, int(os.environ["OMP_NUM_THREADS"]))


@step()
def candidates(params: Params, dataset: Folder, output: OutputFolder) -> None:
    """Retrieve BM25 candidates for every split, or take those of the dataset itself."""
    from dualenc.steps import candidates as step

    if params.official:
        step.official(dataset, params.official, params.depth, output)
    else:
        options = {"train_queries": params.train_queries, "threads": int(os.environ["OMP_NUM_THREADS"])}
        step.candidates(dataset, params.bm25, params.depth, output, **options)


@step()
def tokenizer(params: Params, dataset: Folders, output: OutputFolder) -> None:
    """Train a WordPiece tokenizer on the train split of one or more datasets."""
    from dualenc.steps.tokenizer import tokenizer as train

    train(dataset, params.vocabulary, params.max_length, output)


@step()
def tokens(dataset: Folder, tokenizer: Folder, output: OutputFolder) -> None:
    """Tokenise all texts of a dataset."""
    from dualenc.steps.tokens import tokenise

    tokenise(dataset, tokenizer / "tokenizer.json", output)


@step()
def lists(params: Params, dataset: Folder, candidates: Folder, output: Output) -> None:
    """Make training lists: positives and BM25 negatives of each query."""
    from dualenc.steps.lists import lists as build

    build(dataset, candidates, params.list_length, params.train_lists, output)


@step()
def import_scores(params: Params, dataset: Folder, scratch: Scratch, output: OutputFolder) -> None:
    """Make training lists from published teacher scores, downloaded if need be."""
    from dualenc.steps.import_scores import import_scores as build

    build(dataset, params.published_scores, params.list_length, params.train_lists, scratch, output)


@step()
def evaluation_sets(params: Params, dataset: Folder, candidates: Folder, output: OutputFolder) -> None:
    """Write candidates and qrels of the sets that models are evaluated on."""
    from dualenc.steps.evaluation_sets import evaluation_sets as build

    build(dataset, candidates, params.train_evaluation, params.depth, output)


@step()
def corpus(params: Params, dataset: Folder, output: Output) -> None:
    """Make the lists that miniatures are pre-trained on, from a dataset's train split."""
    from dualenc.steps.corpus import corpus as build

    threads = int(os.environ["OMP_NUM_THREADS"])
    build(dataset, params.bm25, params.depth, params.list_length, output, threads)


@step()
def texts(params: Params, data: Folder, tokenizer: Folder, scratch: Scratch, output: OutputFolder) -> None:
    """Take texts to pre-train on from train splits, and ask a sentence encoder about them."""
    from dualenc.steps.texts import texts as take

    _set_torch_threads()
    take(
        data,
        tokenizer,
        params.texts,
        params.most_texts,
        params.sentence_encoder,
        params.tokens_per_batch,
        scratch,
        output,
    )


@step()
def pretrain(
    params: Params, data: Folder, corpora: Folder, texts: Folder, dataset: Annotated[str, typer.Option()],
    evaluation: Folder, tokenizer: Folder, scratch: Scratch, output: OutputFolder,
    start: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="encoder to grow from")] = None,
) -> None:  # fmt: skip
    """Pre-train a miniature BERT on the train splits of its corpora."""
    from dualenc.steps.pretrain import pretrain as run

    _set_torch_threads()
    told = params.encoder, params.pretraining, params.model_dump(exclude={"encoder", "pretraining"})
    run(data, corpora, texts, dataset, evaluation, tokenizer, start, *told, scratch, output)


@step()
def fetch(params: Params, output: OutputFolder) -> None:
    """Download a pre-trained BERT from the Hugging Face hub."""
    from dualenc.steps.fetch import fetch as run

    run(params.encoder, params.positions, output)


@step()
def train(
    params: Params, dataset: Folder, tokens: Folder, encoder: Folder, lists: File, evaluation: Folder,
    seed: Seed, scratch: Scratch, output: OutputFolder, processes: Processes = 1, nodes: Nodes = 1,
) -> None:  # fmt: skip
    """Train one model and re-rank the evaluation sets with it."""
    with _launched(params.experiment.batch_size, processes, nodes):
        from dualenc.steps.train import train as run

        told = params.experiment, params.model_dump(exclude={"experiment"})
        run(dataset, tokens, encoder, lists, evaluation, *told, seed, scratch, output)


@step()
def checkpoints(
    params: Params, dataset: Folder, tokens: Folder, encoder: Folder, lists: File, evaluation: Folder,
    seed: Seed, scratch: Scratch, output: OutputFolder, processes: Processes = 1, nodes: Nodes = 1,
) -> None:  # fmt: skip
    """Train one model again up to some early steps and keep it there."""
    with _launched(params.experiment.batch_size, processes, nodes):
        from dualenc.steps.checkpoints import checkpoints as run

        told = params.experiment, params.model_dump(exclude={"experiment"})
        run(dataset, tokens, encoder, lists, evaluation, *told, seed, scratch, output)


@contextmanager
def _launched(batch_size: int, processes: int, nodes: int) -> Iterator[None]:
    """Run the block in each of the processes that train together; this process ends with them if it starts them."""
    if batch_size % processes:
        raise UserError(f"--processes {processes} cannot share a batch of {batch_size}: give a divisor of it.")
    status = launch.run(processes, nodes, int(os.environ["OMP_NUM_THREADS"]), sys.argv[1:])
    if status is not None:
        sys.exit(status)
    _set_torch_threads()
    from dualenc.scorers import distributed

    distributed.join(processes)
    yield
    distributed.leave()


@step()
def teacher_scores(
    params: Params, dataset: Folder, tokens: Folder, model: Folder, lists: File, scratch: Scratch, output: Output,
    scores: Shards = None,
) -> None:  # fmt: skip
    """Score the training lists with a teacher, or put the shards of its scores together."""
    from dualenc.steps import teacher_scores as step

    _set_torch_threads()
    task = step.Task(dataset, tokens, model, params.model, lists, params.tokens_per_batch)
    step.teacher_scores(task, scores or [], scratch, output)


@step()
def score_shard(
    params: Params, dataset: Folder, tokens: Folder, model: Folder, lists: File, shard: Shard, scratch: Scratch,
    output: Output,
) -> None:  # fmt: skip
    """Score one shard of the training lists with a teacher."""
    _check_shard(shard, params.shards)
    from dualenc.steps import teacher_scores as step

    _set_torch_threads()
    task = step.Task(dataset, tokens, model, params.model, lists, params.tokens_per_batch)
    step.shard(task, params.shards, shard, scratch, output)


@step()
def encode(params: Params, tokens: Folder, model: Folder, shard: Shard, scratch: Scratch, output: Output) -> None:
    """Encode one shard of the collection with a dual-encoder."""
    _check_shard(shard, params.shards)
    from dualenc.steps.encode import encode as run

    _set_torch_threads()
    run(tokens, model, params.tokens_per_batch, params.shards, shard, scratch, output)


def _check_shard(shard: int, shards: int) -> None:
    if shard >= shards:
        raise UserError(f"--shard {shard} does not exist: of {shards} shards the last is {shards - 1}.")


@step()
def retrieval(
    params: Params, dataset: Folder, tokens: Folder, model: Folder, output: OutputFolder, embeddings: Shards = None
) -> None:
    """Search the whole collection with a model, for every query of the test sets."""
    from dualenc.steps.retrieval import retrieval as search

    _set_torch_threads()
    search(dataset, tokens, model, params.model, embeddings or [], params.depth, params.tokens_per_batch, output)


@step()
def score_matrix(
    params: Params, dataset: Folder, tokens: Folder, evaluation: Folder, run: Folder, output: Output
) -> None:
    """Score blocks of queries and passages with one model, every query with every passage."""
    from dualenc.steps.score_matrix import score_matrix as score

    _set_torch_threads()
    score(dataset, tokens, evaluation, run, params.model_dump(), output)


@step()
def score_updates(
    params: Params, dataset: Folder, tokens: Folder, evaluation: Folder, checkpoints: Folder, run: Folder,
    output: Output,
) -> None:  # fmt: skip
    """Measure what a gradient step on one pair does to the scores of others, along one training."""
    from dualenc.steps.score_updates import updates

    _set_torch_threads()
    updates(dataset, tokens, evaluation, checkpoints, run, params.model_dump(), output)


@step()
def evaluate(
    params: Params,
    evaluation: Folder,
    runs: Folder,
    splits: Annotated[str, typer.Option(help="comma-separated evaluation sets")],
    output: OutputFolder,
    constant: bool = False,
) -> None:
    """Evaluate the runs of one system on evaluation sets; with --constant, their passages in random order."""
    from dualenc.steps.evaluate import evaluate_runs

    evaluate_runs(evaluation, runs, splits.split(","), constant, params, output)


@step()
def table(artefact: str, params: Params, root: Folder, output: OutputFolder) -> None:
    """Make one table from the results below a scale's folder."""
    from dualenc.steps.artefacts import table as make

    make(artefact, params.model_dump(exclude_unset=True), root, output)


@step()
def figure(artefact: str, params: Params, root: Folder, data: Output, pdf: Output, png: Output) -> None:
    """Draw one figure, and write its data, from the results below a scale's folder."""
    from dualenc.steps.artefacts import figure as draw

    draw(artefact, params.model_dump(exclude_unset=True), root, data, pdf, png)


@step()
def claim(artefact: str, params: Params, root: Folder, output: Output) -> None:
    """Judge one of the paper's claims from the results below a scale's folder."""
    from dualenc.steps.claims import judge

    judge(artefact, params.model_dump(exclude_unset=True), root, output)


@step()
def claims(names: list[str], verdicts: Folder, output: OutputFolder) -> None:
    """Collect the verdicts on claims in one page."""
    from dualenc.steps.claims import collect

    collect(names, verdicts, output)


@step()
def report(
    scale: Annotated[str, typer.Option()], config: Annotated[list[str], typer.Option(help="of the workflow")],
    root: Folder, figures: Folder, logs: Folder, stylesheet: File, front: Output, output: Output,
) -> None:  # fmt: skip
    """Make the report of a scale's results with Snakemake, and its first page."""
    from dualenc.steps.report import make

    make(scale, config, root, figures, logs, stylesheet, front, output)


def _set_torch_threads() -> None:
    """Let torch use ``--threads``: it reads the environment as it is imported, of which forks know nothing.

    Processes that train together on one machine share them.
    """
    import torch

    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(max(1, int(os.environ["OMP_NUM_THREADS"]) // here))
