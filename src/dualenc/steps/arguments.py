"""The arguments that steps have in common, and what a step does before it begins.

A step is one file: its command is the function of the file's name, whose parameters are the command's arguments.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from dualenc.runtime import launch
from dualenc.runtime.errors import UserError

Shape = TypeVar("Shape")


def _slice(context: typer.Context, text: str) -> Any:
    from dualenc.study import settings  # only now: the command line does not need it

    return settings.read(context.command.name, text)


def creatable(parameter: typer.CallbackParam, path: Path) -> Path:
    """``path``, unless it cannot be made: what is above it, as far as that exists, has to be a writable folder."""
    if path.name in ("", ".."):
        raise UserError(f"{parameter.opts[0]} '{path}' does not end in a name: name what to write.")
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
    Shape, typer.Option("--params", parser=str, callback=_slice, metavar="JSON", help="slice of params.yaml")
]
"""``Params[Train]``: the step's slice of params.yaml, so that what a job uses is what Snakemake watches."""
Output = Annotated[Path, typer.Option(callback=creatable, dir_okay=False, help="the file to write")]
OutputFolder = Annotated[
    Path, typer.Option(callback=creatable, file_okay=False, writable=True, help="the folder to write")
]
Scratch = Annotated[
    Path, typer.Option(callback=creatable, file_okay=False, writable=True, help="for the state of an interrupted job")
]
File = Annotated[Path, typer.Option(exists=True, dir_okay=False, help="file from an earlier step")]
Folder = Annotated[Path, typer.Option(exists=True, file_okay=False, help="folder from an earlier step")]
Folders = Annotated[
    list[Path],
    typer.Option(exists=True, file_okay=False, help="folder from an earlier step; may be given several times"),
]
Shards = Annotated[
    list[Path] | None, typer.Option(exists=True, dir_okay=False, help="a shard; give each one, in order")
]
Shard = Annotated[int, typer.Option(min=0, help="number of the shard, from 0")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1)]
Processes = Annotated[int, typer.Option(min=1, help="how many work together")]
Nodes = Annotated[int, typer.Option(min=1, help="nodes of a Slurm job to spread the processes over")]


def check_shard(shard: int, shards: int) -> None:
    """Raise ``UserError`` if there is no such shard."""
    if shard >= shards:
        raise UserError(f"--shard {shard} does not exist: of {shards} shards the last is {shards - 1}.")


def threads() -> int:
    """The number of threads that this process may use, ``dualenc --threads``."""
    return int(os.environ["OMP_NUM_THREADS"])


def set_torch_threads() -> None:
    """Let torch use ``--threads``: it reads the environment as it is imported, of which forks know nothing.

    Processes that train together on one machine share them.
    """
    import torch

    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(max(1, threads() // here))


@contextmanager
def launched(processes: int, nodes: int) -> Iterator[None]:
    """Run the block in each of the processes that work together; the process that starts them ends with them.

    Raises ``UserError`` as `dualenc.runtime.launch.run` does.
    """
    status = launch.run(processes, nodes, threads(), sys.argv[1:])
    if status is not None:
        sys.exit(status)
    set_torch_threads()
    from dualenc.scorers import distributed

    distributed.join(processes)
    yield
    distributed.leave()
