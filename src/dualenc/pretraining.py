"""Pre-training of miniature BERTs on the text of train splits: words, pairs, and vectors.

Each position of the training is a query, its relevant passage and passages that BM25 retrieves for it too. Three
objectives share the encoder:

- masked: masked language modelling, of the chosen tokens 80 % become [MASK], 10 % a random token, 10 % stay (Devlin et
  al., 2019). Whole lists are masked or not, all pairs of a list alike: masks in relevant pairs only would tell them.
- pair: which of the list's passages belongs to the query, softmax cross-entropy over the scores of BERT's sentence-pair
  head on [CLS] query [SEP] passage [SEP], the format of a cross-attention model.
- contrastive: which passage of the minibatch belongs to the query, softmax cross-entropy over dot products of pooled
  and normalised vectors, the format of a dual-encoder; one BM25 negative of each list takes part.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy, layer_norm
from torch.utils.data import SequentialSampler
from transformers import BertForPreTraining, TrainingArguments, set_seed

from dualenc import batches, initialisation, models, resumable
from dualenc.divergence import FiniteSteps
from dualenc.evaluation import Qrels, evaluate
from dualenc.masking import IGNORED, mask
from dualenc.parameters import Encoder, Pretraining
from dualenc.runs import Run, ranked
from dualenc.scoring import Texts
from dualenc.supervision import Lists, pick

MEASURE = "MRR@10"


class Held(NamedTuple):
    """What is probed: a set's candidates and judgements, and the rows of its qids and pids in ``source``."""

    source: Texts
    candidates: Run
    qrels: Qrels
    query_rows: Mapping[str, int]
    passage_rows: Mapping[str, int]


class PretrainingTrainer(FiniteSteps):
    """The library's trainer, with positions in order, the three objectives, and probes of each."""

    def __init__(self, *args, parameters: Pretraining, held_out: Held, lengths: Mapping[str, int], **kwargs):
        super().__init__(*args, **kwargs)
        self.parameters, self.held_out, self.lengths = parameters, held_out, lengths

    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Weighted sum of the objectives on one batch of ``Collator``."""
        weights, loss = self.parameters.objectives, 0.0
        if weights.masked or weights.pair:
            scores, hidden = read_pairs(model, inputs["pairs"])
            if weights.pair:
                relevant = inputs["relevant"]
                target = relevant / relevant.sum(-1, keepdim=True)
                loss = loss + weights.pair * cross_entropy(scores.view(relevant.shape), target)
            chosen = inputs["words"] != IGNORED
            if weights.masked and chosen.any():
                logits = model.cls.predictions(hidden[chosen])
                loss = loss + weights.masked * cross_entropy(logits, inputs["words"][chosen])
            else:
                loss = loss + 0 * hidden.sum()  # a batch without a masked list may have no other objective
        if weights.contrastive:
            queries, passages = (vectors(model, inputs[side], self.parameters.gain) for side in ("queries", "passages"))
            target = torch.arange(len(queries), device=queries.device) * (len(passages) // len(queries))
            loss = loss + weights.contrastive * cross_entropy(queries @ passages.T, target)
        return (loss, {}) if return_outputs else loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """Probes on the held-out set; see ``probe``."""
        self.model.eval()
        with torch.inference_mode():
            values = probe(self.model, self.held_out, self.parameters, self.lengths)
        self.model.train()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in values.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def read_pairs(model: BertForPreTraining, features: batches.Features) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (N,) of the sentence-pair head, higher when passage and query belong together, and states (N, L, W)."""
    output = model.bert(**features)
    belongs, random = model.cls.seq_relationship(output.pooler_output).unbind(-1)
    return belongs - random, output.last_hidden_state


