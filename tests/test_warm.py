"""Jobs forked from a warm process do, say and leave what fresh processes do, and end when they must."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import results_tree
import tiny_study
from dualenc import warm
from dualenc.runtime.errors import UserError
from dualenc.scorers import distributed
from tiny_study import experiment, pretraining

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="jobs are forked on Linux only")

DUALENC = Path(sys.executable).with_name("dualenc")
PARENT = """
import os, sys
from dualenc import warm
warm.start()
print(os.environ[warm.ADDRESS], flush=True)
sys.stdin.read()
"""


class Warm(NamedTuple):
    parent: subprocess.Popen
    address: str
    server: int  # pid


def until(condition: Callable[[], object]) -> None:
    """Wait for what must come at some time."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def listens(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(address) == 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text(encoding="utf-8")


@contextmanager
def started() -> Iterator[Warm]:
    """A warm process that has imported all, and the process that has started it."""
    environment = {name: value for name, value in os.environ.items() if name != warm.ADDRESS}
    command = [sys.executable, "-c", PARENT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, encoding="utf-8", **pipes) as parent:
        address = parent.stdout.readline().strip()
        (server,) = children(parent.pid)
        until(lambda: listens(address))
        until(lambda: not children(server))  # for that connection
        yield Warm(parent, address, server)
        parent.stdin.close()
    until(lambda: not runs(server))
    assert not Path(address).parent.exists()


@pytest.fixture(scope="module", autouse=True)
def interruptible():
    """As from a terminal, also where the tests run in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def process():
    with started() as found:
        yield found


def start(address: str, arguments: list[object], folder: Path, **settings) -> subprocess.Popen:
    """Start ``dualenc <arguments>`` in a folder."""
    environment = os.environ | {warm.ADDRESS: address} | settings.pop("env", {})
    return subprocess.Popen([DUALENC, *map(str, arguments)], cwd=folder, env=environment, **settings)


def outcome(address: str, arguments: list[object], folder: Path, **env: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with start(address, arguments, folder, env=env, **pipes) as command:
        output, error = command.communicate()
    return command.returncode, output, error


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_job_says_what_it_does_in_utf_8_whatever_the_locale(process, tmp_path):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    arguments = ["table", "तालिका…", "--params", TOLD, "--root", tmp_path, "--output", tmp_path / "out"]
    results = [outcome(address, arguments, tmp_path, **locale) for address in (process.address, "off")]
    assert results[0] == results[1]
    assert results[0][0] == 2 and "'तालिका…'" in results[0][2]


def test_two_jobs_at_once_leave_the_bytes_of_fresh_processes(process, tiny, tmp_path):
    commands = [
        tiny_study.train_command(tiny, experiment(), Path("scratch"), Path("out/run/seed-1")),
        tiny_study.pretrain_command(tiny, pretraining(), Path("scratch"), Path("out/encoder")),
    ]
    for name, address in {"forked": process.address, "fresh": "off"}.items():
        (tmp_path / name).mkdir()
        log = open(tmp_path / f"{name}.log", "w", encoding="utf-8")  # noqa: SIM115
        jobs = [start(address, ["--threads", 2, *one], tmp_path / name, stdout=log, stderr=log) for one in commands]
        if name == "forked":
            until(lambda: len(children(process.server)) == 2)
        assert [job.wait() for job in jobs] == [0, 0], (tmp_path / f"{name}.log").read_text(encoding="utf-8")
        log.close()
        assert "\r" not in (tmp_path / f"{name}.log").read_text(encoding="utf-8")  # no progress bars
    forked, fresh = tree(tmp_path / "forked/out"), tree(tmp_path / "fresh/out")
    assert {"run/seed-1/model/model.safetensors", "run/seed-1/curve.csv", "encoder/model.safetensors"} <= set(fresh)
    assert forked == fresh


TOLD = json.dumps({**results_tree.params("P3", [], options={}), "checkpoints": []})
NO_TABLE = ["table", "tab99", "--params", TOLD, "--root", ".", "--output", "tables"]
BUG = ["claim", "P3", "--params", TOLD, "--root", ".", "--output", "c.json"]  # P3 looks for an option
FROM_FORK = 'warm.py", line'  # in a traceback of a fork, above the frames of a fresh process


@pytest.mark.parametrize(
    ("arguments", "status"), [(NO_TABLE, 2), (["table"], 2), (["train", "--help"], 0)], ids=["wrong", "usage", "help"]
)
def test_a_fork_says_what_a_fresh_process_says(process, tmp_path, arguments, status):
    forked, fresh = (outcome(address, arguments, tmp_path) for address in (process.address, "off"))
    assert forked == fresh and forked[0] == status


def test_a_fork_has_the_environment_of_its_command(process, tmp_path):
    narrow, wide = (outcome(process.address, ["--help"], tmp_path, COLUMNS=width) for width in ("60", "120"))
    assert max(map(len, narrow[1].splitlines())) <= 60 < max(map(len, wide[1].splitlines())) <= 120


def test_a_traceback_is_that_of_a_fresh_process_from_main_on(process, tmp_path):
    forked, fresh = (outcome(address, BUG, tmp_path) for address in (process.address, "off"))
    assert FROM_FORK in forked[2] and FROM_FORK not in fresh[2]
    assert forked[:2] == fresh[:2] == (1, "")
    of_main = [text.partition("cli.py")[2].partition("in main\n")[2] for text in (forked[2], fresh[2])]
    assert of_main[0] == of_main[1] != ""


def test_without_a_process_that_listens_commands_do_their_jobs(tmp_path):
    assert FROM_FORK not in outcome(str(tmp_path / "socket"), BUG, tmp_path)[2]


def test_commands_do_their_jobs_when_the_code_has_been_edited(process, tmp_path):
    before = os.stat(process.address)
    os.utime(process.address, (0, 0))
    assert FROM_FORK not in outcome(process.address, BUG, tmp_path)[2]
    os.utime(process.address, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert FROM_FORK in outcome(process.address, BUG, tmp_path)[2]


def test_commands_with_a_terminal_do_their_jobs(process, tmp_path):
    ours, its = os.openpty()
    with start(process.address, BUG, tmp_path, stderr=its):
        os.close(its)
        assert FROM_FORK not in os.read(ours, 1000).decode()
        os.close(ours)


def test_the_process_has_one_thread(process):
    assert len(list(Path(f"/proc/{process.server}/task").iterdir())) == 1


@pytest.fixture
def training(process, tiny, tmp_path):
    """A command whose job goes on for hours: it, its job's pid and the state folder."""
    with long_training(process, tiny, tmp_path) as found:
        yield found


