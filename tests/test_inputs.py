"""What commands are given, wrong in every way: one sentence that names it, status 2, nothing written.

Commands and options come from the command line itself, and files from what lies in the folders of an example, so that
new ones are in these tables without an edit. A command that has no example fails a test.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml

import results_tree
import scored_tree
import tiny_study
from dualenc import cli, datasets, settings

COMMANDS = typer.main.get_command(cli.app).commands
EVALUATION = {**results_tree.EVALUATION, "resamples": 50, "permutations": 99}
BM25 = tiny_study.BM25.model_dump()
LISTS = {"list_length": 5, "train_lists": 80}
SCORES = {"path": "scores.tsv", "teacher": "ca", "tolerance": 0, "allowed_defects": 0}
SCORER = {"model": "dual-encoder", "tokens_per_batch": 4096}
TRAINING = {"lengths": tiny_study.LENGTHS, "tokens_per_batch": 4096}


def artefact(name: str, runs: list[str], **options: object) -> dict[str, object]:
    """The slice of a figure, a table or a claim."""
    shown = [{**results_tree.run(run), "loss_parameters": {}, "teacher": None} for run in runs]
    told = results_tree.params(name, shown, seeds=[scored_tree.SEED], options=options)
    return {**told, "evaluation": EVALUATION, "checkpoints": scored_tree.CHECKPOINTS}


PARAMS = {
    "dataset": tiny_study.DATASET.model_dump(),
    "candidates": {"bm25": BM25, "depth": 10},
    "tokenizer": {"vocabulary": 600, "max_length": 32},
    "lists": LISTS,
    "import-scores": {**LISTS, "published_scores": SCORES},
    "evaluation-sets": {"train_evaluation": 30, "depth": 10},
    "corpus": {"bm25": BM25, "depth": 10, "list_length": 5},
    "pretrain": {
        **{"encoder": tiny_study.ENCODER.model_dump(), "pretraining": tiny_study.pretraining().model_dump()},
        **TRAINING,
    },
    "fetch": {"encoder": tiny_study.ENCODER.model_dump(), "positions": 32},
    "train": {
        **{"experiment": tiny_study.experiment().model_dump(), **TRAINING, "probe_queries": 20, "curves": True}
    },
    "checkpoints": {"experiment": tiny_study.experiment().model_dump(), **TRAINING, "checkpoints": [0, 10]},
    "teacher-scores": SCORER,
    "score-shard": {**SCORER, "shards": 1},
    "encode": {"shards": 1, "tokens_per_batch": 4096},
    "retrieval": {"depth": 10, "tokens_per_batch": 4096},
    "score-matrix": {**SCORER, "queries": 4, "passages": 8},
    "score-updates": {**SCORER, "pairs": 2, "others": 2, "step": 0.1, "checkpoints": [0]},
    "evaluate": EVALUATION,
    "table": artefact("tab3", ["ca", "de"], pairs=2, compared=20, characters=80),
    "figure": artefact("fig4", ["ca"]),
    "claim": artefact("C1", ["ca", "de"], margin=0.05),
}
MORE = {
    "claim C12": artefact("C12", ["ca", "de"]),
    "claim P1": artefact("P1", ["ca"], tolerance=1e-9),
}
"""Further examples of a command, which read other files."""
WORDS = {
    **{"table": "tab3", "figure": "fig4", "claim": "C1", "claim C12": "C12", "claim P1": "P1", "claims": "C1"},
    **{"stage": ["no-rule", "no-target"], "search": ["how", "--experiment", "de"], "export": "de"},
    **{"evaluate": ["--splits", "test"], "report": ["--scale", "smoke", "--config", "scale=smoke"]},
    **{"train": ["--seed", "1"], "checkpoints": ["--seed", "1"], "pretrain": ["--dataset", "dataset"]},
    **{"score-shard": ["--shard", "0"], "encode": ["--shard", "0"], "plan": ["--config", "scale=smoke"]},
}
NEEDS = {
    **dict.fromkeys(("candidates", "tokenizer", "import-scores", "corpus"), ["dataset"]),
    "tokens": ["dataset", "tokenizer"],
    **dict.fromkeys(("lists", "evaluation-sets"), ["dataset", "candidates"]),
    "pretrain": ["data", "corpora", "evaluation", "tokenizer"],
    **dict.fromkeys(("train", "checkpoints"), ["dataset", "tokens", "encoder", "lists", "evaluation"]),
    **dict.fromkeys(("teacher-scores", "score-shard"), ["dataset", "tokens", "model", "lists"]),
    "encode": ["tokens", "model"],
    "retrieval": ["dataset", "tokens", "model"],
    "score-matrix": ["dataset", "tokens", "evaluation", "run"],
    "score-updates": ["dataset", "tokens", "evaluation", "checkpoints", "run"],
    "evaluate": ["evaluation", "runs"],
    **dict.fromkeys(("table", "figure", "claim", *MORE), ["root"]),
    "claims": ["verdicts"],
    "report": ["root", "figures", "logs", "stylesheet"],
    "ship": ["encoder"],
    "summary": ["root", "figures"],
    "plan": ["throughput"],
}
"""Example -> its options that name a place that is read."""
WRITES = {
    **{"figure": ["data", "pdf", "png"], "report": ["front", "output"]},
    **dict.fromkeys(("summary", "plan", "stages", "stage", "record", "restore", "search"), []),
}
"""Command -> its options that name what is written, where that is not --output."""
KEEPS = ("import-scores", "pretrain", "train", "checkpoints", "teacher-scores", "score-shard", "encode")
"""Commands that have a --scratch."""
EXAMPLES = [*COMMANDS, *MORE]


@pytest.fixture(scope="session")
def places(tiny: Path, trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What examples read, in a folder of its own, where a file may be broken for a moment."""
    root = tmp_path_factory.mktemp("inputs")
    names = ("dataset", "candidates", "tokenizer", "tokens", "corpora", "evaluation", "encoder")
    for name in names:
        shutil.copytree(tiny / name, root / name, ignore=shutil.ignore_patterns("tokens") if name == "dataset" else None)
    shutil.copytree(trained["dual-encoder"], root / "run")
    shutil.copytree(root / "run/model", root / "checkpoints/step-0/model")
    for name in ("lists.parquet", "lists.parquet.json"):
        shutil.copy(tiny / name, root)
    shutil.copytree(root / "dataset", root / "data/dataset")
    shutil.copytree(root / "tokens", root / "data/dataset/tokens")
    (root / "scores.tsv").write_text("".join(f"0.5\t0.25\t1\t1\t{pid}\n" for pid in range(2, 12)))
    tree = root / "root"
    scored_tree.write(tree, ["ca", "de"], {"train": 12, "validation": 6, "test": 12})
    scored_tree.write_matrices(tree, ["ca"], 6, 9)
    scored_tree.write_updates(tree, {"ca": 0.1, "de": 0.4})
    (root / "times").mkdir()
    (root / "times/train.tsv").write_text("s\th:m:s\n1.5\t0:00:01\n")
    for name in ("figures", "logs"):
        (root / name).mkdir()
    shutil.copy("benchmarks/throughput.json", root)
    shutil.copy("workflow/report/style.css", root)
    return {
        **{name: root / name for name in (*names, "run", "checkpoints", "data", "figures", "logs")},
        **{"root": tree, "lists": root / "lists.parquet", "model": root / "run/model", "runs": root / "run"},
        **{"verdicts": root / "verdicts", "throughput": root / "throughput.json", "stylesheet": root / "style.css"},
        **{"times": root / "times"},
    }


