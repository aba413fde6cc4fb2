"""Training that is killed by SIGKILL, again and again, ends as if it had not been."""

import random
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import tiny_study
from dualenc.runtime.errors import UserError
from dualenc.runtime.states import state_folder
from dualenc.scorers import distributed
from dualenc.training import resumable
from dualenc.training.resumable import WHOLE
from processes import run, start
from tiny_study import experiment, pretraining

KILLED = -9


def test_the_state_folder_changes_with_all_that_decides_the_result(tmp_path):
    files = [tmp_path / name for name in ("lists", "tokens", "training.py", "losses.py")]
    for number, path in enumerate(files):
        path.write_text(str(number), encoding="utf-8")
    parameters = {"steps": 10, "experiment": {"loss": "m3se", "temperature": 1.0}}

    def folder(parameters=parameters):
        return state_folder(tmp_path / "scratch", parameters, files[:2], files[2:])

    first = folder()
    assert first == folder() and first.parent == tmp_path / "scratch" and not first.exists()
    assert first == folder({"experiment": {"temperature": 1.0, "loss": "m3se"}, "steps": 10})
    seen = {first, folder(parameters | {"steps": 11}), folder(parameters | {"seed": 1})}
    seen.add(folder({"steps": 10, "experiment": {"loss": "m3se", "temperature": 1.5}}))
    for path in files:
        path.write_text(path.read_text(encoding="utf-8") + " changed", encoding="utf-8")
        seen.add(folder())
    assert len(seen) == 4 + len(files)


def test_positions_visit_every_row_before_any_comes_again():
    found = resumable.positions(25, 10, 3)
    assert len(found) == 25
    assert sorted(found[:10]) == sorted(found[10:20]) == list(range(10)) and len(set(found[20:])) == 5
    assert found[:10].tolist() != found[10:20].tolist() != list(range(10))
    np.testing.assert_array_equal(resumable.positions(12, 10, 3), found[:12])
    assert resumable.positions(25, 10, 4).tolist() != found.tolist()


@pytest.mark.parametrize("every", [1, 4, 5, 7, 10, 13, 40, 100, 1000])
def test_no_checkpoint_stands_within_a_mean_of_losses(tmp_path, every):
    optimiser = {"learning_rate": 1e-3, "weight_decay": 0.0, "warmup": 0.1}
    found = resumable.arguments(tmp_path, steps=60, batch_size=4, evaluate_every=every, seed=1, **optimiser)
    assert found["save_steps"] == found["eval_steps"] == min(every, 60) and found["warmup_steps"] == 6
    assert found["save_steps"] % found["logging_steps"] == 0


def test_the_curve_is_made_of_the_known_entries_of_the_log():
    log = [
        {"step": 0, "eval_a": 0.5, "eval_runtime": 3.0},
        {"step": 2, "loss": 1.5, "grad_norm": 2.0},
        {"step": 4, "eval_a": 0.75, "epoch": 0.1},
    ]
    expected = [(0, "test", "MRR", 0.5), (2, "train", "loss", 1.5), (4, "test", "MRR", 0.75)]
    assert resumable.curve(log, {"eval_a": ("test", "MRR")}) == expected


def test_one_trainer_at_a_time(tiny, tmp_path):
    scratch, output = tmp_path / "scratch", tmp_path / "out"
    command = tiny_study.pretrain_command(tiny, pretraining(), scratch, output)
    assert run(command, tmp_path / "log", kill=("on_step_end", 1)) == KILLED
    (state,) = scratch.iterdir()  # its lock went with the process
    with distributed.locked(state):
        assert run(command, tmp_path / "log") == 2
        message = (tmp_path / "log").read_text(encoding="utf-8")
        assert message == f"dualenc: another process is doing this work in {state}: wait for it or stop it.\n"
        with pytest.raises(UserError, match="another process is doing this work in"), distributed.locked(state):
            pass
    with distributed.locked(state):
        pass
    assert not output.exists()


def files(folder, names):
    return {name: (folder / name).read_bytes() for name in names}


