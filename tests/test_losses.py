"""Every loss against its formula in plain Python, its invariances, zeros and limits, and a public library."""

import math
import subprocess
import sys
from inspect import signature

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss, MarginMSELoss
from torch.nn import functional

from dualenc.losses import LOSSES, loss_function
from dualenc.runtime.errors import UserError

PARAMETERS = {
    "softmax-ce-onehot": {"temperature": 0.7, "label_smoothing": 0.1},
    "focal": {"temperature": 0.7, "gamma": 1.5},
    "mse": {},
    "margin-mse": {},
    "rankdistil-b": {"gamma0": 0.3},
    "m3se": {},
    "softmax-ce": {"temperature": 0.7},
}
TRANSLATION_INVARIANT = {"softmax-ce-onehot", "focal", "margin-mse", "m3se", "softmax-ce"}
every_loss = pytest.mark.parametrize("name", LOSSES)
every_seed = pytest.mark.parametrize("seed", range(3))


def batch(seed, rows=4, passages=6):
    """Random float64 scores; each row has one or two positives at random places, all others are negatives."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher, places = torch.randn(3, rows, passages, generator=generator, dtype=torch.float64)
    order = places.argsort(-1)
    labels = torch.zeros(rows, passages, dtype=torch.int64).scatter(-1, order[:, :1], 1)
    if passages > 2:
        labels[::2].scatter_(-1, order[::2, 1:2], 1)
    return 2 * student, 3 * teacher + 1, labels


def value_and_gradient(name, student, teacher, labels, **parameters):
    student = student.clone().requires_grad_()
    loss = loss_function(name, parameters or PARAMETERS[name])(student, teacher, labels)
    (gradient,) = torch.autograd.grad(loss, student)
    return loss.detach(), gradient


def softmax(scores, temperature):
    powers = [math.exp(x / temperature) for x in scores]
    return [x / sum(powers) for x in powers]


def formula(name, s, t, y, temperature=None, label_smoothing=None, gamma=None, gamma0=None):
    """The loss of one row as its sums read in the paper, on lists of numbers."""
    K, P, N = range(len(s)), [k for k in range(len(s)) if y[k]], [k for k in range(len(s)) if not y[k]]
    if name == "mse":
        return sum((t[k] - s[k]) ** 2 for k in K)
    if name == "margin-mse":
        return sum(((t[i] - t[j]) - (s[i] - s[j])) ** 2 for i in P for j in N)
    if name == "rankdistil-b":
        return sum((t[i] - s[i]) ** 2 for i in P) + sum(max(s[j] - gamma0, 0) ** 2 for j in N)
    if name == "m3se":
        star = max(N, key=lambda j: t[j])
        margins = sum(((t[i] - t[star]) - (s[i] - s[star])) ** 2 for i in P)
        return margins + sum(max(s[j] - s[star], 0) ** 2 for j in N)
    p = softmax(s, temperature)
    if name == "focal":
        return -sum((1 - p[i]) ** gamma * math.log(p[i]) for i in P) / len(P)
    target = softmax(t, temperature)
    if name == "softmax-ce-onehot":
        target = [(1 - label_smoothing) * y[k] / len(P) + label_smoothing / len(s) for k in K]
    return -sum(target[k] * math.log(p[k]) for k in K)


@every_loss
@every_seed
@pytest.mark.parametrize("passages", [2, 6])
def test_is_the_mean_of_its_formula_over_the_rows(name, seed, passages):
    student, teacher, labels = batch(seed, passages=passages)
    rows = zip(student.tolist(), teacher.tolist(), labels.tolist(), strict=True)
    expected = sum(formula(name, *row, **PARAMETERS[name]) for row in rows) / len(student)
    for label_type in [torch.bool, torch.int64, torch.float32]:
        value, _ = value_and_gradient(name, student, teacher, labels.to(label_type))
        assert value.item() == pytest.approx(expected, rel=1e-12)


@every_loss
@every_seed
def test_gradient_matches_finite_differences(name, seed):
    student, teacher, labels = batch(seed)
    loss = loss_function(name, PARAMETERS[name])
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, labels), student.requires_grad_())


@every_loss
@every_seed
def test_batch_is_the_mean_of_its_rows(name, seed):
    scores = batch(seed)
    rows = [value_and_gradient(name, *(x[i : i + 1] for x in scores)) for i in range(4)]
    expected = torch.stack([v for v, _ in rows]).mean(), torch.cat([g for _, g in rows]) / 4
    torch.testing.assert_close(value_and_gradient(name, *scores), expected)


@every_loss
@every_seed
def test_order_of_the_passages_does_not_matter(name, seed):
    scores = batch(seed)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    value, gradient = value_and_gradient(name, *scores)
    permuted = value_and_gradient(name, *(x[:, order] for x in scores))
    torch.testing.assert_close(permuted, (value, gradient[:, order]))


@every_loss
@every_seed
def test_translation_invariance_is_exactly_where_the_paper_claims_it(name, seed):
    student, teacher, labels = batch(seed)
    shift = torch.tensor([[5.0], [-3.0], [2.0], [-7.0]], dtype=torch.float64)
    original = value_and_gradient(name, student, teacher, labels)
    for scores in [(student + shift, teacher), (student, teacher - shift)]:
        moved = value_and_gradient(name, *scores, labels)
        if name in TRANSLATION_INVARIANT:
            torch.testing.assert_close(moved, original)
        else:
            assert abs(moved[0] - original[0]) > 0.1


@every_seed
@pytest.mark.parametrize("name", ["mse", "margin-mse", "rankdistil-b", "m3se", "softmax-ce"])
def test_a_student_that_equals_its_teacher_is_optimal(name, seed):
    (_, teacher, labels), parameters, floor = batch(seed), PARAMETERS[name], 0.0
    if name == "rankdistil-b":
        parameters = {"gamma0": teacher[labels == 0].max().item()}
    if name == "softmax-ce":
        floor = torch.distributions.Categorical(logits=teacher / parameters["temperature"]).entropy().mean()
    value, gradient = value_and_gradient(name, teacher, teacher, labels, **parameters)
    assert value - floor == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max() < 1e-12


@every_seed
def test_m3se_leaves_lower_negatives_free_below_the_hardest_one(seed):
    _, teacher, labels = batch(seed)
    hardest = teacher.masked_fill(labels == 1, -math.inf).max(-1, keepdim=True).values
    lower = (labels == 0) & (teacher < hardest)
    student = torch.where(lower, hardest - teacher.abs(), teacher)
    value, gradient = value_and_gradient("m3se", student, teacher, labels)
    assert (value, gradient.abs().max()) == (0, 0)
    assert value_and_gradient("margin-mse", student, teacher, labels)[0] > 1


def test_m3se_pushes_only_the_negatives_above_the_hardest_one_down():
    teacher = torch.tensor([[9.0, 4, 3, 2]])
    student = torch.tensor([[6.0, 1, 3, 0]])  # margin to passage 1 as in the teacher; passage 2 is above it
    _, gradient = value_and_gradient("m3se", student, teacher, torch.tensor([[1, 0, 0, 0]]))
    assert gradient.tolist() == [[0, -4, 4, 0]]


def test_m3se_takes_the_first_of_equally_hard_negatives():
    teacher, student = torch.tensor([[2.0, 5, 5, 1]]), torch.tensor([[0.0, 0, 1, 0]])
    value, _ = value_and_gradient("m3se", student, teacher, torch.tensor([[1, 0, 0, 0]]))
    assert value == (-3 - 0) ** 2 + (1 - 0) ** 2  # with passage 2 as the hardest it would be (-3 + 1)^2


@pytest.mark.parametrize("name", ["margin-mse", "m3se"])
def test_a_row_without_negatives_has_no_margin(name):
    student, teacher, _ = batch(0)
    value, gradient = value_and_gradient(name, student, teacher, torch.ones_like(student))
    assert (value, gradient.abs().max()) == (0, 0)


@every_seed
def test_m3se_is_margin_mse_on_triplets(seed):
    scores = batch(seed, passages=2)
    torch.testing.assert_close(value_and_gradient("m3se", *scores), value_and_gradient("margin-mse", *scores))


@every_seed
def test_softmax_ce_on_triplets_is_a_binary_cross_entropy_of_margins(seed):
    student, teacher, labels = batch(seed, passages=2)
    value, _ = value_and_gradient("softmax-ce", student, teacher, labels, temperature=1.7)
    student_margin, teacher_margin = ((x[:, 0] - x[:, 1]) / 1.7 for x in (student, teacher))
    binary = functional.binary_cross_entropy_with_logits(student_margin, teacher_margin.sigmoid())
    torch.testing.assert_close(value, binary)


@every_seed
def test_proposition_3_softmax_ce_tends_to_an_eighth_of_margin_mse(seed):
    scores = batch(seed, passages=2)
    _, limit = value_and_gradient("margin-mse", *scores)
    taus = [1, 4, 16, 64, 256]
    scaled = [tau**2 * value_and_gradient("softmax-ce", *scores, temperature=tau)[1] for tau in taus]
    errors = (torch.stack(scaled) - limit / 8).abs().amax(1)  # (taus, the two passages)
    assert (errors.diff(dim=0) < 0).all()
    assert (errors[-1] < 1e-3).all()


@every_seed
def test_label_smoothing_mixes_one_hot_with_uniform(seed):
    student, _, labels = batch(seed)
    log_p = (student / 0.7).log_softmax(-1)
    one_hot = -torch.stack([row[y == 1].mean() for row, y in zip(log_p, labels, strict=True)]).mean()
    for alpha in [0, 0.3, 1]:
        parameters = {"temperature": 0.7, "label_smoothing": alpha}
        value, _ = value_and_gradient("softmax-ce-onehot", student, None, labels, **parameters)
        torch.testing.assert_close(value, (1 - alpha) * one_hot - alpha * log_p.mean())


@every_seed
def test_focal_without_focus_is_cross_entropy(seed):
    scores = batch(seed)
    focal = value_and_gradient("focal", *scores, temperature=0.7, gamma=0)
    cross_entropy = value_and_gradient("softmax-ce-onehot", *scores, temperature=0.7, label_smoothing=0)
    torch.testing.assert_close(focal, cross_entropy)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_focal_has_a_finite_gradient_on_a_solved_row(gamma):
    student, labels = torch.tensor([[200.0, 0]]), torch.tensor([[1, 0]])
    value, gradient = value_and_gradient("focal", student, None, labels, temperature=1, gamma=gamma)
    assert value == 0
    assert gradient.tolist() == [[0, 0]]


def embeddings(scores):
    """One-dimensional query and passage embeddings whose dot products are the scores."""
    return [torch.ones_like(scores[:, :1]), *scores.split(1, dim=-1)]


@every_seed
@pytest.mark.parametrize("passages", [2, 6])
def test_margin_mse_is_sentence_transformers_times_the_number_of_negatives(seed, passages):
    """Theirs is a mean over the pairs of the single positive, the first passage; ours is the paper's sum."""
    student, teacher, labels = batch(seed, passages=passages)
    labels = torch.zeros_like(labels).index_fill(1, torch.tensor(0), 1)
    theirs = MarginMSELoss(model=None).compute_loss_from_embeddings(embeddings(student), teacher)
    ours, _ = value_and_gradient("margin-mse", student, teacher, labels)
    torch.testing.assert_close(ours, (passages - 1) * theirs)


