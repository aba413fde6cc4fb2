"""A real Slurm on this machine for the time of a test: munged, slurmctld and a slurmd for each node.

Needs root and the Debian packages slurmctld, slurmd, slurm-client and munge; no systemd, no database, no cgroups. The
GPUs are null devices: Slurm counts and hands them out as it does real ones.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
# Where Slurm looks when it is told nothing: in a job Snakemake removes every variable that might tell it.
CONFIGURATION = Path("/etc/slurm")
NULL = os.makedev(1, 3)

SLURM_CONF = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=1,batch_sched_delay=0
MinJobAge=3600
KillWait=2
GresTypes=gpu
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=64000 Gres=gpu:{gpus}"


def missing() -> str | None:
    """Why no Slurm can be started here, or None."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"Slurm is not installed: {', '.join(absent)} missing"
    if os.geteuid() != 0:
        return "only root can start a Slurm"
    configured = CONFIGURATION / "slurm.conf"
    if configured.exists() and not configured.is_symlink():
        return f"this machine has a Slurm: {configured}"
    return None


@contextmanager
def running(*, nodes: int, cpus: int, gpus: int) -> Iterator[None]:
    """Run Slurm; each node has so many CPUs, which it need not really have, and GPUs."""
    folder = Path(tempfile.mkdtemp(prefix="local-slurm-"))
    folder.chmod(0o755)  # munged wants its socket to be everybody's
    host = socket.gethostname().split(".")[0]
    names = [f"node{number}" for number in range(1, nodes + 1)]
    for name in ("state", "munge", "devices"):
        (folder / name).mkdir(parents=True, mode=0o755)
    for number in range(gpus):
        os.mknod(folder / "devices" / f"gpu{number}", 0o666 | 0o020000, NULL)
    key = folder / "munge" / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    about = [
        NODE.format(name=name, host=host, port=16818 + number, cpus=cpus, gpus=gpus)
        for number, name in enumerate(names)
    ]
    devices = f"{folder}/devices/gpu[0-{gpus - 1}]" if gpus > 1 else f"{folder}/devices/gpu0"
    files = {
        "slurm.conf": "\n".join([SLURM_CONF.format(host=host, folder=folder), *about, ""]),
        "gres.conf": "".join(f"NodeName={name} Name=gpu File={devices}\n" for name in names),
    }
    CONFIGURATION.mkdir(exist_ok=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            link = CONFIGURATION / name
            link.unlink(missing_ok=True)
            link.symlink_to(folder / name)
            stack.callback(link.unlink, missing_ok=True)
        munge = [f"--{what}={folder}/munge/{what}" for what in ("socket", "pid-file", "log-file", "seed-file")]
        stack.enter_context(_daemon(folder, "munged", "--foreground", f"--key-file={key}", *munge))
        _until(lambda: (folder / "munge" / "socket").exists(), folder)
        stack.enter_context(_daemon(folder, "slurmctld", "-D", "-c"))
        for name in names:
            (folder / f"spool-{name}").mkdir()
            stack.enter_context(_daemon(folder, "slurmd", "-D", "-N", name))
        states = ("sinfo", "--noheader", "--Node", "--partition=cpu", "--format=%T")
        _until(lambda: output(*states).split() == ["idle"] * nodes, folder)
        stack.callback(_end_jobs)
        yield


@contextmanager
def _daemon(folder: Path, *command: str) -> Iterator[None]:
    with (
        open(folder / f"{command[0]}-{command[-1].lstrip('-').partition('=')[0]}.log", "w", encoding="utf-8") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _until(condition: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            logs = "\n".join(
                f"{path.name}: {path.read_text(encoding='utf-8')[-1500:]}" for path in folder.glob("*.log")
            )
            raise RuntimeError(f"Slurm does not start\n{logs}")
        time.sleep(0.1)


def _end_jobs() -> None:
    """Cancel all jobs and wait until none runs."""
    subprocess.run(["scancel", "--user=root"], check=False)
    end = time.monotonic() + 15
    while output("squeue", "--noheader").strip() and time.monotonic() < end:
        time.sleep(0.2)


def output(*command: str) -> str:
    """What one of Slurm's commands prints."""
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout
