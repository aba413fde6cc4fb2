"""Pre-training of miniature BERTs on the text of train splits: pairs, words, and vectors of a sentence encoder.

Each position in training is a query, its relevant passage and passages that BM25 retrieves for it too, and some texts
without any label. Five objectives share the encoder.

On the lists:

- pair: which of the list's passages belongs to the query, softmax cross-entropy over the scores of BERT's sentence-pair
  head on [CLS] query [SEP] passage [SEP], the format of a cross-attention model.
- contrastive: which passage of the minibatch belongs to the query, softmax cross-entropy over dot products of pooled
  and normalised vectors, the format of a dual-encoder; one BM25 negative of each list takes part.

On the texts, of which a share is masked:

- masked: masked language modelling; of the chosen tokens, 80 % become [MASK], 10 % a random token, and 10 % stay
  (Devlin et al., 2019).
- sentences: which of the minibatch's texts are alike, softmax cross-entropy of dot products of pooled vectors against
  cosines of the sentence encoder's (`dualenc.miniatures.sentence_encoder`).
- pieces: what the sentence encoder says about each word, the squared distance of a projection of the last layer.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy, layer_norm, mse_loss
from torch.utils.data import SequentialSampler
from transformers import BertForPreTraining, TrainingArguments, set_seed

from dualenc.data.runs import Run, ranked
from dualenc.encoders import batches, precision
from dualenc.evaluation.metrics import Qrels, evaluate
from dualenc.miniatures import initialisation
from dualenc.miniatures.pretraining_batches import Collator, Unlabelled
from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import reported
from dualenc.scorers import models
from dualenc.scorers.reading import Texts
from dualenc.study.schema import Encoder, Pretraining
from dualenc.training import resumable
from dualenc.training.divergence import FiniteSteps
from dualenc.training.masking import IGNORED, mask
from dualenc.training.supervision import Lists

MEASURE = "MRR@10"


class Held(NamedTuple):
    """What is probed: a set's candidates and judgements, and the rows of its qids and pids in ``source``."""

    source: Texts
    candidates: Run
    qrels: Qrels
    query_rows: Mapping[str, int]
    passage_rows: Mapping[str, int]


class PretrainingTrainer(FiniteSteps):
    """The library's trainer, with positions in order, the objectives, and probes of them."""

    def __init__(self, *args, parameters: Pretraining, held_out: Held, lengths: Mapping[str, int], **kwargs):
        super().__init__(*args, **kwargs)
        self.parameters, self.held_out, self.lengths = parameters, held_out, lengths
        self.tokens_per_batch = held_out.source.tokens_per_batch

    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Weighted sum of the objectives on one batch of ``Collator``."""
        weights, gain = self.parameters.objectives, self.parameters.gain
        parts = {}
        if weights.pair:
            relevant = inputs["relevant"]
            scores = pair_scores(model, inputs["pairs"], self.tokens_per_batch).view(relevant.shape)
            parts["pair"] = cross_entropy(scores, relevant / relevant.sum(-1, keepdim=True))
        if weights.contrastive:
            queries, passages = (vectors(model, inputs[side], gain) for side in ("queries", "passages"))
            target = torch.arange(len(queries), device=queries.device) * (len(passages) // len(queries))
            parts["contrastive"] = cross_entropy(queries @ passages.T, target)
        if weights.masked or weights.sentences or weights.pieces:
            parts |= text_losses(model, inputs, gain)
        loss = sum(getattr(weights, name) * part for name, part in parts.items() if getattr(weights, name))
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


def pair_scores(model: BertForPreTraining, features: batches.Features, tokens_per_batch: int) -> torch.Tensor:
    """Scores (N,) as ``read_pairs``, of parts of similar length, which saves padding and stays in a core's cache."""
    parts, places = batches.unpadded(features, tokens_per_batch)
    return torch.cat([read_pairs(model, part)[0] for part in parts])[places]


def vectors(model: BertForPreTraining, features: batches.Features, gain: float) -> torch.Tensor:
    """Mean-pooled, layer-normalised vectors (N, W) as a dual-encoder starts with; ``gain`` as in its output."""
    return pooled(model.bert(**features).last_hidden_state, features["attention_mask"], gain)


def pooled(hidden: torch.Tensor, attention: torch.Tensor, gain: float) -> torch.Tensor:
    """What ``vectors`` makes of states (N, L, W) and their attention mask (N, L)."""
    mask = attention.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    return gain * layer_norm(mean, mean.shape[-1:])


def text_losses(model: BertForPreTraining, inputs: Mapping, gain: float) -> dict[str, torch.Tensor]:
    """The parts of the loss that need no label: ``masked``, and what there are targets of in a batch's ``texts``."""
    features, words = inputs["texts"], inputs["words"]
    hidden = model.bert(**features).last_hidden_state
    chosen = words != IGNORED
    parts = {}
    if chosen.any():
        parts["masked"] = cross_entropy(model.cls.predictions(hidden[chosen]), words[chosen])
    if "sentences" in inputs:
        whole = slice(-len(inputs["sentences"]), None)  # the texts in which nothing was to be masked
        own = pooled(hidden[whole], features["attention_mask"][whole], gain)
        others = ~torch.eye(len(own), dtype=torch.bool, device=own.device)
        alike, target = (scores[others].view(len(own), -1) for scores in (own @ own.T, inputs["sentences"]))
        target = target.softmax(-1)
        parts["sentences"] = cross_entropy(alike, target) - torch.special.entr(target).sum(-1).mean()
    if "pieces" in inputs:
        parts["pieces"] = mse_loss(model.distilled(hidden[inputs["pieces_at"]]), inputs["pieces"])
    return parts


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
    starts = range(0, len(queries), 512)
    for start in reported(starts, "probing", "parts", len(starts)):
        at = np.arange(start, min(start + 512, len(queries)))
        by_pair[at] = read_pairs(model, on_device(pair_features(at)))[0].float().cpu().numpy()
        sides = []
        for column, rows in ((source.queries, queries[at]), (source.passages, passages[at])):
            unique, index = np.unique(rows, return_inverse=True)
            sides.append(text_vectors(column, unique)[index])
        by_vector[at] = np.einsum("nd,nd->n", *sides)
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


def initial_model(
    source: Texts, lists: Lists, encoder: Encoder, start: Path | None, seed: int, max_length: int
) -> BertForPreTraining:
    """A miniature before its first step: grown from the one in ``start``, or made by `initialisation`."""
    model = models.pretraining_model(
        layers=encoder.layers,
        width=encoder.width,
        heads=encoder.heads,
        vocabulary=source.vocabulary,
        max_length=max_length,
        pad=source.special["pad"],
    )
    if start is not None:
        initialisation.grow(model, models.load_pretrained(start), seed)
    elif encoder.start == "words":
        pairs = np.stack([lists.queries, lists.passages[:, 0]], axis=1)
        initialisation.start(model, initialisation.word_vectors(source, pairs, encoder.width, seed), seed)
    return model


def pretrain(
    source: Texts,
    lists: Lists,
    unlabelled: Unlabelled,
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

    ``lists`` are rows of ``source``; list i counts ``times[i]`` times in an epoch. ``unlabelled`` are further texts.
    Weights come from the shallower miniature in ``start`` as far as it goes, the others from
    `initialisation`. Returns the model and the curve, rows of (step, split, metric, value). ``state`` holds what a
    later call needs to continue; its lock must be held. Raises ``UserError`` for an objective that lacks its vectors.
    """
    set_seed(parameters.seed)
    if encoder.objectives:
        parameters = parameters.model_copy(update={"objectives": encoder.objectives})
    model = initial_model(source, lists, encoder, start, parameters.seed, lengths["pair"])
    if unlabelled.sentences is None and (parameters.objectives.sentences or parameters.objectives.pieces):
        raise UserError(
            "the objectives sentences and pieces need a sentence encoder's vectors of the texts, which were made "
            "without one: name one in pretraining.sentence_encoder, or set both weights to 0."
        )
    steps = encoder.steps
    if steps is None:
        steps = parameters.steps if start is None else parameters.grown_steps
    every = np.repeat(np.arange(len(lists.queries)), times)
    at_least = max(1, steps)  # the trainer cannot train for 0 steps: then it only probes
    rows = every[resumable.positions(at_least * parameters.batch_size, len(every), parameters.seed)]
    texts = resumable.positions(at_least * parameters.texts_per_step, len(unlabelled.texts.lengths()), parameters.seed)
    if unlabelled.pieces is not None:  # a head that only pre-training has
        model.distilled = torch.nn.Linear(encoder.width, unlabelled.pieces.shape[1])
    arguments = resumable.arguments(
        state,
        steps=at_least,
        batch_size=parameters.batch_size,
        learning_rate=parameters.learning_rate if start is None else parameters.grown_learning_rate,
        weight_decay=parameters.weight_decay,
        warmup=parameters.warmup,
        evaluate_every=parameters.evaluate_every,
        seed=parameters.seed,
    )
    way = precision.way(encoder.width, training=True)
    trainer = PretrainingTrainer(
        model=model,
        args=TrainingArguments(**arguments, eval_on_start=True, bf16=precision.WAYS[way].bfloat16),
        train_dataset=Dataset.from_dict({"position": range(len(rows))}),
        eval_dataset=Dataset.from_dict({"position": range(len(held_out.candidates))}),
        data_collator=Collator(source, lists, unlabelled, rows, texts, parameters, lengths),
        parameters=parameters,
        held_out=held_out,
        lengths=lengths,
    )
    if steps:
        resumable.fit(trainer, "encoder")
    else:
        trainer.evaluate()
    if unlabelled.pieces is not None:
        del model.distilled
    log = trainer.state.log_history
    names = [f"pair_{MEASURE}", f"vector_{MEASURE}", "pair_accuracy", "masked_accuracy"]
    return trainer.model, resumable.curve(log, {f"eval_{name}": ("validation", name) for name in names})
