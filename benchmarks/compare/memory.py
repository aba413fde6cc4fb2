"""How many texts a training step may have on this device, by the size of the model, and what memory they hold.

    python benchmarks/compare/memory.py                              # the paper's sizes, passages of 200 tokens
    python benchmarks/compare/memory.py --shapes 2x128 --most 64     # a try

A step holds what it needs of all its texts until its end, so what limits it is their number and not
``tokens_per_batch``. Texts are doubled until memory is full, or there are ``--most`` of them. What was measured on this
device is kept in ``benchmarks/memory.json`` and not measured again, so a run that was stopped goes on where it was.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated

import harness
import torch
import typer
import workload

from dualenc.encoders import precision
from dualenc.runtime import provenance
from dualenc.runtime.files import read_json, write_json
from dualenc.runtime.progress import reported
from dualenc.scorers import models

RESULTS = Path(__file__).parents[1] / "memory.json"
FIRST = 16  # texts


def main(
    shapes: Annotated[str, typer.Option(help="comma-separated, layers x width")] = "2x128,6x384,6x768,12x768",
    length: Annotated[int, typer.Option(min=3, help="tokens of a text")] = 200,
    tokens: Annotated[int, typer.Option(min=1, help="tokens_per_batch")] = 65536,
    most: Annotated[int, typer.Option(min=FIRST, help="texts of a step")] = 1 << 14,
    results: Annotated[Path, typer.Option(help="file of what was measured")] = RESULTS,
) -> None:
    """Measure each shape that this device was not measured for."""
    wrong = next((one for one in shapes.split(",") if not re.fullmatch("[1-9][0-9]*x[1-9][0-9]*", one)), None)
    if wrong is not None:
        raise typer.BadParameter(f"--shapes: {wrong!r} is not of the form 6x384, layers x width.")
    if tokens < length:
        raise typer.BadParameter(f"--tokens {tokens} has no room for a text of --length {length}.")
    known = read_json(results) if results.exists() else []
    about = {"hardware": provenance.processor(), "length": length, "tokens": tokens}
    wanted = [tuple(map(int, one.split("x"))) for one in shapes.split(",")]
    for layers, width in reported(wanted, "memory", "shapes", len(wanted)):
        mine = about | {"layers": layers, "width": width}
        if any(mine.items() <= entry.items() for entry in known):
            continue
        for texts, mib, seconds in steps(layers, width, length, tokens, most):
            known.append(mine | {"texts": texts, "mib": round(mib), "seconds": float(f"{seconds:.3g}")})
            print(f"{layers} x {width}, {texts:,} texts: {mib:,.0f} MiB, {seconds:.3g} s a step", flush=True)
        write_json(results, known)


def steps(layers: int, width: int, length: int, tokens: int, most: int) -> Iterator[tuple[int, float, float]]:
    """(texts, MiB, seconds) of training steps of ever more texts, up to the last that fits."""
    shape = {"layers": layers, "width": width, "heads": max(1, width // 64), "vocabulary": workload.VOCABULARY}
    bert = models.pretraining_model(**shape, max_length=length, pad=0).bert.to(models.device())
    way = precision.WAYS[precision.way(width, training=True)]
    bert.set_attn_implementation(way.attention)
    optimiser = torch.optim.AdamW(bert.parameters(), fused=True)

    def step(ids: torch.Tensor) -> None:
        outputs = []
        for part in ids.split(max(1, tokens // length)):
            with torch.autocast(part.device.type, torch.bfloat16, enabled=way.bfloat16):
                outputs.append(bert(input_ids=part).last_hidden_state[:, 0].float())
        torch.cat(outputs).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        workload.synchronise()

    step(
        torch.randint(5, workload.VOCABULARY, (1, length), device=models.device())
    )  # the optimiser's state is there from now on
    texts = FIRST
    while texts <= most:
        ids = torch.randint(5, workload.VOCABULARY, (texts, length), device=models.device())
        try:
            mib = harness.peak(partial(step, ids)) or 0.0
            start = perf_counter()
            step(ids)
        except torch.cuda.OutOfMemoryError:
            return
        yield texts, mib, perf_counter() - start
        texts *= 2


if __name__ == "__main__":
    typer.run(main)
