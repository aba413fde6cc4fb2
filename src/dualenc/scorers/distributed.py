"""The processes that train or score with one model together, each with a share of the work; usually there is one.

`dualenc.runtime.launch` starts them. All functions are no-ops for one process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed

from dualenc.runtime import states

Value = TypeVar("Value")
PATIENCE = timedelta(days=2)  # of a process that waits for others, which may score alone for hours


def join(processes: int) -> None:
    """Meet the other processes, ``processes`` with this one. Each takes a GPU, if there are any."""
    if processes == 1:
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)


def leave() -> None:
    """Part from the others."""
    if size() > 1:
        distributed.destroy_process_group()


def size() -> int:
    """The number of processes."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process among them, from 0."""
    return distributed.get_rank() if size() > 1 else 0


def first() -> bool:
    """Whether this is the process that writes what is written once."""
    return rank() == 0


def wait() -> None:
    """Wait until all processes are here."""
    if size() > 1:
        distributed.barrier()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a state folder, as `dualenc.runtime.states.locked`, for all processes that work together."""
    with states.locked(folder) if first() else nullcontext():
        wait()
        yield


def broadcast(value: Value) -> Value:
    """What the first process has for ``value``."""
    if size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def share(count: int) -> slice:
    """The rows of ``count`` that are this process's; the last process may have fewer than the others."""
    each = -(-count // size())
    return slice(min(count, rank() * each), min(count, (rank() + 1) * each))


def gather(own: Tensor) -> Tensor:
    """The rows of all processes, of which ``own`` are this one's ``share``; they are differentiable in ``own``.

    Each process computes the same loss from them, and the trainer takes the mean of the processes' gradients, each of
    which only has the part that goes through its own rows: so these are multiplied by the number of processes.
    """
    return own if size() == 1 else _Gather.apply(own)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        total = torch.tensor(len(own), device=own.device)
        distributed.all_reduce(total)
        count = int(total)
        each = -(-count // size())
        padded = own.new_zeros((each, *own.shape[1:]))
        padded[: len(own)] = own
        rows = [torch.empty_like(padded) for _ in range(size())]
        distributed.all_gather(rows, padded)
        ctx.own = share(count)
        return torch.cat(rows)[:count]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient[ctx.own] * size()
