"""What commands are given, wrong in every way: one sentence that names it, status 2, nothing written.

Commands and options come from the command line itself, and files from what lies in the folders of an example, so that
new ones are in these tables without an edit. A command that has no example fails a test.
"""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
import typer

import results_tree
import scored_tree
import tiny_study
from dualenc import __main__, cli
from dualenc.runtime import launch
from dualenc.runtime.errors import UserError
from dualenc.steps.claim import claim as judge
from dualenc.steps.summary import summary
from dualenc.study import settings

COMMAND_LINE = typer.main.get_command(cli.app)
COMMANDS = {
    name: command.load() if isinstance(command, cli.Step) else command
    for name, command in COMMAND_LINE.commands.items()
}
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
    "tokenizer": {"vocabulary": 600, "pair": 32},
    "lists": LISTS,
    "import-scores": {**LISTS, "published_scores": SCORES},
    "evaluation-sets": {"train_evaluation": 30, "depth": 10},
    "corpus": {"bm25": BM25, "depth": 10, "list_length": 5},
    "texts": {
        "texts": {"dataset": {"queries": 20, "passages": 200}},
        **{"most_texts": 100, "sentence_encoder": None, "tokens_per_batch": 4096},
    },
    "pretrain": {
        **{"encoder": tiny_study.ENCODER.model_dump(), "pretraining": tiny_study.pretraining().model_dump()},
        **TRAINING,
    },
    "fetch": {"encoder": tiny_study.ENCODER.model_dump(), "pair": 32},
    "train": {
        **{
            "experiment": tiny_study.experiment().model_dump(),
            **TRAINING,
            "probes": {"queries": 20, "depth": 20},
            "curves": True,
            "checkpoints": [0, 10],
        }
    },
    "rerank": SCORER,
    "teacher-scores": SCORER,
    "score-shard": {**SCORER, "shards": 1},
    "encode": {"shards": 1, "tokens_per_batch": 4096},
    "retrieval": {"model": "dual-encoder", "retrieval_depth": 10, "tokens_per_batch": 4096},
    "score-matrix": {**SCORER, "score_matrix": {"queries": 4, "passages": 8}},
    "score-updates": {**SCORER, "score_updates": {"pairs": 2, "others": 2, "step": 0.1}, "checkpoints": [0]},
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
GARBAGE = bytes([0xFF, 0xFE, 0x80, 0x81, 0x00]) * 40  # nor is it UTF-8
WORDS = {
    **{"table": "tab3", "figure": "fig4", "claim": "C1", "claim C12": "C12", "claim P1": "P1", "claims": "C1"},
    **{"stage": ["no-rule", "no-target"], "search": ["how", "--experiment", "de"], "export": "de"},
    **{"evaluate": ["--splits", "test"], "report": ["--scale", "smoke", "--config", "scale=smoke"]},
    **{"train": ["--seed", "1"], "rerank": ["--splits", "test", "--tag", "de-1"], "pretrain": ["--dataset", "dataset"]},
    **{"score-shard": ["--shard", "0"], "encode": ["--shard", "0"], "plan": ["--config", "scale=smoke"]},
}
NEEDS = {
    **{key: ["dataset"] for key in ("candidates", "tokenizer", "import-scores", "corpus")},
    "tokens": ["dataset", "tokenizer"],
    **{key: ["dataset", "candidates"] for key in ("lists", "evaluation-sets")},
    "texts": ["data", "tokenizer"],
    "pretrain": ["data", "corpora", "texts", "evaluation", "tokenizer"],
    "train": ["dataset", "tokens", "encoder", "lists", "evaluation"],
    "rerank": ["dataset", "tokens", "evaluation", "model"],
    **{key: ["dataset", "tokens", "model", "lists"] for key in ("teacher-scores", "score-shard")},
    "encode": ["tokens", "model"],
    "retrieval": ["dataset", "tokens", "model"],
    "score-matrix": ["dataset", "tokens", "evaluation", "run"],
    "score-updates": ["dataset", "tokens", "evaluation", "checkpoints", "run"],
    "evaluate": ["evaluation", "runs"],
    **{key: ["root"] for key in ("table", "figure", "claim", *MORE)},
    "claims": ["verdicts"],
    "report": ["root", "figures", "logs", "stylesheet"],
    "ship": ["encoder"],
    "summary": ["root", "figures"],
    "plan": ["throughput"],
}
"""Example -> its options that name a place that is read."""
WRITES = {
    **{"figure": ["data", "pdf", "png"], "report": ["front", "output"], "train": ["checkpoints", "output"]},
    **{key: [] for key in ("summary", "plan", "stages", "stage", "record", "restore", "search")},
    **{key: [] for key in ("redraw", "verify")},
}
"""Command -> its options that name what is written, where that is not --output."""
KEEPS = ("import-scores", "texts", "pretrain", "train", "rerank", "teacher-scores", "score-shard", "encode")
"""Commands that have a --scratch."""
EXAMPLES = [*COMMANDS, *MORE]