@every_seed
@pytest.mark.parametrize("temperature", [0.7, 4.0])
def test_softmax_ce_is_sentence_transformers_kl_over_temperature_squared_plus_entropy(seed, temperature):
    """Theirs is multiplied by temperature^2 and is the KL divergence; both average over the batch only."""
    student, teacher, labels = batch(seed)
    entropy = torch.distributions.Categorical(logits=teacher / temperature).entropy().mean()
    loss = DistillKLDivLoss(model=None, temperature=temperature)
    theirs = loss.compute_loss_from_embeddings(embeddings(student), teacher)
    ours, _ = value_and_gradient("softmax-ce", student, teacher, labels, temperature=temperature)
    torch.testing.assert_close(ours, theirs / temperature**2 + entropy)


@every_loss
def test_under_autocast_the_loss_keeps_single_precision(name):
    _, teacher, labels = batch(0)
    query = torch.full((4, 1, 1), 30.0, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        student = (query @ teacher.float().unsqueeze(1)).squeeze(1)
        value = loss_function(name, PARAMETERS[name])(student, teacher.float(), labels)
    expected, _ = value_and_gradient(name, student.detach().double(), teacher, labels)
    assert (student.dtype, value.dtype) == (torch.bfloat16, torch.float32)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.autograd.grad(value, query)[0].isfinite().all()


@every_loss
def test_registry_agrees_with_the_functions(name):
    loss = LOSSES[name]
    assert ("student", "teacher", "labels", *loss.parameters) == tuple(signature(loss.function).parameters)
    student, teacher, labels = batch(0)
    value, _ = value_and_gradient(name, student, teacher, labels)
    if loss.needs_teacher:
        assert value != value_and_gradient(name, student, teacher.flip(-1), labels)[0]
    else:
        assert value == value_and_gradient(name, student, None, labels)[0]


def test_an_unknown_loss_names_the_nearest_one():
    with pytest.raises(UserError, match=r"'margin_mse' is not a known loss: .*m3se, .*nearest is 'margin-mse'"):
        loss_function("margin_mse", {})


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("softmax-ce", {}, "'softmax-ce' takes temperature, but was given none"),
        ("m3se", {"gamma": 1.0}, "'m3se' takes no parameters, but was given gamma"),
        ("focal", {"gamma": 2.0, "tau": 1.0}, "'focal' takes temperature, gamma, but was given gamma, tau"),
    ],
)
def test_parameters_must_be_exactly_those_of_the_loss(name, parameters, message):
    with pytest.raises(UserError, match=message):
        loss_function(name, parameters)


def test_the_registry_is_readable_without_torch():
    program = "import sys, dualenc.losses as l; assert l.LOSSES and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
