"""What one gradient step on one (query, passage) pair does to the scores of other pairs (section 3.3)."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch

from dualenc.data.runs import Run
from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import reported
from dualenc.scorers import models
from dualenc.scorers.reading import Model, Texts
from dualenc.training.supervision import in_hash_order


def neighbours(candidates: Run, qrels: Mapping[str, Mapping[str, int]], *, pairs: int, others: int) -> pd.DataFrame:
    """The pairs to step on, and for each the other pairs to watch: qid, pid, shared, other_qid, other_pid.

    The pairs to step on are ``pairs`` queries in hash order, each with its best relevant candidate. Watched are
    with ``shared`` = "query" up to ``others`` other candidates of the query, with "passage" the same passage
    with the next ``others`` queries, and with "neither" those queries' own pairs. Raises `UserError` if there are
    fewer than two queries with a relevant candidate.
    """
    stepped = {
        qid: next((pid for pid in candidates[qid].pids if qrels[qid].get(pid, 0) > 0), None)
        for qid in in_hash_order([qid for qid in candidates if qid in qrels])
    }
    stepped = {qid: pid for qid, pid in stepped.items() if pid is not None}
    qids = list(stepped)
    if len(qids) < 2:
        raise UserError("Fewer than two queries have a relevant candidate to step on: raise the scale's depth.")
    rows = []
    for position, qid in enumerate(qids[:pairs]):
        pid = stepped[qid]
        siblings = in_hash_order([other for other in candidates[qid].pids if other != pid], salt=qid)[:others]
        following = (qids[position + 1 :] + qids[:position])[:others]
        rows += [(qid, pid, "query", qid, other) for other in siblings]
        rows += [(qid, pid, "passage", other, pid) for other in following if stepped[other] != pid]
        rows += [(qid, pid, "neither", other, stepped[other]) for other in following if stepped[other] != pid]
    return pd.DataFrame(rows, columns=["qid", "pid", "shared", "other_qid", "other_pid"])


def changes(
    model: Model,
    source: Texts,
    watched: pd.DataFrame,
    query_rows: Mapping[str, int],
    passage_rows: Mapping[str, int],
    *,
    step: float,
) -> pd.DataFrame:
    """``watched`` of `neighbours` with ``own_change``, of the stepped pair's score, and ``change``, of the other's.

    Every loss of one score has a gradient along that score's own, and only sets the length of the step. So the step
    goes along the score's gradient, without momentum or weight decay, and its learning rate is chosen for each pair:
    to first order the pair's own score rises by ``step`` standard deviations of this model's scores of the watched
    pairs. A copy of ``model`` is stepped, in evaluation mode and in float64: changes may be far smaller than what
    float32 keeps of scores with a large baseline. Raises `UserError` if all scores are equal.
    """
    model, score = copy.deepcopy(model).double().eval(), models.kind(model).differentiable
    queries = np.array([query_rows[qid] for qid in watched.other_qid])
    passages = np.array([passage_rows[pid] for pid in watched.other_pid])
    # The stepped pair itself comes last in each group.
    groups = [
        (at, np.append(queries[at], query_rows[qid]), np.append(passages[at], passage_rows[pid]))
        for (qid, pid), at in watched.groupby(["qid", "pid"], sort=False).indices.items()
    ]
    with torch.no_grad():
        before = [score(model, source, *rows) for _, *rows in reported(groups, "scoring", "lists", len(groups))]
    spread = float(torch.cat([scores[:-1] for scores in before]).std(correction=0))
    if not spread > 0:
        raise UserError("All scores of the model are equal, so no step can be scaled to them: train it again.")
    own_change, change = np.empty(len(watched)), np.empty(len(watched))
    steps = zip(groups, before, strict=True)
    for (at, *rows), scores in reported(steps, "stepping", "pairs", len(groups)):
        own = score(model, source, *(side[-1:] for side in rows))
        with _stepped(model, own.squeeze(), rise=step * spread), torch.no_grad():
            moved = (score(model, source, *rows) - scores).cpu().numpy()
        change[at], own_change[at] = moved[:-1], moved[-1]
    return watched.assign(own_change=own_change, change=change)


@contextmanager
def _stepped(model: Model, score: torch.Tensor, *, rise: float) -> Iterator[None]:
    """Within the block, ``model`` is one step further along the gradient of ``score``, which then rises by ``rise``."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    saved = [parameter.detach().clone() for parameter in parameters]
    gradients = torch.autograd.grad(score, parameters, allow_unused=True, materialize_grads=True)
    rate = rise / sum(float(gradient.square().sum()) for gradient in gradients)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.add_(gradient, alpha=rate)
    yield
    with torch.no_grad():
        for parameter, value in zip(parameters, saved, strict=True):
            parameter.copy_(value)
