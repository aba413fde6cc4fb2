"""Memory of a process that reads batches of many shapes, as trainings do."""

import os
import subprocess
import sys

import pytest

BATCHES = """
import ctypes, dualenc, torch
from dualenc.scorers import models

torch.set_num_threads(1)
model = models.pretraining_model(layers=1, width=64, heads=2, vocabulary=600, max_length=224, pad=0)

def read(lengths):
    for length in lengths:
        ids = torch.full((8, length), 5)
        model.bert(ids).last_hidden_state.square().mean().backward()
    ctypes.CDLL(None).malloc_trim(0)  # what is free, and only the allocator keeps
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

first = read(range(16, 48))
print(read(range(48, 224)) - first)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads a process's memory where Linux shows it")
def test_memory_does_not_grow_with_the_number_of_shapes():
    """Against the library's own number, 1,024 shapes. Fewer than 100 of them drown in the noise of the allocator."""

    def growth(**changes):
        environment = {name: value for name, value in os.environ.items() if name != "ONEDNN_PRIMITIVE_CACHE_CAPACITY"}
        command = [sys.executable, "-c", BATCHES]
        return int(subprocess.run(command, env=environment | changes, check=True, capture_output=True).stdout)

    assert growth() < growth(ONEDNN_PRIMITIVE_CACHE_CAPACITY="1024") / 2