def vectors(model: BertForPreTraining, features: batches.Features, gain: float) -> torch.Tensor:
    """Mean-pooled, layer-normalised vectors (N, W) as a dual-encoder starts with; ``gain`` as in its output."""
    hidden = model.bert(**features).last_hidden_state
    mask = features["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    pooled = (hidden * mask).sum(1) / mask.sum(1)
    return gain * layer_norm(pooled, pooled.shape[-1:])


def probe(
    model: BertForPreTraining, held_out: Held, parameters: Pretraining, lengths: Mapping[str, int]
) -> dict[str, float]:
    """What the encoder can do before any fine-tuning, on held-out queries and their BM25 candidates.

    ``pair_MRR@10`` and ``vector_MRR@10``: re-ranking by the pair head and by dot products. ``pair_accuracy``: how often
    the pair head puts a relevant passage above one that is not. ``masked_accuracy``: masked words of relevant pairs. A
    share of nothing is left out.
    """
    source, run = held_out.source, held_out.candidates
    sizes = [len(ranking.pids) for ranking in run.values()]
    queries = np.repeat([held_out.query_rows[qid] for qid in run], sizes)
    passages = np.array([held_out.passage_rows[pid] for ranking in run.values() for pid in ranking.pids])
    relevant = np.array([held_out.qrels[qid].get(pid, 0) > 0 for qid, ranking in run.items() for pid in ranking.pids])
    columns = source.queries, source.passages

    def pair_features(at: np.ndarray) -> batches.Features:
        return batches.pairs(*columns, queries[at], passages[at], source.special, lengths["pair"])

    def on_device(features: batches.Features) -> batches.Features:
        return {name: tensor.to(model.device) for name, tensor in features.items()}

    def text_vectors(column, rows: np.ndarray) -> np.ndarray:
        features = batches.texts(column, rows, source.special, lengths["text"])
        return vectors(model, on_device(features), parameters.gain).float().cpu().numpy()

    by_pair, by_vector = np.empty(len(queries)), np.empty(len(queries))
    for start in range(0, len(queries), 512):
        at = np.arange(start, min(start + 512, len(queries)))
        by_pair[at] = read_pairs(model, on_device(pair_features(at)))[0].float().cpu().numpy()
        unique, index = np.unique(queries[at], return_inverse=True)
        asked, found = text_vectors(source.queries, unique)[index], text_vectors(source.passages, passages[at])
        by_vector[at] = np.einsum("nd,nd->n", asked, found)
    values = {}
    for name, scores in {"pair": by_pair, "vector": by_vector}.items():
        ends = np.cumsum(sizes)
        scored = {
            qid: ranked(qid, ranking.pids, scores[end - size : end])
            for (qid, ranking), size, end in zip(run.items(), sizes, ends, strict=True)
        }
        per_query = evaluate(scored, held_out.qrels, [MEASURE])[MEASURE]
        values[f"{name}_{MEASURE}"] = float(np.mean(list(per_query.values())))
    wins = [
        np.mean(by_pair[mine & relevant][:, None] > by_pair[mine & ~relevant])
        for mine in (queries == query for query in np.unique(queries))
        if relevant[mine].any() and not relevant[mine].all()
    ]
    if wins:
        values["pair_accuracy"] = float(np.mean(wins))
    if not relevant.any() or not parameters.masked:
        return values
    generator = np.random.default_rng(parameters.seed)
    features = pair_features(np.flatnonzero(relevant))
    masked = on_device(mask(features, parameters.masked, source.special, source.vocabulary, generator))
    words = masked.pop("labels")
    chosen = words != IGNORED
    predicted = model.cls.predictions(read_pairs(model, masked)[1][chosen]).argmax(-1)
    values["masked_accuracy"] = (predicted == words[chosen]).float().mean().item()
    return values


class Collator:
    """Batches of lists; what stands at a position depends on the seed and the position alone."""

    def __init__(self, source: Texts, lists: Lists, rows: np.ndarray, parameters: Pretraining, lengths: Mapping):
        self.source, self.lists, self.rows = source, lists, rows
        self.parameters, self.lengths = parameters, lengths

    def __call__(self, items: Sequence[Mapping[str, int]]) -> dict:
        """Features of ``pairs`` (B x K, L), ``relevant`` (B, K), ``words``, and texts: ``queries``, ``passages``."""
        at = [item["position"] for item in items]
        rows = self.rows[at]
        size, source, lists = self.parameters.list_size, self.source, self.lists
        generator = np.random.default_rng([self.parameters.seed, at[0]])
        columns = np.stack([pick(lists, row, size=size, selection="sampled", generator=generator) for row in rows])
        passages, relevant = lists.passages[rows[:, None], columns], lists.labels[rows[:, None], columns]
        queries = lists.queries[rows]
        pairs = batches.pairs(
            *(source.queries, source.passages, np.repeat(queries, size), passages.ravel()),
            *(source.special, self.lengths["pair"]),
        )
        masked_lists = np.repeat(generator.random(len(rows)) < self.parameters.masked_lists, size)
        share = np.where(masked_lists, self.parameters.masked, 0.0)[:, None]
        pairs = mask(pairs, share, source.special, source.vocabulary, generator)
        words = pairs.pop("labels")
        contrasted = passages[:, [0, -1]].ravel()  # a positive comes first, a negative last
        return {
            "pairs": pairs,
            "words": words,
            "relevant": torch.from_numpy(relevant),
            "queries": batches.texts(source.queries, queries, source.special, self.lengths["text"]),
            "passages": batches.texts(source.passages, contrasted, source.special, self.lengths["text"]),
        }


def pretrain(
    source: Texts,
    lists: Lists,
    held_out: Held,
    *,
    times: np.ndarray,
    encoder: Encoder,
    start: Path | None,
    parameters: Pretraining,
    lengths: Mapping[str, int],
    state: Path,
) -> tuple[BertForPreTraining, list[tuple[int, str, str, float]]]:
    """Pre-train a miniature of the shape ``encoder``.

    ``lists`` are rows of ``source``; list i counts ``times[i]`` times in an epoch. Weights come from the shallower
    miniature in ``start`` as far as it goes, the others from ``dualenc.initialisation``. Returns the model and the
    curve, rows of (step, split, metric, value). ``state`` holds what a later call needs to go on; its lock must be
    held.
    """
    set_seed(parameters.seed)
    if encoder.objectives:
        parameters = parameters.model_copy(update={"objectives": encoder.objectives})
    model = models.pretraining_model(
        layers=encoder.layers,
        width=encoder.width,
        heads=encoder.heads,
        vocabulary=source.vocabulary,
        max_length=lengths["pair"],
        pad=source.special["pad"],
    )
    if start is None and encoder.start == "words":
        pairs = np.stack([lists.queries, lists.passages[:, 0]], axis=1)
        initialisation.start(
            model, initialisation.word_vectors(source, pairs, encoder.width, parameters.seed), parameters.seed
        )
    elif start is not None:
        initialisation.grow(model, models.load_pretrained(start), parameters.seed)
    steps = encoder.steps
    if steps is None:
        steps = parameters.steps if start is None else parameters.grown_steps
    every = np.repeat(np.arange(len(lists.queries)), times)
    at_least = max(1, steps)  # the trainer knows no training of 0 steps: then it only probes
    rows = every[resumable.positions(at_least * parameters.batch_size, len(every), parameters.seed)]
    arguments = resumable.arguments(
        state,
        steps=at_least,
        batch_size=parameters.batch_size,
        learning_rate=parameters.learning_rate,
        weight_decay=parameters.weight_decay,
        warmup=parameters.warmup,
        evaluate_every=parameters.evaluate_every,
        seed=parameters.seed,
    )
    trainer = PretrainingTrainer(
        model=model,
        args=TrainingArguments(**arguments, eval_on_start=True, bf16=models.bfloat16(encoder.width)),
        train_dataset=Dataset.from_dict({"position": range(len(rows))}),
        eval_dataset=Dataset.from_dict({"position": range(len(held_out.candidates))}),
        data_collator=Collator(source, lists, rows, parameters, lengths),
        parameters=parameters,
        held_out=held_out,
        lengths=lengths,
    )
    if steps:
        resumable.fit(trainer, "encoder")
    else:
        trainer.evaluate()
    log = trainer.state.log_history
    names = [f"pair_{MEASURE}", f"vector_{MEASURE}", "pair_accuracy", "masked_accuracy"]
    return trainer.model, resumable.curve(log, {f"eval_{name}": ("validation", name) for name in names})
