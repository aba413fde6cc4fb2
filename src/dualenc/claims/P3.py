"""Claim P3: softmax cross-entropy of two passages is a binary KL divergence, and margin MSE at high temperature."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dualenc.analysis import gradients
from dualenc.claims import evidence
from dualenc.claims.verdicts import Part
from dualenc.losses import softmax_ce

SHOWS = {
    "needs": [],
    "options": {
        "margins": [[1, 0.5], [4, 1], [1, 4], [-2, 3]],  # [teacher's, student's]
        "temperatures": [0.5, 1, 2, 4, 1000],
        "tolerance": 1e-3,
    },
}
REQUIRES = {"options": {"margins": "margins", "temperatures": "temperatures", "tolerance": "threshold"}}
CLAIM = (
    "For a positive and a negative, softmax cross-entropy distillation is a binary KL divergence of the margins; as "
    "the temperature τ grows, τ² times its gradient tends to 1/8 of that of margin MSE."
)
PAPER = "Proposition 3 and its proof."
TEST = (
    "On the losses that the models are trained with, for several margins of teacher and student: the largest "
    "difference of the loss from KL plus the teacher's entropy, over all temperatures, has to be below {tolerance:g}, "
    "and so has the largest relative distance of the ratio of gradients from 1/8 at the highest temperature."
)
REASON = "Far above the rounding errors of float64 and the distance that these margins leave at that temperature."


def parts(params: Mapping[str, Any], root: Path) -> list[Part]:
    """The numbers behind the claim. No file below ``root`` is read."""
    options = params["options"]
    pairs, temperatures, tolerance = options["margins"], options["temperatures"], options["tolerance"]
    off = max(abs(_loss(*pair, tau) - _entropy_and_kl(*pair, tau)) for pair in pairs for tau in temperatures)
    ratios = [gradients.ratio(*pair, max(temperatures)) for pair in pairs]
    distance = max(abs(ratio / gradients.LIMIT - 1) for ratio in ratios)
    return [
        evidence.exact("softmax CE − (KL + entropy), largest absolute value", off, below=tolerance),
        evidence.exact(f"|ratio of gradients / (1/8) − 1| at τ = {max(temperatures):g}", distance, below=tolerance),
    ]


def _loss(teacher: float, student: float, temperature: float) -> float:
    """Softmax CE of two passages, of which the scores differ by these margins."""
    teachers, students = (torch.tensor([[margin, 0.0]], dtype=torch.float64) for margin in (teacher, student))
    return float(softmax_ce(students, teachers, torch.tensor([[1.0, 0.0]]), temperature=temperature))


def _entropy_and_kl(teacher: float, student: float, temperature: float) -> float:
    """H(p) + KL(p, q) of Bernoulli variables with p = sigma(teacher / tau) and q = sigma(student / tau)."""
    p, q = (1 / (1 + math.exp(-margin / temperature)) for margin in (teacher, student))
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    return entropy + p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