@pytest.fixture(scope="session")
def places(tiny: Path, trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What examples read, in a folder of its own, where a file may be broken for a moment."""
    root = tmp_path_factory.mktemp("inputs")
    names = ("dataset", "candidates", "tokenizer", "tokens", "corpora", "texts", "evaluation", "encoder")
    for name in names:
        shutil.copytree(
            tiny / name, root / name, ignore=shutil.ignore_patterns("tokens") if name == "dataset" else None
        )
    shutil.copytree(trained["dual-encoder"], root / "run")
    shutil.copytree(root / "run/model", root / "checkpoints/step-0/model")
    for name in ("lists.parquet", "lists.parquet.json"):
        shutil.copy(tiny / name, root)
    shutil.copytree(root / "dataset", root / "data/dataset")
    shutil.copytree(root / "tokens", root / "data/dataset/tokens")
    (root / "scores.tsv").write_text("".join(f"0.5\t0.25\t1\t1\t{pid}\n" for pid in range(2, 12)), encoding="utf-8")
    tree = root / "root"
    scored_tree.write(tree, ["ca", "de"], {"train": 12, "validation": 6, "test": 12})
    scored_tree.write_matrices(tree, ["ca"], 6, 9)
    scored_tree.write_updates(tree, {"ca": 0.1, "de": 0.4})
    (root / "times").mkdir()
    (root / "times/train.tsv").write_text("s\th:m:s\n1.5\t0:00:01\n", encoding="utf-8")
    judge("C1", settings.Artefact(**PARAMS["claim"]), tree, root / "verdicts/C1.json")
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
def call(capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int | None, str]]:
    """Call ``dualenc`` in this process: its exit status, None after a traceback, and what it says."""

    def run(*arguments: object) -> tuple[int | None, str]:
        monkeypatch.setattr(sys, "argv", ["dualenc", *map(str, arguments)])
        monkeypatch.setattr(cli, "app", COMMAND_LINE)  # which typer would make anew for each of a thousand calls
        monkeypatch.setenv("COLUMNS", "10000")  # typer breaks no path then
        monkeypatch.setattr(os, "environ", dict(os.environ))
        status = None
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        except Exception as error:  # the whole table is to be seen, not its first hole
            print(f"Traceback: {type(error).__name__}: {error}", file=sys.stderr)
        return status, capfd.readouterr().err

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


def what_is_wrong(result: tuple[int | None, str], output: Path, *names: str) -> str | None:
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


def test_steps_have_the_type_of_what_they_are_told():
    """But for `dataset`: typer takes no union."""
    for name in settings.SHAPES.keys() - {"dataset"}:
        assert get_type_hints(COMMANDS[name].callback)["params"] is settings.SHAPES[name], name


def test_every_command_of_the_workflow_is_a_file_of_steps():
    rules = [Path("Snakefile"), *Path("workflow/rules").glob("*.smk")]
    text = "".join(path.read_text(encoding="utf-8") for path in rules)
    called = set(re.findall(r'"dualenc (?:--threads \{threads\} )?([\w-]+)', text))
    steps = {name for name, command in COMMAND_LINE.commands.items() if isinstance(command, cli.Step)}
    assert called - {"redraw"} == steps - {"ship"}  # people type it, too


def wrong_values(parameter: object, tmp_path: Path) -> Iterator[str]:
    """Values that an option or an argument does not take, whatever else it does."""
    about = parameter.type_descriptor
    loop, file, folder = tmp_path / "loop", tmp_path / "file", tmp_path / "folder"
    if about.is_path or "Path" in str(about.annotation):
        info = about.parameter_info
        if info.exists:
            yield from (str(tmp_path / "nowhere"), str(loop), str(file / "below"), str(tmp_path / "\udcff"))
        else:
            yield from (str(file / "below"), str(loop / "below"), str(tmp_path / ("x" * 300)))
            yield from [""] if info.callback else []
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
            named = value.encode(errors="backslashreplace").decode()
            wrong[option, value[:60]] = what_is_wrong(result, output, option, named)
    wrong = {cell: what for cell, what in wrong.items() if what}
    assert not wrong, "\n".join(f"{cell}: {what}" for cell, what in wrong.items())


JSON = {"a list": b"[]", "no keys": b"{}"}
FAULTS = {
    ".json": JSON,
    ".yaml": JSON,
    ".parquet": {"no columns": pd.DataFrame({"other": [1]}).to_parquet()},
    ".npy": {},
    ".csv": {"no columns": b"other\n1\n"},
    ".tsv": {"no columns": b"other\n1\n"},
}
"""Suffix of a file -> what is wrong in it, beside what may be wrong in any."""
TEXT = (".csv", ".tsv")  # a half of it, or nothing, may be as good as the whole
ALLOWED = {("ship", "tokenizer_config.json", "no keys"): "BERT's tokenizer has defaults"}
"""Example, file and fault that is none."""


def broken(path: Path) -> Iterator[str]:
    """Break a file in every way, one after the other; it is whole again in the end."""
    aside = path.with_name("aside")
    path.rename(aside)
    whole = aside.read_bytes()
    contents = {"garbage": GARBAGE, **FAULTS.get(path.suffix, {})}
    if path.suffix not in TEXT:
        contents |= {"empty": b"", "half": whole[: len(whole) // 2]}
    try:
        yield "missing"
        for fault, content in contents.items():
            path.write_bytes(content)
            yield fault
            path.unlink()
        path.mkdir()
        yield "a folder"
        path.rmdir()
        path.symlink_to(path)
        yield "a loop of links"
        path.unlink()
    finally:
        aside.rename(path)


def results(output: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*")) if path.is_file()}


ONLY = {
    "table": ["root/runs/ca/*/test.run.gz", "root/evaluation/test.*", "root/data/pydocs/passages.parquet"],
    "figure": ["root/runs/ca/*/curve.csv"],
    "claim": ["root/runs/ca/*/per_query.parquet"],
    "claim C12": ["root/score-updates/ca/*"],
    "claim P1": ["root/score-matrices/ca/*"],
    "train": ["lists.parquet", "tokens/queries.train.*", "evaluation/test.run.gz"],
    "rerank": ["evaluation/test.run.gz", "dataset/passages.parquet", "run/model/model.safetensors"],
    "teacher-scores": ["lists.parquet", "dataset/manifest.json", "tokens/manifest.json"],
    "score-shard": ["lists.parquet"],
    "retrieval": ["dataset/queries.test.parquet", "tokens/passages.*"],
    "score-matrix": ["evaluation/test.*", "dataset/passages.parquet"],
    "score-updates": ["evaluation/test.*"],
}
"""Example -> some of its files, where it has to do with few of many, or takes long if they are fine.

In all other folders of an example each file is broken, and the models' files for `encode` and `ship`.
"""


def files(name: str, places: dict[str, Path]) -> list[Path]:
    """The files that an example may read."""
    if name in ONLY:
        return [path for pattern in ONLY[name] for path in sorted(places["root"].parent.glob(pattern))]
    found = [path for need in NEEDS[name] for path in [places[need], *sorted(places[need].rglob("*"))]]
    return [path for path in found if path.is_file()]


ELSEWHERE = {
    **{"search": "the results of a build", "export": "the results of a build", "report": "Snakemake runs for it"},
    **dict.fromkeys(("redraw", "verify"), "the results of a build"),
    **dict.fromkeys(("stages", "stage", "record", "restore"), "params.yaml and DVC"),
    **{"dataset": "reads no file", "fetch": "the hub", "pretrain": "takes long", "import-scores": "a file of others"},
}
"""Command -> why its files are broken in other tests."""


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ELSEWHERE])
def test_a_broken_file_is_refused_or_not_read(name, places, call, tmp_path):
    whole, output, wrong = tmp_path / "whole/results", tmp_path / "broken/results", {}
    status, said = call(*example(name, places, whole))
    assert status == 0, said
    shutil.rmtree(whole / "scratch", ignore_errors=True)
    expected = results(whole)
    for path in files(name, places):
        for fault in broken(path):
            result = call(*example(name, places, output))
            if result[0] == 0:
                shutil.rmtree(output / "scratch", ignore_errors=True)
                if results(output) == expected or (path.suffix in TEXT and fault != "missing"):
                    shutil.rmtree(output, ignore_errors=True)
                    if fault == "missing":
                        break  # nobody reads it
                    continue
            wrong[path.name, fault] = what_is_wrong(result, output, path.name)
            shutil.rmtree(output, ignore_errors=True)
    wrong = {cell: what for cell, what in wrong.items() if what and (name, *cell) not in ALLOWED}
    assert not wrong, "\n".join(f"{cell}: {what}" for cell, what in wrong.items())


VARIABLES = {
    "an array without its job": {"SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"},
    "Slurm without a name": {"SLURM_JOB_ID": "", "CUDA_VISIBLE_DEVICES": "nonsense"},
    "threads": {"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "", "LOCAL_WORLD_SIZE": "0"},
    "the terminal": {"TERM": "dumb", "COLUMNS": "0", "LINES": "x", "NO_COLOR": "1"},
    "folders": {"HOME": "/nowhere", "TMPDIR": "/nowhere"},
    "no warm process": {"DUALENC_WARM": "/nowhere"},
    "a file as the warm process": {"DUALENC_WARM": "/dev/null"},
    "a folder as the warm process": {"DUALENC_WARM": "/"},
    "an empty name of the warm process": {"DUALENC_WARM": ""},
    "a long name of the warm process": {"DUALENC_WARM": "/" + "x" * 300},
}


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A command that prints and is quick."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # usually, what is printed is written in the end
    return [sys.executable, "-m", "dualenc", "plan", "--config", "scale=smoke"]


@pytest.mark.parametrize("variables", VARIABLES)
def test_odd_variables_change_nothing(variables, plan, monkeypatch, capfd):
    monkeypatch.setattr(os, "environ", {**os.environ, **VARIABLES[variables]})
    monkeypatch.setattr(sys, "argv", plan[2:])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    assert not end.value.code and "tab1" in capfd.readouterr().out


def test_whoever_reads_the_output_may_have_enough_of_it(plan):
    process = subprocess.Popen(plan, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 1)


def test_an_output_that_cannot_be_written_is_a_full_disk(plan):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(plan, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("dualenc: no space left on the device") and done.stderr.count("\n") == 1


def raising(error: BaseException) -> Callable[..., None]:
    """A step with the arguments of ``summary`` that ends with an error."""

    @wraps(summary)
    def step(**_: object) -> None:
        raise error

    return step


def test_an_interrupt_has_no_traceback(monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["dualenc", "summary", "--root", ".", "--figures", "."])
    for place in ("dualenc.warm.run", "dualenc.cli.app", "dualenc.steps.summary.summary"):
        with monkeypatch.context() as patched, pytest.raises(SystemExit) as end:
            patched.setattr(place, raising(KeyboardInterrupt()))
            __main__.main()
        assert (end.value.code, capfd.readouterr().err) == (130, "")


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["dualenc", "summary", "--root", ".", "--figures", "."])
    for error in (KeyError("key"), TypeError("type"), FileNotFoundError(errno.ENOENT, "none", "file")):
        monkeypatch.setattr("dualenc.steps.summary.summary", raising(error))
        with pytest.raises(type(error)):
            cli.main()


@pytest.mark.parametrize(
    ("processes", "nodes", "environment", "words"),
    [
        (3, 2, {}, ["--processes 3", "--nodes 2"]),
        (1, 2, {}, ["--processes 1", "--nodes 2"]),
        (10**12, 1, {}, ["is more than 1024 on a node"]),
        (2, 2, {}, ["has to be a Slurm job"]),
        (2, 2, {"SLURM_JOB_ID": "7", "PATH": "/nowhere"}, ["srun", "PATH"]),
        (2, 2, {"SLURM_JOB_ID": "7", "DUALENC_PORT": "80"}, ["DUALENC_PORT", "SLURM_LAUNCH_NODE_IPADDR"]),
    ],
)
def test_processes_that_cannot_start(processes, nodes, environment, words, monkeypatch):
    monkeypatch.setattr(os, "environ", environment)
    with pytest.raises(UserError) as error:
        launch.run(processes, nodes, 1, ["train"])
    assert all(word in str(error.value) for word in words)


def test_shards_that_are_not_all_or_not_of_this_model(places, call, tmp_path):
    assert call(*example("encode", places, tmp_path))[0] == 0
    shard = tmp_path / "output"
    np.save(tmp_path / "narrow.npy", np.load(shard)[:, :3])
    np.save(tmp_path / "few.npy", np.zeros(7, np.float32))
    retrieval, scores = (example(name, places, tmp_path / "new") for name in ("retrieval", "teacher-scores"))
    for arguments, words in (
        ([*retrieval, "--embeddings", shard, "--embeddings", shard], ["each shard once"]),
        ([*retrieval, "--embeddings", tmp_path / "narrow.npy"], ["narrow.npy", "width 16"]),
        ([*scores, "--scores", tmp_path / "few.npy"], ["7 scores", "lists.parquet"]),
    ):
        result = call(*arguments)
        assert what_is_wrong(result, tmp_path / "new", words[0]) is None
        assert all(word in result[1] for word in words)


@pytest.mark.parametrize(
    ("command", "changes", "words"),
    [
        ("candidates", {"bm25": None}, "either bm25 or official"),
        ("candidates", {"bm25": {**BM25, "b": 2}}, "bm25.b = 2"),
        ("lists", {"list_length": 1}, "list_length = 1"),
        ("lists", {"list_length": "many"}, "list_length = 'many'"),
        ("lists", {"length": 1}, "length is not a known key"),
        ("encode", {"shards": 0}, "shards = 0"),
        ("train", {"lengths": {"text": 20}}, "lengths.pair is missing"),
        ("table", {"runs": [{"name": "ca"}]}, "runs.0.experiment is missing"),
        ("evaluate", {"measures": "MRR@10"}, "measures = 'MRR@10'"),
    ],
)
def test_a_slice_that_is_not_one(command, changes, words):
    assert settings.read(command, json.dumps(PARAMS[command])) is not None
    with pytest.raises(UserError, match=r"^--params: ") as error:
        settings.read(command, json.dumps({**PARAMS[command], **changes}))
    assert words in str(error.value)


def test_every_key_of_a_slice_is_needed(places):
    """But for those that have a default, such as the shape of an encoder from the hub."""
    for command, told in PARAMS.items():
        for key in told:
            if key in ("bm25", "sets"):
                continue
            with pytest.raises(UserError, match=f"--params: (\\w+\\.)?{key} is missing"):
                settings.read(command, json.dumps({name: value for name, value in told.items() if name != key}))


@pytest.mark.parametrize("text", ["scale", "=smoke", "", "scale=[", "scale=smoke: {"])
def test_a_key_for_a_plan_is_a_key_and_a_value(text, call, tmp_path):
    assert what_is_wrong(call("plan", "--config", text), tmp_path, "--config") is None
