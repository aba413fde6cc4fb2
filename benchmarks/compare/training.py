"""Training steps: the project's training runs against the library's trainers with their own losses and collators."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import workload
from datasets import Dataset
from harness import Comparison
from sentence_transformers import (
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss
from transformers import PrinterCallback, Trainer, TrainerCallback

from dualenc.scorers import models
from dualenc.scorers.kinds import cross_attention, dual_encoder
from dualenc.study.schema import Experiment
from dualenc.training import trainer
from dualenc.training.supervision import Lists

QUERIES = 64  # lists that a training goes through, again and again
BATCH = {"cpu": 4, "cuda": 32}  # lists
WARM = 1  # steps that do not count
STEPS, SLOW = 3, 1.5  # that do, but for one alone where it takes more than so many seconds
SHAPES = {"cpu": [(6, 384), (2, 128)], "cuda": [(6, 768), (12, 768), (6, 384), (2, 128)]}
OPTIONS = {"learning_rate": 1e-5, "weight_decay": 0.01, "warmup": 0.1}


class Clock(TrainerCallback):
    """Times the steps of a training from the end of those that are to warm it up."""

    def on_step_end(self, args, state, control, **kwargs):
        """Note the time when the device has done this step."""
        workload.synchronise()
        if state.global_step == WARM:
            self.start = perf_counter()
        self.end = perf_counter()


def comparisons(device: str, scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Students of each shape, or of the smallest, and teachers."""
    for layers, width in SHAPES[device][-1:] if quick else SHAPES[device]:
        work = workload.work(scratch / f"training-{layers}-{width}", layers, width, QUERIES, QUERIES * workload.LIST)
        for kind in ("dual-encoder", "cross-attention"):
            yield from _of_one(work, kind, layers, width, BATCH[device], scratch)


def _of_one(work: workload.Work, kind: str, layers: int, width: int, batch: int, scratch: Path) -> Iterator[Comparison]:
    generator = np.random.default_rng(workload.SEED)
    shape = (QUERIES, workload.LIST)
    labels = np.zeros(shape, dtype=np.float32)
    labels[:, 0] = 1
    teacher = generator.normal(size=shape).astype(np.float32)
    passages = np.arange(QUERIES * workload.LIST).reshape(shape)
    lists = Lists(np.arange(QUERIES), passages, labels, teacher, [row[:1] for row in passages])
    student = kind == "dual-encoder"
    lengths = work.source.passages.lengths() + 2
    if not student:
        lengths = lengths + np.repeat(work.source.queries.lengths() + 1, workload.LIST)
    else:
        lengths = np.concatenate([lengths, work.source.queries.lengths() + 2])
    of_a_list = 3 * workload.operations(lengths, layers, width) / QUERIES
    limit = workload.model_rate() / of_a_list
    steps = STEPS if 2 * batch / limit < SLOW else 1
    experiment = Experiment(
        **{"model": kind, "encoder": "random", "teacher": "given" if student else None, "pooling": "mean"},
        **{"loss": "softmax-ce" if student else "softmax-ce-onehot", "dropout": 0.0, "gain": 1.0},
        loss_parameters={"temperature": 1.0} | ({} if student else {"label_smoothing": 0.0}),
        **{"list_size": workload.LIST, "selection": "top" if student else "sampled", "batch_size": batch},
        **{"steps": WARM + steps, "evaluate_every": WARM + steps, "patience": 1, **OPTIONS},
        **{
            "in_batch": False,
            "uniform": 0,
            "token_dropout": 0.0,
            "mlm_weight": 0.0,
            "mlm_masked": 0.15,
            "sparsity": 0.0,
        },
    )
    job = trainer.Training(
        work.encoder, lists, work.source, experiment, workload.LENGTHS, workload.SEED, scratch / "state"
    )
    in_a_list = 1 if student else workload.LIST
    theirs = _library_student if student else _library_teacher
    name = "SentenceTransformerTrainer" if student else "CrossEncoderTrainer"
    for bf16 in (False, True)[: 1 + workload.has_bfloat16()]:
        yield Comparison(
            path=f"{'student' if student else 'teacher'} training step, {layers} x {width}",
            against=f"{name}, bf16=True" if bf16 else name,
            setting=f"{batch} lists of {workload.LIST} passages in a step, text in",
            ours=lambda: _timed(trainer.make_trainer(job, None, eval_strategy="no", save_strategy="no")),
            theirs=lambda bf16=bf16: _timed(theirs(work, teacher, batch, WARM + steps, bf16, scratch)),
            amount=steps * batch * in_a_list,
            unit="lists" if student else "pairs",
            target=1.8,
            limit=limit * in_a_list,
        )


def _timed(running: Trainer) -> float:
    """Seconds of the steps that count."""
    clock = Clock()
    running.add_callback(clock)
    running.remove_callback(PrinterCallback)
    running.train()
    return clock.end - clock.start


def _arguments(batch: int, steps: int, bf16: bool, scratch: Path) -> dict[str, Any]:
    """Arguments of a library's trainer: as it comes, but for what is not written."""
    return {
        **{"output_dir": str(scratch / "library"), "per_device_train_batch_size": batch, "max_steps": steps},
        **{"learning_rate": 1e-5, "weight_decay": 0.01, "warmup_steps": 1, "bf16": bf16},
        **{"save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": models.device() == "cpu"},
    }


def _library_student(
    work: workload.Work, teacher: np.ndarray, batch: int, steps: int, bf16: bool, scratch: Path
) -> SentenceTransformerTrainer:
    columns = np.array(work.passages, dtype=object).reshape(teacher.shape).T
    data = {"query": work.queries} | {f"passage_{at}": column.tolist() for at, column in enumerate(columns)}
    model = dual_encoder.start(work.encoder, pooling="mean", dropout=0.0, gain=1.0, max_length=workload.LENGTHS["text"])
    return SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(**_arguments(batch, steps, bf16, scratch)),
        train_dataset=Dataset.from_dict(data | {"label": teacher.tolist()}),
        loss=DistillKLDivLoss(model),
    )


def _library_teacher(
    work: workload.Work, teacher: np.ndarray, batch: int, steps: int, bf16: bool, scratch: Path
) -> CrossEncoderTrainer:
    model = cross_attention.start(work.encoder, dropout=0.0, max_length=workload.LENGTHS["pair"])
    queries = np.repeat(np.array(work.queries, dtype=object), workload.LIST).tolist()
    labels = [float(at % workload.LIST == 0) for at in range(len(work.passages))]
    return CrossEncoderTrainer(
        model=model,
        args=CrossEncoderTrainingArguments(**_arguments(batch * workload.LIST, steps, bf16, scratch)),
        train_dataset=Dataset.from_dict({"query": queries, "passage": work.passages, "label": labels}),
        loss=BinaryCrossEntropyLoss(model),
    )
