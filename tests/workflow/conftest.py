"""A copy of the workflow, run at the smoke scale, and ways to call and to change it.

The smoke scale is built once, however many workers there are (``pytest -n``); each of them has a copy of its own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from dualenc import cli
from dualenc.study import config

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BUILT = (".snakemake", "figures", "logs", "results", "scratch")


def call(folder: Path, command: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Run a command of this environment in a copy of the repository; ``stdout`` holds all that it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")}
    environment["PATH"] = os.pathsep.join([str(BIN), environment["PATH"]])
    environment["PYTHONPATH"] = str(folder / "src")  # before the package that is installed
    return subprocess.run(
        [BIN / command, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="session")
def call_in() -> Callable[..., subprocess.CompletedProcess]:
    """Call a command in a folder: ``call_in(folder, command, *arguments)``."""
    return call


def copy_repository(folder: Path) -> Path:
    """Copy all that the workflow is made of into an empty folder."""
    for name in ("Snakefile", "params.yaml"):
        shutil.copy2(REPOSITORY / name, folder)
    for name in ("benchmarks", "profiles", "src", "workflow"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that the workflow is made of."""
    return copy_repository(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="session")
def snakemake(repository: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Call ``snakemake`` in the copy."""
    return partial(call, repository, "snakemake")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the one run of the whole workflow, which all workers share, and nobody changes."""
    ours = tmp_path_factory.getbasetemp()
    folder = (ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours) / "built"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            run = call(copy_repository(folder), "snakemake", "--cores", "2", "--config", "scale=smoke")
            (folder / "printed.txt").write_text(run.stdout, encoding="utf-8")
            (folder / "status.txt").write_text(str(run.returncode), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def smoke(built: Path) -> str:
    """What the run of the whole workflow printed."""
    printed = (built / "printed.txt").read_text(encoding="utf-8")
    assert (built / "status.txt").read_text(encoding="utf-8") == "0", printed
    return printed


@pytest.fixture(scope="session")
def finished(repository: Path, built: Path, smoke: str) -> Path:
    """The copy after the run."""
    for name in BUILT:
        shutil.copytree(built / name, repository / name, symlinks=True, dirs_exist_ok=True)
    return repository


@pytest.fixture(scope="session")
def study(repository: Path) -> config.Study:
    """What params.yaml says at the smoke scale."""
    return config.load(repository / "params.yaml", {"scale": "smoke"})


@pytest.fixture
def dualenc(
    capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess]:
    """Call the ``dualenc`` command in this process, where the libraries are loaded once for all tests."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess:
        monkeypatch.setattr(sys, "argv", ["dualenc", *map(str, arguments)])
        monkeypatch.setattr(os, "environ", dict(os.environ))
        with pytest.raises(SystemExit) as end:
            cli.main()
        return subprocess.CompletedProcess(sys.argv, end.value.code, "".join(capfd.readouterr()))

    return run


@pytest.fixture
def edit(repository: Path) -> Iterator[Callable[[str, str], None]]:
    """Replace the text of a file of the copy for the time of one test."""
    before = {}

    def replace(name: str, text: str) -> None:
        path = repository / name
        before.setdefault(path, (path.read_text(encoding="utf-8"), path.stat()))
        path.write_text(text, encoding="utf-8")

    yield replace
    for path, (text, status) in before.items():
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def set_params(repository: Path, edit: Callable[[str, str], None]) -> Callable[[dict], None]:
    """Set values of the copy's params.yaml, each by its dotted key, for the time of one test."""

    def change(values: dict) -> None:
        params = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
        for key, value in values.items():
            *path, last = key.split(".")
            place = params
            for name in path:
                place = place[name]
            place[last] = value
        edit("params.yaml", yaml.safe_dump(params, sort_keys=False))

    return change
