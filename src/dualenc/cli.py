"""The command line: `dualenc --help`. What a person types is here; a command of the workflow is a file of ``steps``."""

import ast
import errno
import importlib
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from dualenc import steps
from dualenc.orchestration import slurm
from dualenc.runtime import caches
from dualenc.runtime.errors import UserError
from dualenc.steps.arguments import creatable

if TYPE_CHECKING:
    from dualenc.study.config import Study

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
VERSIONS = "Results in DVC"
MOST_THREADS = 4096
FILES_ERRORS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP),
    *(errno.ENAMETOOLONG, errno.EIO, errno.ESTALE),
}
"""What the system says about a file that is not as it should be, and that none of our code can cause."""


@app.callback()
def options(
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="threads of this process")] = 1,
) -> None:
    """Rebuild "In defense of dual-encoders for neural ranking" (Menon et al., ICML 2022)."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's; it is read at import, before any fork
    # The tokenizers library warns about processes forked by data loaders; nothing here forks after using it.
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    if not sys.stderr.isatty():
        os.environ["TQDM_DISABLE"] = "1"  # libraries' bars; a log has plain lines
    caches.settle()
    if "SLURM_JOB_ID" in os.environ:
        print(slurm.about(os.environ), file=sys.stderr, flush=True)


@app.command()
def plan(
    config: Annotated[list[str] | None, typer.Option(help="key of params.yaml and value, such as scale=paper")] = None,
    artefacts: Annotated[str | None, typer.Option(help="comma-separated ids; all if not given")] = None,
    throughput: Annotated[Path, typer.Option(help="measured rates")] = Path("benchmarks/throughput.json"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, for programs")] = False,
) -> None:
    """Show the runs, jobs, hours, memory and storage that each artefact will take."""
    from dualenc.orchestration import plan as planning
    from dualenc.orchestration.workflow import check_encoders

    study = _study(config)
    check_encoders(study)
    names = _chosen("--artefacts", artefacts, list(study.artefacts))
    rows = planning.plan(study, names, planning.measured(throughput))
    print(json.dumps(rows, indent=2) if as_json else planning.as_text(rows, study))


@app.command(rich_help_panel=VERSIONS)
def stages() -> None:
    """Write dvc.yaml: the stages of params.yaml at its scale."""
    from dualenc.orchestration import stages
    from dualenc.runtime.files import atomic
    from dualenc.study import config

    with atomic(stages.FILE) as path:
        path.write_text(stages.text(config.load("params.yaml")), encoding="utf-8")


@app.command(rich_help_panel=VERSIONS)
def stage(
    rule: str,
    target: str,
    parts: Annotated[list[str] | None, typer.Option("--with", help="a rule that makes its temporary inputs")] = None,
) -> None:
    """Make the target of a stage in dvc.yaml with the one Snakemake job that makes it; `dvc repro` calls this."""
    from dualenc.orchestration import versions
    from dualenc.study import config

    sys.exit(versions.stage(config.load("params.yaml"), rule, parts or [], target))


@app.command(rich_help_panel=VERSIONS)
def record() -> None:
    """After a build by Snakemake: commit all results to DVC."""
    from dualenc.orchestration import versions
    from dualenc.study import config

    print(versions.record(config.load("params.yaml")))


@app.command(rich_help_panel=VERSIONS)
def restore() -> None:
    """After `dvc pull` or `dvc checkout`: tell Snakemake that the results are up to date."""
    from dualenc.orchestration import versions
    from dualenc.study import config

    print(versions.restore(config.load("params.yaml")))


@app.command()
def redraw(
    config: Annotated[list[str] | None, typer.Option(help="key of params.yaml and value, such as scale=mini")] = None,
    artefacts: Annotated[str | None, typer.Option(help="comma-separated ids of figures; all if not given")] = None,
) -> None:
    """Draw figures again from their data, results/<scale>/figure-data, without the results that these came from."""
    from dualenc.figures import drawing

    study = _study(config)
    figures = [name for name, artefact in study.artefacts.items() if artefact.kind == "figure"]
    names = _chosen("--artefacts", artefacts, figures)
    print(*drawing.redraw_all(study, names, Path("results", study.scale), Path("figures", study.scale)), sep="\n")


@app.command()
def verify(
    config: Annotated[list[str] | None, typer.Option(help="key of params.yaml and value, such as scale=mini")] = None,
    runs: Annotated[str | None, typer.Option(help="comma-separated runs, bm25 among them; all if not given")] = None,
    files: Annotated[bool, typer.Option("--files", help="print what Snakemake has to make, and stop")] = False,
) -> None:
    """Compare table 1's numbers with those expected of the scale; exit status 1 if one is outside its band."""
    from dualenc.report import expected

    study = _study(config)
    known = expected.runs(study.scale)
    if not known:
        raise UserError(f"nothing is expected of scale {study.scale}: add it to src/dualenc/report/expected.yaml.")
    names = _chosen("--runs", runs, known)
    made = expected.files(study, names)
    if files:
        print(*made)
        return
    rows = expected.rows(study.scale, Path("results", study.scale), set(made), names)
    print(expected.as_table(rows))
    sys.exit(0 if all(row["within"] for row in rows) else 1)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="what to look for")],
    experiment: Annotated[str, typer.Option(help="a dual-encoder in params.yaml, or <experiment>.<encoder>")],
    scale: Annotated[str | None, typer.Option(help="the scale, if not the one in params.yaml")] = None,
    top: Annotated[int, typer.Option(min=1, help="number of passages")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, for programs")] = False,
) -> None:
    """Show the top passages of a trained dual-encoder for a query, with BM25's ranks and its teacher's order."""
    from dualenc.study import config

    study = config.load("params.yaml", {"scale": scale} if scale else {})
    study.run(experiment, "--experiment")
    from dualenc.retrieval import search as searching  # only now, as it takes seconds

    found = searching.search(study, experiment, query, top, Path("results"), Path("scratch"))
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else searching.as_text(found))