@contextmanager
def long_training(process, tiny, folder):
    parameters = experiment(steps=10**6, evaluate_every=10**6)
    arguments = tiny_study.train_command(tiny, parameters, folder / "scratch", folder / "out" / "seed-1")
    with (
        open(folder / "log", "w", encoding="utf-8") as log,
        start(process.address, arguments, folder, stdout=log, stderr=log) as command,
    ):
        until(lambda: "step 0" in (folder / "log").read_text(encoding="utf-8"))
        ((job,),) = map(children, children(process.server))
        (state,) = (folder / "scratch").iterdir()
        yield command, job, state
        command.kill()


def is_free(state):
    """Whether a training could start in a state folder."""
    try:
        with distributed.locked(state):
            return True
    except UserError:
        return False


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 128 + signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_signal_to_a_command_ends_its_job(process, training, number, status):
    command, job, state = training
    command.send_signal(number)
    assert command.wait() == status
    until(lambda: not runs(job))
    until(lambda: is_free(state))  # the threads of a killed process may keep it for a moment longer


def test_a_killed_job_kills_its_command(training):
    command, job, _ = training
    os.kill(job, signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL


def test_nothing_outlives_a_killed_parent(tiny, tmp_path):
    with started() as process, long_training(process, tiny, tmp_path) as (command, job, _):
        process.parent.kill()
        assert command.wait() == 1
        until(lambda: not runs(job))
        assert (
            (tmp_path / "log")
            .read_text(encoding="utf-8")
            .endswith("dualenc: the process that watched this job was killed: run again.\n")
        )
