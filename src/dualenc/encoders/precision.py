"""What an encoder's layers multiply matrices in: float32, or bfloat16 where that is faster on this processor.

Some processors multiply bfloat16 several times as fast as float32, some at the same speed, and some, which have no
instructions for it, a hundred times as slowly. No list of their names stays complete, so a layer of the width in
question is timed, for a second or so, and what was chosen is kept in the user's cache: all jobs on a machine
calculate alike, even after an interruption.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertLayer

from dualenc.runtime.files import read_json
from dualenc.runtime.provenance import processor

WIDE = 128  # narrower layers gain at most a third, and their scores would depend on the batch in the third digit
FASTER = 1.2  # times: from here on bfloat16 is worth its rounding, and noise does not decide
TEXTS, LENGTH = 16, 64  # of a measurement: with a quarter of it, bfloat16 seems to gain nothing at a width of 128
EMULATED = 2.0  # times the time of a product in float32: from here on, layers are not even tried in bfloat16
TURNS = 3


class Way(NamedTuple):
    """How layers calculate: in bfloat16 or not, and with fused attention ("sdpa") or plain products ("eager")."""

    bfloat16: bool
    attention: str


WAYS = {
    "float32": Way(False, "sdpa"),
    "bfloat16": Way(True, "sdpa"),
    # The backward pass of the fused attention may take a third of a step, that of plain products a tenth.
    "bfloat16, plain attention": Way(True, "eager"),
}


class Choice(BaseModel):
    """What the file of a choice must contain."""

    way: str


def way(width: int, *, training: bool) -> str:
    """The key of ``WAYS`` by which layers of a width are fastest on this device, in training or in scoring.

    float32 below a width of ``WIDE``. On a GPU that has bfloat16 it is bfloat16 at any width.
    """
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return _chosen(width, training) if width >= WIDE else "float32"


@cache
def _chosen(width: int, training: bool) -> str:
    about = {"processor": processor(), "torch": torch.__version__, "width": width, "training": training}
    about |= {"ways": list(WAYS), "texts": TEXTS, "length": LENGTH}
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "dualenc", "precision")
    path = folder / f"{hashlib.md5(json.dumps(about).encode()).hexdigest()}.json"
    if path.exists():
        return read_json(path, Choice)["way"]
    seconds = measure(width, training)
    chosen = fastest(seconds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8") as file:
            json.dump({"way": chosen, "seconds": seconds, **about}, file)
            file.flush()
            with suppress(FileExistsError):  # another job was first: its choice counts
                os.link(file.name, path)
    except OSError:  # not writable: then each process measures
        return chosen
    return read_json(path, Choice)["way"]


def fastest(seconds: dict[str, float]) -> str:
    """The quickest of the ``WAYS``, or float32 if that is not ``FASTER`` times as slow. ``seconds`` may lack some."""
    best = min(seconds, key=seconds.get)
    return best if seconds["float32"] >= FASTER * seconds[best] else "float32"


def measure(width: int, training: bool) -> dict[str, float]:
    """Seconds, by each of the ``WAYS``, that one core takes for a batch with one layer: the least of several turns.

    Without those in bfloat16 if a single product takes ``EMULATED`` times as long in it: layers would take a minute.
    Jobs side by side must not decide: on a busy machine, threads that wait for each other all take equally long. So one
    thread works, and only its own time counts.
    """
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(0)
        states, weights = torch.randn(TEXTS * LENGTH, width), torch.randn(width, width)
        exact, rounded = (
            min(_seconds(partial(torch.matmul, states.to(dtype), weights.to(dtype))) for _ in range(TURNS))
            for dtype in (torch.float32, torch.bfloat16)
        )
        ways = [name for name, one in WAYS.items() if not one.bfloat16 or rounded < EMULATED * exact]
        calls = {name: _layer(width, WAYS[name], training) for name in ways}
        for call in calls.values():
            call()
        taken = [{name: _seconds(call) for name, call in calls.items()} for _ in range(TURNS)]
    return {name: min(turn[name] for turn in taken) for name in ways}


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _layer(width: int, how: Way, training: bool) -> Callable[[], None]:
    config = BertConfig(
        hidden_size=width,
        num_attention_heads=max(1, width // 64),
        intermediate_size=4 * width,
        attn_implementation=how.attention,
    )
    layer = BertLayer(config).train(training)
    states = torch.randn(TEXTS, LENGTH, width, requires_grad=training)

    def read() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=how.bfloat16), torch.set_grad_enabled(training):
            output = layer(states)
        if training:
            output.float().sum().backward()

    return read


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start