@app.command()
def export(
    experiment: Annotated[str, typer.Argument(help="an experiment in params.yaml, or <experiment>.<encoder>")],
    output: Annotated[Path, typer.Option(callback=creatable, help="a new or empty folder")],
    scale: Annotated[str | None, typer.Option(help="the scale, if not the one in params.yaml")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="the seed, if not the first one of the scale")] = None,
    float16: Annotated[bool, typer.Option("--float16", help="store weights in half of the space, rounded")] = False,
) -> None:
    """Write a trained model and its card, ready for the Hugging Face Hub; nothing is uploaded."""
    from dualenc.study import config

    study = config.load("params.yaml", {"scale": scale} if scale else {})
    study.run(experiment, "experiment")
    from dualenc.publish import export as exporting  # only now, as it takes seconds

    seed = study.at.seeds[0] if seed is None else seed
    print(exporting.export(study, experiment, seed, Path("results"), output, float16=float16))


def _study(config: list[str] | None) -> "Study":
    """The study of params.yaml with what ``--config`` changes."""
    from dualenc.study import config as parameters

    return parameters.load("params.yaml", dict(map(parameters.override, config or [])))


def _chosen(option: str, names: str | None, known: list[str]) -> list[str]:
    """The comma-separated names that an option has, all that are ``known`` without it. Raises ``UserError``."""
    from dualenc.runtime.lookup import choose

    return [choose(option, name, known) for name in names.split(",")] if names else known


class Step(TyperCommand):
    """A command whose module is imported only when it runs, after ``options``: that takes seconds."""

    def make_context(self, *arguments: Any, **more: Any) -> typer.Context:
        """The context of the command with its arguments: that is the one which runs."""
        return self.load().make_context(*arguments, **more)

    def load(self) -> TyperCommand:
        """The command with the arguments of its step's function."""
        name = self.name.replace("-", "_")
        function = getattr(importlib.import_module(f"{steps.__name__}.{name}"), name)
        alone = typer.Typer(add_completion=False)
        alone.command(self.name, help=self.help)(function)
        return typer.main.get_command(alone)


def _steps() -> Iterator[tuple[str, str]]:
    """Name of each step, and what it does in a line: the files of ``steps`` that have a function of the same name."""
    for path in sorted(Path(steps.__file__).parent.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == path.stem:
                yield node.name.replace("_", "-"), ast.get_docstring(node).splitlines()[0]


for _name, _help in _steps():
    app.command(_name, cls=Step, help=_help, rich_help_panel="Steps of the workflow")(lambda: None)


def main() -> None:
    """Run the command line: wrong input ends with one sentence and status 2, a full disk with status 1.

    What only a bug can cause keeps its traceback. What it prints is UTF-8, on any terminal.
    """
    print_in_utf_8()
    try:
        try:
            _check_arguments(sys.argv[1:])
            app()
        finally:
            sys.stdout.flush()  # here, where it can be reported, and not as the interpreter exits
    except UserError as error:
        print(f"dualenc: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FILES_ERRORS and error.filename is not None:
            print(
                f"dualenc: {error.filename} cannot be used ({error.strerror}): correct it or its path.", file=sys.stderr
            )
            sys.exit(2)
        if not _disk_is_full(error):
            raise
        why = textwrap.shorten(str(error), 200, placeholder="...")
        print(f"dualenc: no space left on the device ({why}): free some and run again.", file=sys.stderr)
        sys.exit(1)


def print_in_utf_8() -> None:
    """Make the standard streams UTF-8, with escapes for what cannot be: no message causes another error."""
    for stream in (sys.stdout, sys.stderr):
        # Forks of the warm process inherit this, with other files behind the streams since then, which forbids a
        # change.
        if (stream.encoding, stream.errors) != ("utf-8", "backslashreplace"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _check_arguments(arguments: list[str]) -> None:
    """Raise ``UserError`` naming the first that is not UTF-8: no file and no message could hold its bytes."""
    for argument in arguments:
        if not argument.isascii() and any("\ud800" <= character <= "\udfff" for character in argument):
            raise UserError(f"the argument {argument!r} is not UTF-8: type it in a terminal whose encoding is UTF-8.")


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether ``error`` or what caused it is a full disk; torch, safetensors and numpy report it in their own words."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(error) for words in ("No space left", "file write failed", "requested and")):
            return True
        error = error.__cause__ or error.__context__
    return False
