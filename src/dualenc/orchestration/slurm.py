"""What a profile cannot tell Snakemake's Slurm executor, and what a job's log says about Slurm."""

import socket
from collections.abc import Mapping
from typing import Any

CANCELLED = "SLURM status is: 'CANCELLED"


def leave_cancelled_jobs(scheduler: Any) -> None:
    """Let a job that somebody cancelled end the workflow: ``retries`` are for jobs that failed or ran out of time.

    ``scheduler`` is the workflow's; nothing happens if its executor is not Slurm's.
    """
    executor = scheduler._executor
    report = executor.report_job_error

    def reported(job_info: Any, msg: str | None = None, **about: Any) -> None:
        if msg is not None and CANCELLED in msg:
            job_info.job.attempt = job_info.job.restart_times + 1
            msg += " It was cancelled, so it is not tried again; the next run resumes it."
        report(job_info, msg=msg, **about)

    executor.report_job_error = reported


def about(environment: Mapping[str, str]) -> str:
    """The Slurm job (with its number in an array), the node and the GPUs of a process with this environment."""
    job = environment["SLURM_JOB_ID"]
    if environment.keys() >= {"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"}:
        job = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    node = environment.get("SLURMD_NODENAME") or socket.gethostname()
    return f"Slurm job {job} on {node}, GPUs {environment.get('CUDA_VISIBLE_DEVICES', '')}"
