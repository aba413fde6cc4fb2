"""The losses of the paper, as functions of the scores of one batch of lists.

Every loss takes ``student`` (B, K) and ``teacher`` (B, K) scores and ``labels`` (B, K) in {0, 1}, where row b
holds the K passages of one query and at least one of them is positive, and returns the mean over the B rows
as a scalar. One-hot losses ignore ``teacher``, which may then be None. In the equations s and t are a row's
student and teacher scores, P and N its positive and negative passages, and [x]+ = max(x, 0).

A teacher score of minus infinity stands for a negative that the teacher has not scored (`dualenc.training.negatives`).
The paper treats it "as a negative document in the loss" (Appendix C.12); where its score would be needed, all that is
asked of the student is to put it no higher than the teacher puts the lowest passage of the row that it has scored.
Every row has one negative or more that the teacher has scored.

Equation and section numbers refer to Menon et al., "In defense of dual-encoders for neural ranking" (ICML
2022). The module only calls methods of the tensors it is given, so the names and parameters of the losses can
be read without importing torch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dualenc.runtime.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def softmax_ce_onehot(
    student: Tensor, teacher: Tensor | None, labels: Tensor, *, temperature: float, label_smoothing: float
) -> Tensor:
    """Softmax cross-entropy against the labels (eq. 1), optionally smoothed (Appendix C.9).

    -sum_k q_k log softmax(s / temperature)_k
    with q = (1 - label_smoothing) y / sum(y) + label_smoothing / K

    Invariant to adding a constant to a row of ``student``.
    """
    target = (1 - label_smoothing) * _label_distribution(labels, student) + label_smoothing / labels.shape[-1]
    return _cross_entropy(target, student, temperature)


def focal(student: Tensor, teacher: Tensor | None, labels: Tensor, *, temperature: float, gamma: float) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017; Appendix C.10) on the softmax over the list.

    -sum_k q_k (1 - p_k)^gamma log p_k
    with p = softmax(s / temperature), q = y / sum(y)

    At ``gamma`` = 0 it is ``softmax_ce_onehot`` without smoothing. Invariant to adding a constant to a row of
    ``student``.
    """
    log_p = (student / temperature).log_softmax(-1)
    # Where p rounds to 1 and gamma < 1, the power's infinite slope would meet a factor 0 and make a NaN.
    focus = (-log_p.expm1()).clamp_min(1e-30) ** gamma
    return -(_label_distribution(labels, student) * focus * log_p).sum(-1).mean()


