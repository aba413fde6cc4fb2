"""Training stops at the first number that is not finite: the loss, the norm of the gradient, or a weight to be kept.

The libraries would log the mean of earlier losses in its place, carry on, and keep what they have.
"""

import math

import torch
from transformers import Trainer, TrainerState, TrainingArguments

from dualenc.runtime.errors import UserError


class FiniteSteps(Trainer):
    """To be inherited together with one of the library's trainers, whose ``logging_nan_inf_filter`` has to be off.

    Raises ``UserError`` in each of the processes that train together, before anything is stepped, saved or probed.
    """

    def training_step(self, *args, **kwargs):
        """The loss, as the trainer has it; checked after the backward pass, where the filter would check it, too."""
        loss = super().training_step(*args, **kwargs)
        _check(self.args, self.state.global_step + 1, "the loss", loss.item())
        return loss

    def _get_grad_norm(self, *args, **kwargs):
        norm = super()._get_grad_norm(*args, **kwargs)
        _check(self.args, self.state.global_step + 1, "the norm of the gradient", norm)
        return norm


def check_weights(args: TrainingArguments, state: TrainerState, model: torch.nn.Module) -> None:
    """Raise ``UserError`` if a weight is not finite: a step may be too large for a weight before any loss shows it."""
    extremes = [torch.stack(weight.aminmax()) for weight in model.parameters() if weight.numel()]
    for value in torch.cat(extremes).tolist():
        _check(args, state.global_step, "a weight", value)


def _check(args: TrainingArguments, step: int, what: str, value: float) -> None:
    if not math.isfinite(value):
        raise UserError(
            f"step {step} of {args.max_steps}: {what} is {value}, so training stops here; check learning_rate "
            f"({args.learning_rate:g}), the loss and its parameters, and the teacher's scores if there are any."
        )