TRAINED = ["model/model.safetensors", "model/3_LayerNorm/model.safetensors", "curve.csv"]
PRETRAINED = ["model.safetensors", "curve.csv", "metrics.json"]
STEPS = {"steps": 100, "evaluate_every": 20}
DRAWN = {"token_dropout": 0.2, "mlm_weight": 0.1, "in_batch": True, "uniform": 5}  # all that is drawn in a training
KINDS = {
    "train": (tiny_study.train_command, experiment(**STEPS, **DRAWN, patience=99), TRAINED),
    "pretrain": (tiny_study.pretrain_command, pretraining(**STEPS), PRETRAINED),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_training_ends_as_an_uninterrupted_one(tiny, tmp_path, kind):
    make, parameters, names = KINDS[kind]
    uninterrupted, output = (
        tmp_path / "uninterrupted" / "run" / "seed-1",
        tmp_path / "killed" / "run" / "seed-1",
    )
    assert run(make(tiny, parameters, tmp_path / "other", uninterrupted), tmp_path / "log") == 0
    scratch = tmp_path / "scratch"
    command = make(tiny, parameters, scratch, output)
    # Before the first checkpoint.
    assert run(command, tmp_path / "log", kill=("on_step_end", random.randrange(1, 20))) == KILLED
    (state,) = scratch.iterdir()
    assert not list(state.glob("checkpoint-*"))
    # While a checkpoint is written: the next start must not use what is there of it.
    assert run(command, tmp_path / "log", kill=("on_save", 40)) == KILLED
    assert list(state.glob(f"checkpoint-*/{WHOLE}"))
    (half,) = (path for path in state.glob("checkpoint-*") if not (path / WHOLE).exists())
    (half / "model.safetensors").write_bytes(b"half")
    # While a checkpoint is deleted, in which case its mark may still be there.
    assert run(command, tmp_path / "log", kill=("on_step_end", random.randrange(61, 80))) == KILLED
    assert (state / "checkpoint-60" / WHOLE).exists()
    (state / "checkpoint-60" / "optimizer.pt").unlink()
    # At a random moment after a checkpoint.
    process = start(command, tmp_path / "log")
    while process.is_alive() and not (state / "checkpoint-80" / WHOLE).exists():
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.3))
    process.kill()
    process.join()
    assert run(command, tmp_path / "log") == 0
    assert files(output, names) == files(uninterrupted, names)
    assert [path.name for path in output.parent.iterdir()] == ["seed-1"]
    assert not list(scratch.rglob("checkpoint-*"))


def test_early_stopping_counts_over_interruptions(tiny, tmp_path):
    """No probe gets better than the first, at 10: with a patience of 3 the training ends at 40."""
    parameters = experiment(steps=100, evaluate_every=10, learning_rate=1e-12, patience=3)
    uninterrupted = tiny_study.train(tiny, tmp_path / "uninterrupted", parameters)
    output = tmp_path / "killed" / "run" / "seed-1"
    command = tiny_study.train_command(tiny, parameters, tmp_path / "scratch", output)
    for hook in ("on_save", "on_train_end"):  # with one probe to go, and after the last
        assert run(command, tmp_path / "log", kill=(hook, 40)) == KILLED
    assert run(command, tmp_path / "log") == 0
    assert files(output, TRAINED) == files(uninterrupted, TRAINED)
    assert (output / "curve.csv").read_text(encoding="utf-8").splitlines()[-1].startswith("40,")


def test_no_training_goes_on_from_a_checkpoint_that_lacks_a_weight(tiny, tmp_path, monkeypatch):
    name, mark = "encoder.layer.1.output.dense.bias", resumable.MarkWhole.on_save

    def spoil(self, args, state, control, **kwargs):
        mark(self, args, state, control, **kwargs)
        file = Path(args.output_dir) / f"checkpoint-{state.global_step}" / "model.safetensors"
        save_file({key: tensor for key, tensor in load_file(file).items() if key != name}, file)

    with monkeypatch.context() as changed:
        changed.setattr(resumable.MarkWhole, "on_save", spoil)
        with pytest.raises(UserError, match=f"model.safetensors has no {name}"):  # of the best probe
            tiny_study.train(tiny, tmp_path, experiment())
    with pytest.raises(UserError, match=f"model.safetensors has no {name}"):
        tiny_study.train(tiny, tmp_path, experiment())
    assert not (tmp_path / "run").exists()
