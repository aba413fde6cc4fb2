"""Starting the processes that train one model together, on one machine or on the nodes of a Slurm job."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from dualenc.runtime.errors import UserError

PORT = "DUALENC_PORT"  # the environment variable with the port at which the processes of several nodes meet
OF_A_STEP = ("SLURM_LAUNCH_NODE_IPADDR", "SLURM_JOB_ID", "SLURM_NODEID")
MOST = 1024  # processes on a node; a typo would start any number
PARENT_DEATH = 1  # PR_SET_PDEATHSIG


def run(processes: int, nodes: int, threads: int, command: Sequence[str]) -> int | None:
    """The exit status of ``dualenc <command>`` by ``processes`` on ``nodes``; None if this process is to do it.

    It is if there is only one, and it is in each of several once they are started. Raises ``UserError`` if there are
    several nodes outside of a Slurm job, or a number of processes that they cannot share or that is far too large.
    """
    if processes % nodes:
        raise UserError(f"--processes {processes} cannot be spread over --nodes {nodes}: give a multiple of {nodes}.")
    if processes // nodes > MOST:
        raise UserError(f"--processes {processes} is more than {MOST} on a node: give fewer.")
    if processes == 1:
        return None
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _end_with_parent()
        return None
    if nodes > 1 and PORT not in os.environ:
        return _on_each_node(nodes, threads, command)
    return _on_this_node(processes // nodes, nodes, command)


def _end_with_parent() -> None:
    """A process whose launcher was killed holds the state's lock against the next attempt, so it has to end as well."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)


def _on_each_node(nodes: int, threads: int, command: Sequence[str]) -> int:
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError(f"training on {nodes} nodes has to be a Slurm job: set nodes to 1, or use --profile slurm.")
    with socket.socket() as free:
        free.bind(("", 0))
        environment = os.environ | {PORT: str(free.getsockname()[1])}
    step = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={threads}"]
    try:
        return subprocess.call([*step, sys.executable, "-m", "dualenc", *command], env=environment)
    except FileNotFoundError:
        raise UserError(f"training on {nodes} nodes needs srun, which is not in PATH: set nodes to 1.") from None


def _on_this_node(processes: int, nodes: int, command: Sequence[str]) -> int:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if nodes == 1:
        meeting = {"rdzv_endpoint": "localhost:0", "local_addr": "localhost", "run_id": f"process-{os.getpid()}"}
    else:  # srun runs on the first node of a job
        missing = [name for name in OF_A_STEP if name not in os.environ]
        if missing:
            raise UserError(f"{PORT} is set, but {missing[0]} is not, as it is in a step of a Slurm job: unset {PORT}.")
        host = os.environ["SLURM_LAUNCH_NODE_IPADDR"]
        meeting = {"rdzv_endpoint": f"{host}:{os.environ[PORT]}", "run_id": os.environ["SLURM_JOB_ID"]}
        meeting["rdzv_configs"] = {"is_host": os.environ["SLURM_NODEID"] == "0"}
    about = LaunchConfig(
        min_nodes=nodes, max_nodes=nodes, nproc_per_node=processes, max_restarts=0, rdzv_backend="c10d", **meeting
    )
    try:
        elastic_launch(about, sys.executable)("-m", "dualenc", *command)
    except ChildFailedError as error:
        statuses = [failure.exitcode for failure in error.failures.values()]
        return next((status for status in statuses if status > 0), 1)
    except SignalException as error:
        return 128 + error.sigval
    return 0
