"""What several tests share: one thread for each process, and a tiny study that is built once."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, here and in the processes that tests start

import pytest

import tiny_study


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of a tiny real study (see ``tiny_study.build``); tests leave it as it is."""
    return tiny_study.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def trained(tiny):
    """The folder of a trained model of each kind, with its runs."""
    kinds = ["cross-attention", "dual-encoder", "late-interaction"]
    return {kind: tiny_study.train(tiny, tiny / kind, tiny_study.experiment(model=kind)) for kind in kinds}
