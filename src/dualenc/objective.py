"""What a training step minimises: a loss of lists of scores, and beside it, if asked for, one of masked words."""

from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder, MultiVectorEncoder
from transformers import BertForMaskedLM

from dualenc import models
from dualenc.batches import Features
from dualenc.losses import loss_function
from dualenc.masking import masked_loss
from dualenc.parameters import Experiment
from dualenc.scoring import Model

PAIR = ("input_ids", "attention_mask", "token_type_ids")


class ListLoss(torch.nn.Module):
    """Adapts a loss of lists to the library's trainers."""

    def __init__(self, model: Model, experiment: Experiment, encoder: str | Path):
        """``encoder`` is the folder that ``model`` started from, whose head predicts masked words."""
        super().__init__()
        self.model, self.experiment = model, experiment
        self.loss = loss_function(experiment.loss, experiment.loss_parameters)
        self.words = WordLoss(model, encoder) if experiment.mlm_weight else None

    def forward(self, features, labels, prompt=None, task=None):
        """The loss of one minibatch; ``features`` as the trainer collects them, ``labels`` (B, 3, K).

        ``prompt`` and ``task`` are the trainer's and not used.
        """
        labels, teacher, places = labels.unbind(1)
        if isinstance(self.model, CrossEncoder):  # its trainer passes the tensors of one set of features
            student = self.model(dict(zip(PAIR, features, strict=True)))["scores"].view(labels.shape)
            return self.loss(student, teacher, labels)
        query, passages, *masked = features
        outputs = self.model(query), self.model(passages)
        compare = self._late_interaction if isinstance(self.model, MultiVectorEncoder) else _dot_products
        loss = self.loss(compare(*outputs, places.long()), teacher, labels)
        return loss + self.experiment.mlm_weight * self.words(masked) if masked else loss

    def _late_interaction(self, query: Features, passages: Features, places: torch.Tensor) -> torch.Tensor:
        """Scores (B, K). Dropout stands here, as the library's module for it knows single embeddings only."""
        tokens = [
            torch.nn.functional.dropout(side["token_embeddings"], self.experiment.dropout, self.model.training)
            for side in (query, passages)
        ]
        rows = torch.arange(len(places), device=places.device).repeat_interleave(places.shape[1])
        at = places.flatten()
        masks = {"a_mask": query["attention_mask"][rows], "b_mask": passages["attention_mask"][at]}
        return self.model.similarity_pairwise(tokens[0][rows], tokens[1][at], **masks).view(places.shape)


def _dot_products(query: Features, passages: Features, places: torch.Tensor) -> torch.Tensor:
    """Scores (B, K) of the passages at ``places`` (B, K) with the queries (B,)."""
    return (query["sentence_embedding"] @ passages["sentence_embedding"].T).gather(1, places)


class WordLoss(torch.nn.Module):
    """The masked language model loss of a student (Appendix C.10): how well it predicts masked words of its texts.

    The head is the encoder's, as it was pre-trained: its output weights are the student's word embeddings, and the rest
    of it is not trained, so the model alone, which checkpoints hold, is what a training changes.
    """

    def __init__(self, model: Model, encoder: str | Path):
        super().__init__()
        models.check(encoder, "encoder")
        self.bert = model.transformers_model
        self.head = BertForMaskedLM.from_pretrained(encoder, local_files_only=True).cls.requires_grad_(False)
        self.head.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
        self.head.to(model.device)

    def forward(self, sides: Sequence[Features]) -> torch.Tensor:
        """The mean over the sides (queries, passages) of the mean over their masked positions."""
        return torch.stack([masked_loss(self.bert, self.head, side)[0] for side in sides]).mean()
