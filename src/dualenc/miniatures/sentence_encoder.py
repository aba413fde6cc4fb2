"""What a published sentence encoder says about texts and their word pieces: what miniatures are distilled to.

Pre-trained distillation (Turc et al., 2019) needs text alone, no label. The encoder comes with a package of the Python
package index, as files that are checked by their SHA-256 (`dualenc.encoders.packages`).

The target of a word piece is what the encoder says about its word, the mean over the encoder's own pieces of it: both
tokenizers are BERT's and so find the same words.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from dualenc.encoders import batches
from dualenc.scorers import models
from dualenc.study.schema import SentenceEncoder

BASIS = 2048  # texts whose words decide the directions that are kept


class Sentences:
    """A sentence encoder that reads texts."""

    def __init__(self, path: Path, encoder: SentenceEncoder, tokens_per_batch: int):
        self.model = SentenceTransformer(str(path), device=models.device(), local_files_only=True)
        self.model.eval()
        self.tokenizer = self.model.tokenizer.backend_tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(encoder.max_length)
        self.directions, self.tokens_per_batch = encoder.directions, tokens_per_batch

    def basis(self, texts: Sequence[str]) -> np.ndarray:
        """Where the words of some texts differ most: a mean and principal components, (1 + ``directions``, D).

        The components have one length, chosen so that projections have a mean square of 1.
        """
        words = np.concatenate([words for _, _, words in self._read(texts)]).astype(np.float64)
        mean = words.mean(0)
        _, lengths, components = np.linalg.svd(words - mean, full_matrices=False)
        scale = np.sqrt(np.mean(lengths[: self.directions] ** 2) / len(words))
        return np.concatenate([mean[None], components[: self.directions] / scale]).astype(np.float32)

    def say(
        self, texts: Sequence[str], words: Sequence[Sequence[int]], basis: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (N, D) of texts, and (total, P) of pieces: ``words`` are the words of the text that these belong to.

        A piece of a word that the encoder did not read gets NaN.
        """
        vectors, pieces = [np.empty(0)] * len(texts), [np.empty(0)] * len(texts)
        for place, vector, states in self._read(texts):
            of = np.array(words[place], dtype=int)
            projected = (states - basis[0]) @ basis[1:].T
            pieces[place] = np.full((len(of), len(basis) - 1), np.nan, dtype=np.float32)
            pieces[place][of < len(states)] = projected[of[of < len(states)]]
            vectors[place] = vector
        return np.stack(vectors), np.concatenate(pieces)

    def _read(self, texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each text its place, its vector (D,), and the vector of each of its words (words, D)."""
        encodings = self.tokenizer.encode_batch(list(texts))
        lengths = np.array([len(encoding.ids) for encoding in encodings])
        for batch in batches.by_length(lengths, self.tokens_per_batch):
            ids = torch.zeros(len(batch), lengths[batch[0]], dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, place in enumerate(batch):
                ids[row, : lengths[place]] = torch.tensor(encodings[place].ids)
                mask[row, : lengths[place]] = 1
            features = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
            with torch.inference_mode():
                output = self.model({name: tensor.to(self.model.device) for name, tensor in features.items()})
            states, vectors = (
                output[name].float().cpu().numpy() for name in ("token_embeddings", "sentence_embedding")
            )
            for row, place in enumerate(batch):
                yield int(place), vectors[row], _words(states[row], encodings[place].word_ids)


def _words(states: np.ndarray, words: Sequence[int | None]) -> np.ndarray:
    """The mean state of each word (words, D): ``words`` are the words that the rows of ``states`` are pieces of."""
    inside = np.array([row for row, word in enumerate(words) if word is not None], dtype=int)
    if not len(inside):
        return np.empty((0, states.shape[1]), states.dtype)
    of = np.array([words[row] for row in inside])
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    counts = np.diff(starts, append=len(of))[:, None]
    return np.add.reduceat(states[inside], starts) / counts
