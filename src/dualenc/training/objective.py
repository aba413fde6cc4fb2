"""What a training step minimises: a loss of lists of scores and, if asked for, one of masked words."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import BertForMaskedLM

from dualenc.encoders import encoder_files
from dualenc.encoders.batches import Features, unpadded
from dualenc.losses import loss_function
from dualenc.scorers import distributed, models
from dualenc.scorers.reading import Model
from dualenc.study.kinds import KINDS
from dualenc.study.schema import Experiment
from dualenc.training.masking import IGNORED, masked_loss
from dualenc.training.minibatches import Targets

PAIR = ("input_ids", "attention_mask", "token_type_ids")


class ListLoss(torch.nn.Module):
    """Adapts a loss of lists to the library's trainers."""

    def __init__(self, model: Model, experiment: Experiment, encoder: str | Path, tokens_per_batch: int):
        """``encoder`` is the folder that ``model`` started from, whose head predicts masked words.

        The model reads a minibatch in parts of similar length, of ``tokens_per_batch``, and so with little padding.
        """
        super().__init__()
        self.model, self.experiment, self.tokens_per_batch = model, experiment, tokens_per_batch
        self.loss = loss_function(experiment.loss, experiment.loss_parameters)
        self.words = WordLoss(model, encoder) if experiment.mlm_weight else None

    def forward(self, features, labels, prompt=None, task=None):
        """The loss of one minibatch; ``features`` as the trainer collects them, ``labels`` the packed targets.

        ``prompt`` and ``task`` are the trainer's and not used. Each of several processes has the features of its share,
        and the labels of all; all return the loss of the whole minibatch.
        """
        labels, teacher, places = Targets.unpacked(labels)
        model = getattr(self.model, "module", self.model)  # within the trainer's wrapper for several processes
        kind = models.kind(model)
        if KINDS[self.experiment.model].reads == "pair":  # its trainer passes the tensors of one set of features
            scores = self._read(dict(zip(PAIR, features, strict=True)), kind.OUTPUT).view(-1)
            student = distributed.gather(scores).view(labels.shape)
            return self.loss(student, teacher, labels)
        query, passages, *masked = features
        outputs = [self._outputs(model, side) for side in (query, passages)]
        loss = self.loss(kind.compare(model, *outputs, places), teacher, labels)
        if hasattr(kind, "penalty"):
            loss = loss + self.experiment.sparsity * kind.penalty(model, *outputs)
        return loss + self.experiment.mlm_weight * self.words(masked) if masked else loss

    def _outputs(self, model: Model, side: Features) -> Features:
        """What the texts of a side are compared by, those of all processes."""
        kind = models.kind(model)
        found = kind.of_side(self._read(side, kind.OUTPUT), side, self.experiment.dropout, model.training)
        return {name: distributed.gather(tensor) for name, tensor in found.items()}

    def _read(self, features: Features, name: str) -> torch.Tensor:
        """What the model calls ``name`` of the texts (B, L): (B, ...), or (B, L, D) of their tokens."""
        parts, places = unpadded(features, self.tokens_per_batch)
        outputs = [self.model(part)[name] for part in parts]
        if outputs[0].ndim == 3:
            length = features["input_ids"].shape[1]
            outputs = [torch.nn.functional.pad(output, (0, 0, 0, length - output.shape[1])) for output in outputs]
        return torch.cat(outputs)[places]


class WordLoss(torch.nn.Module):
    """The masked language model loss of a student (Appendix C.10): how well it predicts masked words of its texts.

    The head is the encoder's, as it was pre-trained: its output weights are the student's word embeddings, and the rest
    of it is not trained, so the model alone, which checkpoints hold, is all that training changes.
    """

    def __init__(self, model: Model, encoder: str | Path):
        super().__init__()
        models.check(encoder, "encoder")
        encoder_files.check_weights(encoder, ["words"])
        self.bert = model.transformers_model.base_model
        self.head = BertForMaskedLM.from_pretrained(encoder, local_files_only=True).cls.requires_grad_(False)
        self.head.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
        self.head.to(model.device)

    def forward(self, sides: Sequence[Features]) -> torch.Tensor:
        """The mean over the sides (queries, passages) of the mean over their masked positions."""
        return torch.stack([self._side(side) for side in sides]).mean()

    def _side(self, side: Features) -> torch.Tensor:
        mean = masked_loss(self.bert, self.head, side)[0]
        if distributed.size() == 1:
            return mean
        masked = (side["labels"] != IGNORED).sum()  # a share may have none, whose mean is NaN
        own = torch.stack([torch.where(masked > 0, mean * masked, 0.0), masked.to(mean.dtype)])
        total, count = distributed.gather(own[None]).sum(0)
        return total / count
