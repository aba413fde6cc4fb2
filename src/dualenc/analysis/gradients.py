"""Proposition 3: two-document softmax cross-entropy distillation against margin MSE."""

import torch

from dualenc.losses import margin_mse, softmax_ce
from dualenc.runtime.errors import UserError

LIMIT = 1 / 8
"""Of `ratio` as the temperature grows."""


def ratio(teacher_margin: float, student_margin: float, temperature: float) -> float:
    """temperature^2 times the gradient of softmax CE over the gradient of margin MSE, both with respect to s_1.

    Margins are t_1 - t_2 and s_1 - s_2, of a positive and a negative. Computed from the losses of this project by
    automatic differentiation in float64. Raises `UserError` for equal margins, where both gradients are 0.
    """
    if teacher_margin == student_margin:
        raise UserError(
            f"Teacher and student have the same margin {teacher_margin}, where both gradients are 0 and have "
            "no ratio: give two different margins."
        )
    teacher, student = (
        torch.tensor([[margin, 0.0]], dtype=torch.float64) for margin in (teacher_margin, student_margin)
    )
    labels = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    student.requires_grad_()
    (smooth,) = torch.autograd.grad(softmax_ce(student, teacher, labels, temperature=temperature), student)
    (square,) = torch.autograd.grad(margin_mse(student, teacher, labels), student)
    return float(temperature**2 * smooth[0, 0] / square[0, 0])
