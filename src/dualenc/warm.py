"""A process of each workflow run that has imported the libraries: jobs are forked from it.

Importing torch and what belongs to it takes longer than many a job. ``start`` is for Snakemake; ``run`` is for a job's
command, which hands over what makes it (arguments, folder, environment, standard streams), forwards signals and ends as
the fork does. ``serve`` is the process: for each command it forks a keeper, and that forks the job.

The end of a command ends its job, and the end of Snakemake ends all of this. A command does its job itself when the
process is still importing, is gone, or holds code that has been edited since.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ADDRESS = "DUALENC_WARM"  # the environment variable that says where the process listens
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
LATE = ("scipy.optimize", "scipy.stats")  # what most commands do not need and nothing imports before its use


def start() -> None:
    """Start the process, for as long as the calling one lives, and set ``DUALENC_WARM`` for the jobs.

    Does nothing if the variable is set already ("off", say), or where the system cannot do it (not Linux 5.3 or
    later, no room for temporary files).
    """
    if ADDRESS in os.environ:
        return
    try:
        os.close(os.pidfd_open(os.getpid()))
        folder = tempfile.mkdtemp(prefix="dualenc-")  # nobody else may enter it
    except (AttributeError, OSError):
        return
    process = subprocess.Popen(
        [sys.executable, "-X", "utf8", "-P", "-c", "from dualenc import warm; warm.serve()", folder],
        stdin=subprocess.PIPE,  # ends when the calling process does, even by SIGKILL
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.environ[ADDRESS] = os.path.join(folder, "socket")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(process.kill)  # runs before the line above


def run() -> int | None:
    """The exit status of this command's job, done in a fork, or None if this process must do it itself.

    Ends this process by the signal that ended the job, if one did.
    """
    connection = _connect()
    if connection is None:
        return None
    request = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(request)

    def forward(number: int, _: object) -> None:
        with contextlib.suppress(OSError):  # the job has just ended
            connection.sendall(bytes([number]))

    forwarded = [number for number in FORWARDED if signal.getsignal(number) != signal.SIG_IGN]
    for number in forwarded:
        signal.signal(number, forward)
    answer = connection.recv(2, socket.MSG_WAITALL)
    if not answer:
        print("dualenc: the process that watched this job was killed: run again.", file=sys.stderr)
        return 1
    status = int.from_bytes(answer, "big", signed=True)
    if status < 0:
        for number in forwarded:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _connect() -> socket.socket | None:
    address = os.environ.get(ADDRESS)
    if address is None or sys.stderr.isatty():  # libraries decide on progress bars as they are imported
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        imported = os.stat(address).st_mtime
        if any(path.stat().st_mtime > imported for path in Path(__file__).parent.rglob("*.py")):
            return None
        connection.connect(address)
    except OSError:
        return None
    return connection


def serve() -> None:
    """Import the libraries, then fork for each command that connects, until standard input ends.

    Listens on ``socket`` in the folder that is the process's argument, and removes this folder. In a fork it returns,
    too: when the job is done.
    """
    folder = sys.argv[1]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(folder, "socket"))  # its time is that of the imports
        _preload()
        gc.freeze()  # what is shared stays shared: forks do not collect it
        listener.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
        while 0 not in select.select([listener, 0], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                return _keep(connection)
            connection.close()
    shutil.rmtree(folder, ignore_errors=True)


def _preload() -> None:
    """Import all that jobs do, and leave no thread running: a fork would not have it."""
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # pyarrow's
    from dualenc import cli

    cli.print_in_utf_8()
    cli.options(threads=1)  # among other things, OpenBLAS then starts no threads
    for name in LATE:
        importlib.import_module(name)
    for name in ("claims", "figures", "steps", "tables"):
        package = importlib.import_module(f"dualenc.{name}")
        for module in pkgutil.iter_modules(package.__path__, f"dualenc.{name}."):
            importlib.import_module(module.name)


def _keep(connection: socket.socket) -> None:
    """Fork the job, forward signals to it and answer with its exit status. Returns in the job only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()  # one group of this process, the job and whatever that starts
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    request = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    job = os.fork()
    if job == 0:
        connection.close()
        return _do(streams, *request)
    ended = os.pidfd_open(job)
    while ended not in (ready := select.select([ended, connection, 0], [], [])[0]):
        number = b"" if 0 in ready else connection.recv(1)
        if not number:  # the command is gone, or Snakemake
            os.killpg(0, signal.SIGKILL)
        os.kill(job, number[0])
    _, status = os.waitpid(job, 0)
    connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(2, "big", signed=True))
    os._exit(0)


def _do(streams: list[int], arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    from dualenc import cli

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    del os.environ[ADDRESS]  # this process does the job
    sys.argv = arguments
    cli.main()
