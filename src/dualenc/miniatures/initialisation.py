"""Where a miniature starts from before it sees its first batch: word vectors of a latent semantic analysis.

From random weights, masked language modelling needs hours before an encoder is of any use for ranking. Word vectors
from a truncated SVD of the train split (Deerwester et al., 1990), each as long as its word is rare (Spärck Jones,
1972), take seconds, and mean pooling over them already ranks. Layers start small, so that they refine these vectors
instead of burying them. In the first layer queries equal keys, so a token attends to its copies (compare Trockman and
Kolter, "Mimetic initialization of self-attention layers", 2023), and what differs between the copies, their side of the
pair, tells whether a word of the query is in the passage: what a cross-attention model has to find out first.
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds
from transformers import BertForPreTraining

from dualenc.runtime.errors import UserError
from dualenc.scorers.reading import Texts

SCALE = 0.125  # root mean square of the word vectors; what precedes a layer normalisation has no scale of its own
SIDE = 0.06  # size of the vectors that tell the sides of a pair apart, small against a rare word's
POSITION = 0.01
LAYER = 0.125  # standard deviation of the layers' weights at width 64, falling with the root of the width
COPIES = 5.0  # how much a token's copies stand out in the first attention, in logits


def word_vectors(source: Texts, pairs: np.ndarray, width: int, seed: int) -> np.ndarray:
    """Vectors (vocabulary, width) of all word pieces: directions by LSA over ``pairs`` (N, 2), lengths by IDF.

    A piece that never occurs has the vector 0.
    """
    pieces = [np.unique([*source.queries.row(query), *source.passages.row(passage)]) for query, passage in pairs]
    documents = np.repeat(np.arange(len(pairs)), [len(one) for one in pieces])
    ones = np.ones(len(documents))
    counts = csr_matrix((ones, (np.concatenate(pieces), documents)), shape=(source.vocabulary, len(pairs)))
    idf = np.log((len(pairs) + 1) / (np.asarray(counts.sum(1)).ravel() + 1))
    start = np.random.default_rng(seed).normal(size=min(counts.shape))
    directions, _, _ = svds(diags(idf) @ counts, k=width, v0=start)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    vectors = idf[:, None] * directions / np.where(lengths > 0, lengths, 1)
    return vectors * SCALE / np.sqrt(np.mean(vectors**2))


def start(model: BertForPreTraining, vectors: np.ndarray, seed: int) -> None:
    """Set the weights of ``model`` as the module describes; ``vectors`` (vocabulary, width) are its words'."""
    generator = torch.Generator().manual_seed(seed)
    embeddings, width = model.bert.embeddings, model.config.hidden_size

    def normal(weight: torch.Tensor, scale: float) -> None:
        with torch.no_grad():
            weight.normal_(0, scale, generator=generator)

    with torch.no_grad():
        embeddings.word_embeddings.weight.copy_(torch.from_numpy(vectors))
    normal(embeddings.token_type_embeddings.weight, SIDE)
    normal(embeddings.position_embeddings.weight, POSITION)
    for layer in model.bert.encoder.layer:
        for module in layer.modules():
            if isinstance(module, torch.nn.Linear):
                normal(module.weight, LAYER * (64 / width) ** 0.5)
    attention = model.bert.encoder.layer[0].attention.self
    size = attention.attention_head_size
    with torch.no_grad():
        for head in range(attention.num_attention_heads):
            square = torch.randn(width, size, generator=generator)
            rows = slice(head * size, (head + 1) * size)
            attention.query.weight[rows] = torch.linalg.qr(square)[0].T * (COPIES**2 / size) ** 0.25
        attention.key.weight.copy_(attention.query.weight)


def grow(model: BertForPreTraining, lower: BertForPreTraining, seed: int) -> None:
    """Start ``model`` from a shallower one of the same width, with new layers on top that change nothing yet.

    A new layer's outputs are 0 and its normalisations are the last one's, so each passes on what it gets (compare Gong
    et al., "Efficient training of BERT by progressively stacking", 2019). Raises ``UserError`` for another width.
    """
    if lower.config.hidden_size != model.config.hidden_size or lower.config.vocab_size != model.config.vocab_size:
        raise UserError(
            f"an encoder of width {model.config.hidden_size} and {model.config.vocab_size} word pieces cannot grow "
            f"from one of width {lower.config.hidden_size} and {lower.config.vocab_size}: correct grows_from."
        )
    generator = torch.Generator().manual_seed(seed)
    model.load_state_dict(lower.state_dict(), strict=False)
    depth = len(lower.bert.encoder.layer)
    last = lower.bert.encoder.layer[-1].output.LayerNorm.state_dict()
    for layer in model.bert.encoder.layer[depth:]:
        for module in layer.modules():
            if isinstance(module, torch.nn.Linear):
                with torch.no_grad():
                    module.weight.normal_(0, LAYER * (64 / model.config.hidden_size) ** 0.5, generator=generator)
        for block in (layer.attention.output, layer.output):
            torch.nn.init.zeros_(block.dense.weight)
            block.LayerNorm.load_state_dict(last)
