"""Processes that train together: the loss, the weights and the files are those of one process."""

import json
import os
import signal
import socket
import time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

import tiny_study
from dualenc.data.runs import read_run
from dualenc.scorers import distributed
from processes import CONTEXT, run, start
from tiny_study import experiment

STEPS = {"steps": 10, "evaluate_every": 5, "dropout": 0.0, "patience": 99, "learning_rate": 3e-4}
MORE = {"in_batch": True, "uniform": 3}  # negatives from the other process, too
KINDS = {
    "cross-attention": {"model": "cross-attention"},
    "dual-encoder": {"model": "dual-encoder", "mlm_weight": 0.3, "token_dropout": 0.2, **MORE},
    "late-interaction": {"model": "late-interaction", **MORE},
    "learned-sparse": {"model": "learned-sparse", "sparsity": 1e-3, **MORE},
}


def train(tiny, root, about, processes, log):
    """The folder of a model that so many processes have trained."""
    output = root / "run" / "seed-1"
    command = tiny_study.train_command(tiny, about, root / "scratch", output)
    status = run([*command, "--processes", processes], log)
    assert status == 0, log.read_text(encoding="utf-8")
    return output


def rerank(tiny, root, kind, model, processes, log):
    """The folder of the runs that so many processes have made with a model."""
    command = tiny_study.rerank_command(tiny, kind, model, root / "scratch", root / "runs")
    status = run([*command, "--processes", processes], log)
    assert status == 0, log.read_text(encoding="utf-8")
    return root / "runs"


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one(tiny, tmp_path, kind):
    about = experiment(**STEPS | KINDS[kind])
    folders = [train(tiny, tmp_path / str(count), about, count, tmp_path / "log") for count in (1, 2)]
    one, two = (pd.read_csv(folder / "curve.csv") for folder in folders)
    assert one[["step", "split", "metric"]].equals(two[["step", "split", "metric"]])
    losses = one.metric == "loss"
    assert losses.sum() == 10
    # Processes add up in another order; scores of learned sparse vectors are sums over the whole vocabulary.
    rounding = 1e-5 if kind == "learned-sparse" else 1e-6
    np.testing.assert_allclose(two.value[losses], one.value[losses], rtol=rounding, atol=1e-6)
    for path in folders[0].glob("model/**/*.safetensors"):
        weights, others = load_file(path), load_file(folders[1] / path.relative_to(folders[0]))
        for name, weight in weights.items():
            # Without influence, one on attention, one on a softmax over a list: their gradients are rounding.
            if name.endswith(("key.bias", "classifier.bias")):
                continue
            apart = np.abs(others[name] - weight)
            # Adam makes steps of full size of gradients next to nothing, whatever their rounding.
            assert np.mean(apart < 1e-6) > 0.999 and apart.max() < 1e-5, name
    assert json.loads((folders[1] / "provenance.json").read_text(encoding="utf-8"))["processes"] == 2
    assert sorted(path.name for path in folders[1].iterdir()) == sorted(path.name for path in folders[0].iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_rerank_as_one(tiny, trained, tmp_path, kind):
    model = trained[kind] / "model"
    one, two = (rerank(tiny, tmp_path / str(n), kind, model, n, tmp_path / "log") for n in (1, 2))
    for split in ("train", "test"):
        found, expected = (read_run(folder / f"{split}.run.gz") for folder in (two, one))
        assert found.keys() == expected.keys()
        for qid, ranking in expected.items():
            scores = dict(zip(*ranking, strict=True))
            assert dict(zip(*found[qid], strict=True)) == pytest.approx(scores, rel=1e-5, abs=1e-5)


ROWS = torch.arange(21.0, dtype=torch.float64).sin().view(7, 3)  # of which the second process has one less


def loss_of(scores):
    """One that a row's score enters together with others."""
    return (scores.outer(scores).tril() - 1).square().sum()


def gradient(rank, address, out):
    """The mean over the processes of the gradients, as the trainer takes it, in one of two processes."""
    about = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": address}
    os.environ.update({name: str(value) for name, value in about.items()})
    distributed.join(2)
    weight = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    scores = distributed.gather(ROWS[distributed.share(len(ROWS))] @ weight)
    loss_of(scores).backward()
    torch.distributed.all_reduce(weight.grad)
    out.put((rank, scores.tolist(), (weight.grad / 2).tolist()))
    distributed.leave()


def test_gathered_rows_have_the_gradient_of_one_process():
    weight = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    loss_of(ROWS @ weight).backward()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()[1]
    out = CONTEXT.Queue()
    processes = [CONTEXT.Process(target=gradient, args=(rank, address, out)) for rank in range(2)]
    for process in processes:
        process.start()
    for _, scores, found in (out.get(timeout=60) for _ in processes):
        np.testing.assert_allclose(scores, (ROWS @ weight).tolist(), rtol=1e-12)
        np.testing.assert_allclose(found, weight.grad.tolist(), rtol=1e-12)


@pytest.mark.long
def test_a_killed_group_goes_on_and_ends_with_the_same_bits(tiny, tmp_path):
    about = experiment(**STEPS | {"steps": 60, "evaluate_every": 10, "dropout": 0.1, "in_batch": True})
    whole = train(tiny, tmp_path / "whole", about, 2, tmp_path / "log")
    scratch, output = tmp_path / "scratch", tmp_path / "killed" / "run" / "seed-1"
    command = [*tiny_study.train_command(tiny, about, scratch, output), "--processes", 2]
    launcher = start(command, tmp_path / "log")
    while launcher.is_alive() and not list(scratch.glob("*/checkpoint-*/whole")):
        time.sleep(0.01)
    os.kill(launcher.pid, signal.SIGKILL)  # of which the others learn from the system alone
    launcher.join()
    end = time.monotonic() + 60
    while run(command, tmp_path / "log") == 2:  # until the lock of the killed is free
        assert time.monotonic() < end, (tmp_path / "log").read_text(encoding="utf-8")
    for name in ("model/model.safetensors", "curve.csv"):
        assert (output / name).read_bytes() == (whole / name).read_bytes(), name


def test_several_nodes_are_a_slurm_job(tiny, tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    command = tiny_study.train_command(tiny, experiment(), tmp_path / "scratch", tmp_path / "out" / "seed-1")
    assert run([*command, "--processes", 2, "--nodes", 2], tmp_path / "log") == 2
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert log.startswith("dualenc: training on 2 nodes has to be a Slurm job")
