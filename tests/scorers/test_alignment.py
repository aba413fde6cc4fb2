"""The same numbers give the same bits, wherever they lie in memory."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from dualenc.retrieval import dense
from dualenc.scorers import models, reading, scoring

SHIFTS = range(16)  # in floats: all places within a cache line
FRESH = """
import os
import dualenc.{module}
import torch
numbers = torch.randn(300 * 32 + 16, generator=torch.Generator().manual_seed(1))
texts, weights = numbers[:300 * 32].view(300, 32).clone(), numbers[:32].view(1, 32).clone()
def moved(shift):
    place = torch.empty(300 * 32 + 16)[shift:shift + 300 * 32].view(300, 32)
    return place.copy_(texts)
bits = {{torch.nn.functional.linear(moved(shift), weights).numpy().tobytes() for shift in range(16)}}
print(os.environ["MKL_CBWR"], len(bits))
"""


def moved(tensor, shift):
    """A copy that begins ``shift`` floats after a multiple of 64 bytes."""
    room = torch.empty(tensor.numel() + 32)
    start = (-room.data_ptr() // 4) % 16 + shift
    return room[start : start + tensor.numel()].view(tensor.shape).copy_(tensor)


@pytest.mark.parametrize("kind", models.MODULES)
def test_scores_do_not_change_with_the_place_of_the_weights(kind, tiny, trained):
    texts = reading.texts(tiny / "tokens", "test", 4096)
    rows = np.arange(7)
    model, found = models.load(trained[kind] / "model", kind), set()
    for shift in SHIFTS:
        for parameter in model.parameters():
            parameter.data = moved(parameter.data, shift)
        found.add(scoring.score(model, texts, np.zeros_like(rows), rows).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize(("texts", "outputs"), [(7, 1), (300, 1), (300, 2), (300, 32)])
def test_products_do_not_change_with_the_place_of_the_texts(texts, outputs):
    numbers = torch.Generator().manual_seed(1)
    vectors, weights = torch.randn(texts, 32, generator=numbers), torch.randn(outputs, 32, generator=numbers)
    products = [torch.nn.functional.linear(moved(vectors, shift), weights) for shift in SHIFTS]
    assert all(torch.equal(products[0], other) for other in products[1:])


def test_search_does_not_change_with_the_place_of_the_embeddings():
    numbers = torch.Generator().manual_seed(1)
    queries, passages = torch.randn(3, 32, generator=numbers), torch.randn(500, 32, generator=numbers)
    found = [dense.search(moved(queries, s).numpy(), iter([moved(passages, s).numpy()]), 10) for s in SHIFTS]
    assert len({scores.tobytes() for scores, _ in found}) == 1


@pytest.mark.parametrize("module", ["scorers.models", "warm", "training.trainer"])
def test_every_way_into_the_package_says_it_to_mkl_in_time(module):
    """In a process that nobody has told: a person's own script, Snakemake, a benchmark."""
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    done = subprocess.run(
        [sys.executable, "-c", FRESH.format(module=module)],
        **{"env": environment, "capture_output": True, "text": True, "encoding": "utf-8", "check": True},
    )
    assert done.stdout.split() == ["AUTO", "1"]
