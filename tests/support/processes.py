"""The command line in processes that may be killed, forked from a server that has imported torch once."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "dualenc.cli", "dualenc.steps.train", "dualenc.steps.pretrain"])


def start(arguments: Sequence[object], log: Path, kill: tuple[str, int] | None = None) -> BaseProcess:
    """Start ``dualenc <arguments>``; what it prints goes to ``log``.

    ``kill`` = (hook, step) has it killed by SIGKILL at the start of a trainer's hook (``on_step_end``,
    ``on_save``) at that step.
    """
    process = CONTEXT.Process(target=_main, args=([str(argument) for argument in arguments], log, kill))
    process.start()
    return process


def run(arguments: Sequence[object], log: Path, kill: tuple[str, int] | None = None) -> int:
    """The exit status of ``dualenc <arguments>``: -9 if it was killed."""
    process = start(arguments, log, kill)
    process.join()
    return process.exitcode


def _main(arguments: list[str], log: Path, kill: tuple[str, int] | None) -> None:
    from dualenc import cli

    with open(log, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if kill is not None:
        _kill_at(*kill)
    sys.argv = ["dualenc", *arguments]
    cli.main()


def _kill_at(hook: str, step: int) -> None:
    from dualenc.training.resumable import MarkWhole

    original = getattr(MarkWhole, hook)

    def killed(self, args, state, control, **kwargs):
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, args, state, control, **kwargs)

    setattr(MarkWhole, hook, killed)
