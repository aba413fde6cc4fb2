"""Training that survives being killed: it resumes from the last whole checkpoint in its state folder."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PrinterCallback, TrainerCallback

from dualenc.runtime.files import atomic, read_json, write_json
from dualenc.scorers import distributed, models
from dualenc.training import divergence
from dualenc.training.trainer_progress import ProgressLines

WHOLE = "whole"  # marks a checkpoint that was written to its end


def arguments(
    state: Path,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    warmup: float,
    evaluate_every: int,
    seed: int,
) -> dict[str, object]:
    """Arguments common to all trainers: AdamW, linear warm-up and decay, probes and checkpoints in step.

    ``warmup`` is a fraction of the steps. A checkpoint is written at every probe.
    """
    cuda = torch.cuda.is_available()
    every = min(evaluate_every, steps)
    return {
        "output_dir": str(state),
        "max_steps": steps,
        "per_device_train_batch_size": batch_size // distributed.size(),
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "warmup_steps": round(warmup * steps),
        "lr_scheduler_type": "linear",
        # A divisor of `every`: no checkpoint may fall within the steps whose mean loss is logged.
        "logging_steps": math.gcd(every, max(1, every // 5)),
        "logging_nan_inf_filter": False,  # the log shows what happened, and `dualenc.training.divergence` ends it
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_steps": every,
        "save_total_limit": 2,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": not cuda,
        "ddp_backend": "gloo" if distributed.size() > 1 and not cuda else None,
        "dataloader_pin_memory": cuda,
        "report_to": "none",
        "disable_tqdm": not os.isatty(2),
        "remove_unused_columns": False,
    }


def fit(trainer: divergence.FiniteSteps, kind: str, patience: int | None = None) -> list[dict[str, float]]:
    """Train a model of a kind to the end, from the last whole checkpoint if there is one; returns the log.

    ``kind`` is as for ``models.check``; the log has one dict per entry. ``patience`` probes without a better one end
    the training early. The result has the same bits whether or not training was interrupted, and whatever is probed:
    batches and dropout depend on the seed and the position alone. Raises ``UserError`` if a checkpoint lacks a weight,
    and at the first loss, gradient or score that is not finite.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ProgressLines())
    trainer.add_callback(SeedSteps())
    trainer.add_callback(MarkWhole())
    if patience is not None:
        trainer.add_callback(StopEarly(patience))
    whole = distributed.broadcast(_whole_checkpoints(Path(trainer.args.output_dir)) if distributed.first() else [])
    for checkpoint in whole:
        models.check_weights(checkpoint, kind)
    trainer.args.eval_on_start &= not whole  # the probe of a checkpoint was taken before it was written
    trainer.train(resume_from_checkpoint=whole[-1] if whole else None)
    if trainer.args.load_best_model_at_end:
        # The library would carry on with the last model, and only log it, if it could not load the best one.
        models.check_weights(trainer.state.best_model_checkpoint, kind)
    distributed.wait()  # until all have loaded the best checkpoint, which the first process may remove next
    return trainer.state.log_history


def _whole_checkpoints(folder: Path) -> list[str]:
    """The checkpoints that were written to their end, in order; others are removed."""
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    whole = [path for path in checkpoints if _is_whole(path)]
    for path in set(checkpoints) - set(whole):
        shutil.rmtree(path)
    return list(map(str, whole))


class SeedSteps(TrainerCallback):
    """Makes what is drawn within a step, such as dropout, a function of the seed and the step."""

    def on_step_begin(self, args, state, control, **kwargs):
        """Seed the step; processes that train together draw each their own."""
        entropy = [args.seed, state.global_step, *([distributed.rank()] if distributed.rank() else [])]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


class MarkWhole(TrainerCallback):
    """Marks a checkpoint after its last file was written; ``fit`` deletes those that are not whole.

    One with a weight that is not finite ends the training without a mark.
    """

    def on_save(self, args, state, control, model=None, **kwargs):
        """Write the mark: the names of all files, as the trainer may also be killed while it deletes a checkpoint."""
        divergence.check_weights(args, state, model)
        distributed.wait()  # each process writes its own file
        if not distributed.first():
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        write_json(folder / WHOLE, [str(path.relative_to(folder)) for path in folder.rglob("*")])


def _is_whole(checkpoint: Path) -> bool:
    mark = checkpoint / WHOLE
    return mark.exists() and all((checkpoint / name).exists() for name in read_json(mark))


class StopEarly(TrainerCallback):
    """Ends training after ``patience`` probes in a row without a better one.

    Probes are read from the log, which checkpoints keep, so that resumed training ends where uninterrupted training
    does. The one before the first step does not count: no checkpoint has its model.
    """

    def __init__(self, patience: int):
        self.patience = patience

    def on_evaluate(self, args, state, control, **kwargs):
        """Count the probes since the best one."""
        metric = args.metric_for_best_model
        values = [entry[metric] for entry in state.log_history if metric in entry and entry["step"] > 0]
        if values and len(values) - 1 - values.index(max(values)) >= self.patience:
            control.should_training_stop = True

    on_train_begin = on_evaluate


class Keep(TrainerCallback):
    """Saves the model at ``steps``, where ``saved_model`` says."""

    def __init__(self, steps: Sequence[int]):
        self.steps = steps

    def on_step_end(self, args, state, control, model=None, **kwargs):
        """Save, at one of the steps; resumed training has saved those before its checkpoint."""
        if state.global_step in self.steps and distributed.first():
            divergence.check_weights(args, state, model)
            with atomic(saved_model(args.output_dir, state.global_step)) as temporary:
                model.save(str(temporary), create_model_card=False)

    on_train_begin = on_step_end


def saved_model(state: str | Path, step: int) -> Path:
    """Where ``Keep`` saves the model of a step."""
    return Path(state) / f"step-{step}"


def curve(
    log: Sequence[Mapping[str, float]], probes: Mapping[str, tuple[str, str]]
) -> list[tuple[int, str, str, float]]:
    """Rows (step, split, metric, value) of ``curve.csv`` from a trainer's log.

    ``probes`` maps a key of the log to its split and metric; the training loss is always there.
    """
    known = {"loss": ("train", "loss"), **probes}
    return [(entry["step"], *known[key], entry[key]) for entry in log for key in known if key in entry]


def positions(count: int, epochs_of: int, seed: int) -> np.ndarray:
    """Row numbers (count,) in an order that visits all ``epochs_of`` rows once, shuffled, before any comes again."""
    generator = np.random.default_rng(seed)
    epochs = -(-count // epochs_of)
    return np.concatenate([generator.permutation(epochs_of) for _ in range(epochs)])[:count]