def mse(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Logit matching (Ba and Caruana, NeurIPS 2014; section 4.1).

    sum_k (t_k - s_k)^2

    A negative without a teacher score contributes [s_k - min t]+^2. Not invariant to translations: a constant
    offset between the two scorers is an error.
    """
    scored, teacher = _filled(teacher)
    error = teacher - student
    return error.where(scored, error.clamp_max(0)).square().sum(-1).mean()


def margin_mse(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Margin matching (Hofstätter et al., 2020; eq. 3 and its sum over all pairs in section 4.1).

    sum_{i in P} sum_{j in N} ((t_i - t_j) - (s_i - s_j))^2

    With one positive and one negative this is eq. 3. A negative j without a teacher score contributes
    [(t_i - min t) - (s_i - s_j)]+^2. Invariant to adding a constant to a row of ``student`` or of ``teacher``.
    """
    scored, teacher = _filled(teacher)
    error = teacher - student
    margin_error = error.unsqueeze(-1) - error.unsqueeze(-2)
    margin_error = margin_error.where(scored.unsqueeze(-2), margin_error.clamp_min(0))
    positives = labels.bool()
    pairs = positives.unsqueeze(-1) & ~positives.unsqueeze(-2)
    return (pairs * margin_error.square()).sum((-2, -1)).mean()


def rankdistil_b(student: Tensor, teacher: Tensor, labels: Tensor, *, gamma0: float) -> Tensor:
    """RankDistil-B (Reddi et al., AISTATS 2021; section 4.3).

    sum_{i in P} (t_i - s_i)^2 + sum_{j in N} [s_j - gamma0]+^2

    Not invariant to translations: positives match raw scores and the threshold ``gamma0`` is absolute.
    """
    positives = labels.bool()
    match = positives * (_filled(teacher)[1] - student).square()
    below = ~positives * (student - gamma0).clamp_min(0).square()
    return (match + below).sum(-1).mean()


def m3se(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Multi-margin MSE, M3SE (eq. 4).

    sum_{i in P} ((t_i - t_j*) - (s_i - s_j*))^2 + sum_{j in N} [s_j - s_j*]+^2

    j* is the negative with the highest teacher score, the first in list order among equals. A row without a
    negative has no margin and contributes 0. Invariant to adding a constant to a row of ``student`` or of
    ``teacher``; equal to ``margin_mse`` at K = 2.
    """
    positives = labels.bool()
    hardest = teacher.masked_fill(positives, -math.inf).argmax(-1, keepdim=True)
    teacher = _filled(teacher)[1]
    teacher_margin = teacher - teacher.gather(-1, hardest)
    student_margin = student - student.gather(-1, hardest)
    has_negative = ~positives.all(-1, keepdim=True)
    match = (positives & has_negative) * (teacher_margin - student_margin).square()
    below = ~positives * student_margin.clamp_min(0).square()
    return (match + below).sum(-1).mean()


def softmax_ce(student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Softmax cross-entropy against the teacher: probability matching (Hinton et al., 2015; sections 2, 4.2).

    -sum_k softmax(t / temperature)_k log softmax(s / temperature)_k

    This is the KL divergence plus the teacher's entropy, which no student changes; it is not multiplied by
    temperature^2. ``labels`` play no part. A negative without a teacher score has the target 0. Invariant to adding
    a constant to a row of ``student`` or of ``teacher``.
    """
    return _cross_entropy((teacher / temperature).softmax(-1), student, temperature)


def _filled(teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Which passages the teacher has scored, and its scores with the lowest of the row for the others."""
    scored = teacher.isfinite()
    return scored, teacher.where(scored, teacher.masked_fill(~scored, math.inf).amin(-1, keepdim=True))


def _label_distribution(labels: Tensor, like: Tensor) -> Tensor:
    labels = labels.to(like.dtype)
    return labels / labels.sum(-1, keepdim=True)


def _cross_entropy(target: Tensor, student: Tensor, temperature: float) -> Tensor:
    return -(target * (student / temperature).log_softmax(-1)).sum(-1).mean()


PARAMETERS: dict[str, tuple[Callable[[float], bool], str]] = {
    "temperature": (lambda value: 0 < value < math.inf, "above 0"),
    "label_smoothing": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "gamma": (lambda value: 0 <= value < math.inf, "at least 0"),
    "gamma0": (math.isfinite, "finite"),
}
"""The values that each parameter of a loss may take: a test, and in words."""


@dataclass(frozen=True)
class Loss:
    """A loss ``function(student, teacher, labels, **parameters)`` and what it needs to be called."""

    function: Callable[..., Tensor]
    needs_teacher: bool
    parameters: tuple[str, ...] = ()


LOSSES: dict[str, Loss] = {
    "softmax-ce-onehot": Loss(softmax_ce_onehot, False, ("temperature", "label_smoothing")),
    "focal": Loss(focal, False, ("temperature", "gamma")),
    "mse": Loss(mse, True),
    "margin-mse": Loss(margin_mse, True),
    "rankdistil-b": Loss(rankdistil_b, True, ("gamma0",)),
    "m3se": Loss(m3se, True),
    "softmax-ce": Loss(softmax_ce, True, ("temperature",)),
}


def loss_function(name: str, parameters: dict[str, float]) -> Callable[[Tensor, Tensor | None, Tensor], Tensor]:
    """The loss called ``name`` as a function (student, teacher, labels) -> scalar, its parameters filled in.

    Student scores of half precision, as autocast makes them, are widened to float32 first: squared
    differences between large scores would drown in bfloat16's rounding. Raises UserError if there is no such loss
    or if ``parameters`` are not exactly the ones it takes.
    """
    if name not in LOSSES:
        nearest = difflib.get_close_matches(name, LOSSES, n=1, cutoff=0)[0]
        raise UserError(f"{name!r} is not a known loss: write one of {', '.join(LOSSES)} (the nearest is {nearest!r}).")
    loss = LOSSES[name]
    if set(parameters) != set(loss.parameters):
        takes = ", ".join(loss.parameters) or "no parameters"
        given = ", ".join(parameters) or "none"
        raise UserError(f"Loss {name!r} takes {takes}, but was given {given}: give it exactly what it takes.")

    def compute(student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        wide = student if student.element_size() >= 4 else student.float()
        return loss.function(wide, teacher, labels, **parameters)

    return compute
