"""How fast encoders train and score on this device: the rates that `dualenc plan` divides arithmetic by.

    python benchmarks/throughput.py --widths 24,64 --layers 3 --length 48 --tokens 2048 --hardware "one core of ..."

Random weights and random tokens, through the project's own batches and models; operations are counted as in
`dualenc.orchestration.plan`. Appends to throughput.json, or replaces the entry of the same hardware.
"""

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from dualenc.encoders import precision
from dualenc.runtime.files import read_json, write_json
from dualenc.scorers.models import device, pretraining_model

RESULTS = Path(__file__).parent / "throughput.json"


def main(
    widths: Annotated[str, typer.Option(help="comma-separated")],
    layers: Annotated[int, typer.Option(min=1)],
    length: Annotated[int, typer.Option(min=3, help="tokens of a text")],
    tokens: Annotated[int, typer.Option(min=1, help="tokens of a batch")],
    hardware: Annotated[str, typer.Option(help="what this device is called in the plan")],
    seconds: Annotated[float, typer.Option(min=0, help="of each measurement")] = 5.0,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    vocabulary: Annotated[int, typer.Option(min=6)] = 8192,
    seconds_per_job: Annotated[
        float, typer.Option(min=0, help="that a job takes in addition to its arithmetic; not measured")
    ] = 3.0,
) -> None:
    """Measure each width, in training and in scoring."""
    wrong = next((one for one in widths.split(",") if not re.fullmatch("[1-9][0-9]*", one)), None)
    if wrong is not None:
        raise typer.BadParameter(f"--widths: {wrong!r} is not a whole number from 1, such as 64.")
    if tokens < length:
        raise typer.BadParameter(f"--tokens {tokens} has no room for a text of --length {length}.")
    torch.set_num_threads(threads)
    rates = []
    for width in map(int, widths.split(",")):
        heads = max(1, width // 64)
        shape = {"layers": layers, "width": width, "heads": heads, "vocabulary": vocabulary}
        bert = pretraining_model(**shape, max_length=length, pad=0).bert.to(device())
        texts = np.random.default_rng(1).integers(5, vocabulary, (tokens // length, length))
        ids = torch.from_numpy(texts).to(device())
        operations = ids.numel() * layers * (24 * width**2 + 4 * length * width)
        trained = 3 * operations / seconds_per_call(partial(train, bert, ids), seconds)
        scored = operations / seconds_per_call(partial(score, bert, ids), seconds)
        rates.append({"width": width, "training": trained, "scoring": scored})
        print(rates[-1], flush=True)
    about = {"hardware": hardware, "gpu": torch.cuda.is_available(), "date": time.strftime("%Y-%m-%d")}
    about |= {"torch": torch.__version__, "layers": layers, "length": length, "tokens": tokens, "threads": threads}
    about["seconds_per_job"] = seconds_per_job
    about["rates"] = rates
    others = [one for one in (read_json(RESULTS) if RESULTS.exists() else []) if one["hardware"] != hardware]
    write_json(RESULTS, [*others, about])


def train(bert: torch.nn.Module, ids: torch.Tensor) -> None:
    """Forward and backward pass, as a training step calculates them."""
    bert.train()
    with _way(bert, training=True):
        bert(input_ids=ids).last_hidden_state[:, 0].float().square().mean().backward()
    bert.zero_grad()
    if ids.is_cuda:
        torch.cuda.synchronize()


def score(bert: torch.nn.Module, ids: torch.Tensor) -> None:
    """Forward pass, as scores are calculated."""
    bert.eval()
    with torch.inference_mode(), _way(bert, training=False):
        bert(input_ids=ids)
    if ids.is_cuda:
        torch.cuda.synchronize()


def _way(bert: torch.nn.Module, *, training: bool) -> torch.autocast:
    how = precision.WAYS[precision.way(bert.config.hidden_size, training=training)]
    bert.set_attn_implementation(how.attention)
    return torch.autocast(bert.device.type, torch.bfloat16, enabled=how.bfloat16)


def seconds_per_call(call: Callable[[], None], seconds: float) -> float:
    """Mean seconds of a call, after two calls that do not count."""
    call()
    call()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        call()
        count += 1
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    typer.run(main)