@pytest.fixture
def call(capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Call ``dualenc`` in this process: its exit status, and what it says."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["dualenc", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "10000")  # typer breaks no path then
        monkeypatch.setattr(os, "environ", dict(os.environ))
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, capfd.readouterr().err

    return run


def example(name: str, places: dict[str, Path], output: Path) -> list[str]:
    """The arguments of a command that works."""
    command = name.split()[0]
    words = WORDS.get(name, [])
    arguments = [command, *([words] if isinstance(words, str) else words)]
    told = MORE.get(name) or PARAMS.get(command)
    arguments += ["--params", json.dumps(told)] if told else []
    for option in NEEDS.get(name, []):
        arguments += [f"--{option}", str(places[option])]
    for option in WRITES.get(command, ["output"]):
        arguments += [f"--{option}", str(output / option)]
    return arguments + (["--scratch", str(output / "scratch")] if command in KEEPS else [])


def what_is_wrong(result: tuple[int, str], output: Path, *names: str) -> str | None:
    """What of a refusal is not as it should be."""
    status, said = result
    sentences = [line for line in said.splitlines() if line.startswith("dualenc: ")]
    usage = "Usage: " in said
    if status != 2 or "Traceback" in said or len(sentences) + usage != 1:
        return f"status {status}: {said[-300:]}"
    if not usage and (not said.strip().splitlines()[-1].startswith("dualenc: ") or sentences[0][-1] not in ".?"):
        return f"no sentence: {said[-300:]}"
    if not any(name in said for name in names):
        return f"none of {names} in: {said[-300:]}"
    written = [path for path in output.rglob("*") if path.is_file() and path.name != "lock"]
    return f"wrote {written}" if written else None


def test_every_command_has_an_example(places, tmp_path):
    for name, command in COMMANDS.items():
        required = {one.opts[0] for one in command.params if one.required and one.param_type_name == "option"}
        assert required <= set(example(name, places, tmp_path)), name
        assert ("--params" in required) == (name in settings.SHAPES) == (name in PARAMS), name


def wrong_values(parameter: object, tmp_path: Path) -> Iterator[str]:
    """Values that an option or an argument does not take, whatever else it does."""
    about = parameter.type_descriptor
    loop, file, folder = tmp_path / "loop", tmp_path / "file", tmp_path / "folder"
    if about.is_path or "Path" in str(about.annotation):
        info = about.parameter_info
        if info.exists:
            yield from (str(tmp_path / "nowhere"), str(loop), str(file / "below"), str(tmp_path / "\udcff"))
        else:
            yield from (str(file / "below"), str(loop / "below"), "", str(tmp_path / ("x" * 300)))
        if not info.file_okay:
            yield str(file)
        if not info.dir_okay:
            yield str(folder)
    elif about.annotation is int:
        yield from ("", "two", "1.5", "-1", str(10**12))
    elif parameter.name == "params":
        yield from ("", "{", "3", "[]", "null", "\udcff", "[" * 100_000, '{"nonsense": 1}')


UNBOUNDED = {("export", "--seed"): 10**12, ("search", "--top"): 10**12}
"""Large numbers that are allowed: of a seed that is not there, and of more passages than there are."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_argument_is_refused(name, places, call, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    output, wrong = tmp_path / "output", {}
    arguments = example(name, places, output)
    for parameter in COMMANDS[name].params:
        option = parameter.opts[0]
        if parameter.required and option in arguments:
            at = arguments.index(option)
            result = call(*arguments[:at], *arguments[at + 2 :])
            wrong[option, "missing"] = what_is_wrong(result, output, option)
        for value in wrong_values(parameter, tmp_path):
            if (name, option) in UNBOUNDED and value == str(UNBOUNDED[name, option]):
                continue
            with_it = [option, value]
            at = arguments.index(option) if option in arguments else len(arguments)
            result = call(*arguments[:at], *with_it, *arguments[at + 2 :])
            wrong[option, value[:60]] = what_is_wrong(result, output, option, value)
    wrong = {cell: what for cell, what in wrong.items() if what}
    assert not wrong, "\n".join(f"{cell}: {what}" for cell, what in wrong.items())
