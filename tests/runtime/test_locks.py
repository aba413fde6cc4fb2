"""Locks are one process's at a time, and go with it."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dualenc.orchestration import builds, stages, versions
from dualenc.runtime import locks, states
from dualenc.runtime.errors import UserError
from dualenc.study import config

REPOSITORY = Path(__file__).parents[2]
HOLD = "import sys; from pathlib import Path; from dualenc.runtime import locks; lock = locks.take(Path(sys.argv[1]))"


def start(code: str, *arguments: object, **settings) -> subprocess.Popen:
    """Start Python code that prints a line, and wait for it."""
    command = [sys.executable, "-c", f"{code}; print(flush=True); sys.stdin.read()", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **settings)
    process.stdout.readline()
    return process


def is_free(path: Path) -> bool:
    try:
        locks.take(path).close()
    except locks.Busy:
        return False
    return True


def test_a_lock_goes_with_its_process_even_if_a_child_lives_on(tmp_path):
    path = tmp_path / "a" / "lock"
    child = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True)"
    command = [sys.executable, "-c", f"{HOLD}; {child}; sys.stdin.read()", path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        pid = int(holder.stdout.readline())
        with pytest.raises(locks.Busy, match=f"^process {holder.pid} on {socket.gethostname()}$"):
            locks.take(path)
        assert not is_free(path)  # being refused leaves the lock, and the name of who has it
        holder.kill()
        holder.wait()
        os.kill(pid, 0)
        assert is_free(path)
        os.kill(pid, 9)


def test_who_does_the_work_inherits_the_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with builds.locked("smoke") as lock:
        worker = start("import sys", pass_fds=[lock])
    with worker:
        assert not is_free(builds.FOLDER / "smoke.lock")
        worker.kill()
    assert is_free(builds.FOLDER / "smoke.lock")


@pytest.mark.parametrize("take", [lambda: states.locked(Path("scratch/ab")), lambda: builds.locked("smoke")])
def test_a_file_system_without_locks(tmp_path, monkeypatch, take):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"the file system of (scratch/ab|\.snakemake) has no locks: .*\.$"), take():
        pass


@pytest.mark.parametrize(
    "command",
    [
        versions.record,
        versions.restore,
        lambda study: versions.stage(study, "train", [], "a"),
        lambda _: builds.hold("mini"),
    ],
    ids=["record", "restore", "stage", "build"],
)
def test_a_scale_is_in_one_use_at_a_time(tmp_path, monkeypatch, command):
    study = config.load(REPOSITORY / "params.yaml", {"scale": "mini"})
    monkeypatch.setattr(stages, "check", lambda _: None)
    monkeypatch.chdir(tmp_path)
    with builds.locked("smoke"), builds.locked("mini"):  # each scale has its own
        sentence = f"scale mini is in use by process {os.getpid()} on .*: wait for it to end, or stop it.$"
        with pytest.raises(UserError, match=sentence):
            command(study)
    assert list(tmp_path.iterdir()) == [tmp_path / builds.FOLDER]


def test_nothing_in_use_is_cleaned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("results", "scratch"):
        Path(name).mkdir()
    command = ["make", "--file", REPOSITORY / "Makefile", "clean"]
    with builds.locked("smoke"):
        refused = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        assert refused.returncode and f"held by process {os.getpid()} on" in refused.stdout
        assert Path("results").exists()
    subprocess.run(command, capture_output=True, check=True)
    assert not list(tmp_path.iterdir())
