"""What several tests share: one thread for each process, a tiny study that is built once, and small disks."""

import os
import subprocess

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, here and in the processes that tests start

import pytest

import tiny_study
from dualenc.study.kinds import KINDS

# With several workers (``-n``) the last ones end together if the longest come first.
LONGEST = ("test_slurm.py", "test_faults.py", "workflow")


def pytest_collection_modifyitems(items):
    """The longest tests first."""

    def rank(item):
        return next((rank for rank, name in enumerate(LONGEST) if name in item.path.parts), len(LONGEST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of a tiny real study (see ``tiny_study.build``); tests leave it as it is."""
    return tiny_study.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def trained(tiny):
    """The folder of a trained model of each kind, with its runs."""
    return {kind: tiny_study.train(tiny, tiny / kind, tiny_study.experiment(model=kind)) for kind in KINDS}


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts an empty disk of so many bytes (whole pages)."""
    mounted = []

    def mount(size):
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)
