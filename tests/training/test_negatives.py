"""Negatives beyond a list: who joins whom, and what the losses make of a negative that no teacher has scored."""

import numpy as np
import pytest
import torch

from dualenc.losses import LOSSES, loss_function
from dualenc.training.negatives import pooled
from test_losses import PARAMETERS, batch

NOBODY = np.array([], dtype=int)


def joined(passages, extra, judged):
    """The further negatives of each list, as sets."""
    pool = pooled(np.array(passages), np.array(extra, dtype=int), [np.array(one, dtype=int) for one in judged])
    size = len(passages[0])
    np.testing.assert_array_equal(pool.passages[pool.places[:, :size]], passages)
    assert len(set(pool.passages)) == len(pool.passages)
    assert all(len(set(row)) == len(row) for row in pool.places)
    return [set(row) for row in pool.passages[pool.places[:, size:]].tolist()]


def test_each_list_takes_the_others_but_not_its_own():
    lists = [[7, 3], [5, 3], [9, 1]]
    assert joined(lists, [7, 3, 5, 9, 1], [NOBODY] * 3) == [{5, 9, 1}, {7, 9, 1}, {7, 3, 5}]


def test_drawn_passages_alone():
    assert joined([[7, 3], [5, 8]], [4, 6], [NOBODY] * 2) == [{4, 6}] * 2


def test_nothing_judged_becomes_a_negative_and_all_lists_take_as_many():
    found = joined([[7, 3], [5, 8]], [2, 4, 6], [[4, 7], []])
    assert found[0] == {2, 6} and len(found[1]) == 2 and found[1] < {2, 4, 6}


@pytest.mark.parametrize("seed", range(5))
def test_random_minibatches(seed):
    generator = np.random.default_rng(seed)
    lists = np.stack([generator.choice(60, 5, replace=False) for _ in range(8)])
    extra, judged = generator.choice(60, 12, replace=False), [generator.choice(60, 3) for _ in range(8)]
    found = joined(lists, np.concatenate([extra, lists.ravel()]), judged)
    pool = {*extra, *lists.ravel()}
    possible = [pool - set(row) - set(forbidden) for row, forbidden in zip(lists, judged, strict=True)]
    assert all(one <= other for one, other in zip(found, possible, strict=True))
    assert {len(one) for one in found} == {min(len(one) for one in possible)}


def with_unscored(seed, count=3):
    """A batch of `test_losses` with negatives behind it that the teacher has not scored."""
    student, teacher, labels = batch(seed)
    more = torch.randn(len(student), count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    unscored = torch.full_like(more, -torch.inf)
    return torch.cat([student, more], 1), torch.cat([teacher, unscored], 1), torch.nn.functional.pad(labels, (0, count))


def value(name, student, teacher, labels):
    return loss_function(name, PARAMETERS[name])(student, teacher, labels)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_and_push_unscored_negatives_down(name, seed):
    student, teacher, labels = with_unscored(seed)
    student = (student + 20 * (teacher == -torch.inf)).requires_grad_()  # far above all others
    (gradient,) = torch.autograd.grad(value(name, student, teacher, labels), student)
    assert torch.isfinite(gradient).all() and (gradient[:, -3:].sum(1) > 0).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"softmax-ce-onehot", "focal"}))
def test_unscored_negatives_that_are_low_enough_cost_nothing(name, seed):
    student, teacher, labels = with_unscored(seed)
    low = torch.where(teacher == -torch.inf, -1000.0, student)
    expected = value(name, student[:, :-3], teacher[:, :-3], labels[:, :-3])
    torch.testing.assert_close(value(name, low, teacher, labels), expected)


@pytest.mark.parametrize("name", ["mse", "margin-mse"])
def test_low_enough_is_where_the_teacher_has_its_lowest(name):
    """With the teacher's own scores for the others, an unscored negative costs as soon as it is above the lowest."""
    teacher = torch.tensor([[3.0, 1.0, -2.0, -torch.inf]])
    labels = torch.tensor([[1, 0, 0, 0]])
    for last, cost in ((-2.5, 0.0), (-2.0, 0.0), (-1.5, 0.25), (0.0, 4.0)):
        assert value(name, torch.tensor([[3.0, 1.0, -2.0, last]]), teacher, labels).item() == pytest.approx(cost)


def test_m3se_still_compares_with_the_hardest_negative_that_was_scored():
    teacher, labels = torch.tensor([[3.0, 1.0, -2.0, -torch.inf]]), torch.tensor([[1, 0, 0, 0]])
    for last, cost in ((0.9, 0.0), (1.5, 0.25)):
        assert value("m3se", torch.tensor([[3.0, 1.0, -2.0, last]]), teacher, labels).item() == pytest.approx(cost)


def test_softmax_ce_gives_them_no_share_of_the_target():
    student, teacher, labels = with_unscored(0)
    tau = PARAMETERS["softmax-ce"]["temperature"]
    target = torch.softmax(teacher[:, :-3] / tau, -1)
    log_p = torch.log_softmax(student / tau, -1)[:, :-3]
    expected = -(target * log_p).sum(-1).mean()
    torch.testing.assert_close(value("softmax-ce", student, teacher, labels), expected)
