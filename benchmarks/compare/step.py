"""Ways to calculate a training step of an encoder: seconds of each, and the share of the matrix rate that it reaches.

    python benchmarks/compare/step.py --threads 1

A step reads passages as long as MS MARCO's: forwards, backwards and AdamW. The first way is what a library does, the
second what this project does; each other one differs from that in what its name says. All ways are timed in turns, and
each is first held against the first way's states. Prints a table, and keeps it in step.json, next to those of other
processors.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
import workload
from harness import seconds
from torch.nn import functional
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertLayer

from dualenc.runtime.files import read_json, write_json
from dualenc.scorers.models import device

FILE = Path(__file__).parents[1] / "step.json"
SHAPES = {"cpu": [(2, 128), (3, 384), (6, 384)], "cuda": [(6, 384), (6, 768), (12, 768)]}
TEXTS = {"cpu": 40, "cuda": 640}  # passages in a step
BUCKET = 32  # tokens, of which the lengths of fixed shapes are multiples


class Part(NamedTuple):
    """Token ids (B, L), which of them are there (B, L), and which rows of the step they are."""

    ids: torch.Tensor
    mask: torch.Tensor
    rows: np.ndarray


Encode = Callable[[BertModel, Sequence[Part]], list[torch.Tensor]]
"""The last states (B, L, W) of each part."""


def library(bert: BertModel, parts: Sequence[Part]) -> list[torch.Tensor]:
    """As transformers calculates."""
    return [bert(input_ids=part.ids, attention_mask=part.mask).last_hidden_state for part in parts]


def by_layers(layer: Callable[..., torch.Tensor]) -> Encode:
    """With another ``layer``(module, states (B, L, W), mask (B, 1, 1, L)) than the library's."""

    def encode(bert: BertModel, parts: Sequence[Part]) -> list[torch.Tensor]:
        found = []
        for part in parts:
            states, mask = bert.embeddings(part.ids), part.mask.bool()[:, None, None]
            for one in bert.encoder.layer:
                states = layer(one, states, mask)
            found.append(states)
        return found

    return encode


def linear(module: torch.nn.Linear, states: torch.Tensor) -> torch.Tensor:
    """As torch calculates it."""
    return functional.linear(states, module.weight, module.bias)


def plain_layer(layer: BertLayer, states: torch.Tensor, mask: torch.Tensor, linear: Callable = linear) -> torch.Tensor:
    """A BERT layer in functions of torch."""
    own = layer.attention.self
    query, key, value = (heads(linear(one, states), own) for one in (own.query, own.key, own.value))
    return rest_of_layer(layer, states, attend(query, key, value, mask), linear)


def joint_layer(layer: BertLayer, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """One matrix product for queries, keys and values."""
    own = layer.attention.self
    sides = (own.query, own.key, own.value)
    weight, bias = torch.cat([one.weight for one in sides]), torch.cat([one.bias for one in sides])
    query, key, value = (heads(one, own) for one in functional.linear(states, weight, bias).chunk(3, -1))
    return rest_of_layer(layer, states, attend(query, key, value, mask), linear)


def heads(states: torch.Tensor, own: torch.nn.Module) -> torch.Tensor:
    """(B, L, W) as (B, heads, L, W / heads)."""
    return states.unflatten(-1, (-1, own.attention_head_size)).transpose(1, 2)


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B, L, W)."""
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)


def rest_of_layer(layer: BertLayer, states: torch.Tensor, attended: torch.Tensor, linear: Callable) -> torch.Tensor:
    """What comes after attention: two residuals with normalisations, and the feed-forward layer between them."""
    out = layer.attention.output
    states = out.LayerNorm(linear(out.dense, attended) + states)
    inner = functional.gelu(linear(layer.intermediate.dense, states))
    return layer.output.LayerNorm(linear(layer.output.dense, inner) + states)


def one_row(attention: Callable[..., torch.Tensor]) -> Encode:
    """All texts' tokens in one row without padding.

    ``attention``(queries, keys and values (T, W), attention module, masks of the parts) finds what is attended (T, W).
    """

    def encode(bert: BertModel, parts: Sequence[Part]) -> list[torch.Tensor]:
        there = [part.mask.bool() for part in parts]
        states = torch.cat([bert.embeddings(part.ids)[one] for part, one in zip(parts, there, strict=True)])
        for layer in bert.encoder.layer:
            own = layer.attention.self
            sides = [linear(one, states) for one in (own.query, own.key, own.value)]
            states = rest_of_layer(layer, states, attention(sides, own, there), linear)
        return _in_parts(states, there)

    return encode


def by_parts(sides: Sequence[torch.Tensor], own: torch.nn.Module, there: Sequence[torch.Tensor]) -> torch.Tensor:
    """Attention part by part, with padding."""
    padded = zip(*(_in_parts(side, there) for side in sides), there, strict=True)
    return torch.cat([attend(*(heads(one, own) for one in some), mask[:, None, None])[mask] for *some, mask in padded])


def nested(sides: Sequence[torch.Tensor], own: torch.nn.Module, there: Sequence[torch.Tensor]) -> torch.Tensor:
    """Attention by torch's kernels for texts of any length: FlashAttention's on a GPU."""
    ends = functional.pad(torch.cat([one.sum(1) for one in there]).cumsum(0), (1, 0))
    longest = max(one.shape[1] for one in there)
    texts = [torch.nested.nested_tensor_from_jagged(side, ends, max_seqlen=longest) for side in sides]
    attended = functional.scaled_dot_product_attention(*(heads(one, own) for one in texts))
    return attended.transpose(1, 2).flatten(2).values()


def _in_parts(states: torch.Tensor, there: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Rows (T, W) of all tokens as parts (B, L, W)."""
    found = []
    for rows, one in zip(states.split([int(one.sum()) for one in there]), there, strict=True):
        empty = states.new_zeros(one.numel(), states.shape[-1])
        found.append(empty.index_copy(0, one.flatten().nonzero().squeeze(1), rows).unflatten(0, one.shape))
    return found


class Packed(torch.autograd.Function):
    """A linear layer whose forward product takes weights in oneDNN's own order."""

    @staticmethod
    def forward(ctx, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(states, weight)
        order = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        return torch.ops.mkldnn._linear_pointwise(states, order, bias, "none", [], "")

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        states, weight = ctx.saved_tensors
        flat = gradient.flatten(0, -2)
        return gradient @ weight, flat.T @ states.flatten(0, -2), flat.sum(0)


def packed_layer(layer: BertLayer, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Weights in oneDNN's order for the forward pass."""
    return plain_layer(layer, states, mask, lambda one, given: Packed.apply(given, one.weight, one.bias))


def any_shape(layer: BertLayer, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """To be compiled once."""
    return plain_layer(layer, states, mask)


def fixed_shape(layer: BertLayer, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """To be compiled for each shape; what is compiled is kept with a function."""
    return plain_layer(layer, states, mask)


def graph_shape(layer: BertLayer, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """To be recorded as a CUDA graph for each shape."""
    return plain_layer(layer, states, mask)


class Way(NamedTuple):
    """How a step is calculated: by which function, on parts of which kind, and in which numbers."""

    encode: Encode
    parts: str = "similar"
    attention: str = "sdpa"
    autocast: bool = False
    half: bool = False


def ways(bfloat16: bool) -> dict[str, Way]:
    """Name -> way; those in bfloat16 only where the device has it."""
    gpu = device() == "cuda"
    found = {
        "one padded batch": Way(library, parts="one"),
        "parts of similar length": Way(library),
        "plain attention": Way(library, attention="eager"),
        "one product for queries, keys and values": Way(by_layers(joint_layer)),
        "all tokens in one row, parts for attention alone": Way(one_row(by_parts)),
        "all tokens in one row, nested tensors": Way(one_row(nested)),
        **({} if gpu else {"weights in oneDNN's order": Way(by_layers(packed_layer))}),
        "torch.compile, any shape": Way(by_layers(torch.compile(any_shape, dynamic=True))),
        f"torch.compile, lengths of a multiple of {BUCKET}": Way(
            by_layers(torch.compile(fixed_shape, dynamic=False)), parts="fixed"
        ),
    }
    if bfloat16:
        found |= {
            "bfloat16": Way(library, autocast=True),
            "bfloat16, plain attention": Way(library, attention="eager", autocast=True),
            "bfloat16, one product for queries, keys and values": Way(by_layers(joint_layer), autocast=True),
            "bfloat16, all tokens in one row": Way(one_row(by_parts), autocast=True),
            "bfloat16, nested tensors": Way(one_row(nested), autocast=True),
            "weights in bfloat16, plain attention": Way(library, attention="eager", half=True),
            "bfloat16, torch.compile, any shape": Way(by_layers(torch.compile(any_shape, dynamic=True)), autocast=True),
        }
    if gpu:
        graphs = torch.compile(graph_shape, dynamic=False, mode="reduce-overhead")
        name = f"bfloat16, CUDA graphs, lengths of a multiple of {BUCKET}"
        found[name] = Way(by_layers(graphs), parts="fixed", autocast=True)
    return found


def parts(lengths: np.ndarray, kind: str) -> Iterator[Part]:
    """Texts of these lengths in ``one`` batch, or in parts of ``similar`` length or of few ``fixed`` shapes."""
    generator = np.random.default_rng(workload.SEED)
    texts = [torch.from_numpy(generator.integers(5, workload.VOCABULARY, length)) for length in lengths]
    order = np.argsort(-lengths, kind="stable")
    most = {"one": len(lengths) * lengths.max()}.get(kind, workload.TOKENS_PER_BATCH[device()])
    while len(order):
        width = int(lengths[order[0]]) if kind != "fixed" else -(-int(lengths[order[0]]) // BUCKET) * BUCKET
        rows, order = np.split(order, [max(1, int(most // width))])
        ids = torch.zeros(len(rows), width, dtype=torch.int64)
        for place, row in enumerate(rows):
            ids[place, : lengths[row]] = texts[row]
        yield Part(ids.to(device()), (ids > 0).long().to(device()), rows)


def one_step(bert: BertModel, way: Way, batch: Sequence[Part], optimiser: torch.optim.Optimizer) -> torch.Tensor:
    """A step, and the mean states (N, W) of its texts."""
    with torch.autocast(device(), torch.bfloat16) if way.autocast else nullcontext():
        states = way.encode(bert, batch)
    means = [
        (one.float() * part.mask[..., None]).sum(1) / part.mask.sum(1, True)
        for one, part in zip(states, batch, strict=True)
    ]
    found = torch.cat(means)[np.argsort(np.concatenate([part.rows for part in batch]))]
    found.square().mean().backward()
    optimiser.step()
    optimiser.zero_grad()
    workload.synchronise()
    return found.detach()


def model(layers: int, width: int, way: Way) -> tuple[BertModel, torch.optim.Optimizer]:
    """An encoder with the same random weights for each way, and its optimiser."""
    torch.manual_seed(workload.SEED)
    config = BertConfig(
        **{"vocab_size": workload.VOCABULARY, "hidden_size": width, "num_hidden_layers": layers},
        **{"num_attention_heads": max(1, width // 64), "intermediate_size": 4 * width},
        **{"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "attn_implementation": way.attention},
    )
    bert = BertModel(config, add_pooling_layer=False).to(device()).train()
    if way.half:
        return bert.bfloat16(), MasterCopies(bert)
    return bert, torch.optim.AdamW(bert.parameters(), lr=1e-5, fused=True)


class MasterCopies:
    """AdamW on float32 copies of weights that are kept in bfloat16."""

    def __init__(self, bert: BertModel) -> None:
        self.weights = list(bert.parameters())
        self.copies = [weight.detach().float() for weight in self.weights]
        self.optimiser = torch.optim.AdamW(self.copies, lr=1e-5, fused=True)

    def step(self) -> None:
        """Gradients to the copies, a step of these, and back."""
        for weight, copy in zip(self.weights, self.copies, strict=True):
            copy.grad = None if weight.grad is None else weight.grad.float()
        self.optimiser.step()
        with torch.no_grad():
            for weight, copy in zip(self.weights, self.copies, strict=True):
                weight.copy_(copy)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.grad = None


def measure(layers: int, width: int, texts: int, turns: int) -> list[dict[str, object]]:
    """An entry for each way: median seconds of a step, and its share of the matrix rate."""
    lengths = workload.passage_lengths(texts, np.random.default_rng(workload.SEED))
    work = 3 * workload.operations(lengths, layers, width)
    calls, expected = {}, None
    for name, way in ways(workload.has_bfloat16()).items():
        bert, optimiser = model(layers, width, way)
        step = partial(one_step, bert, way, list(parts(lengths, way.parts)), optimiser)
        start = perf_counter()
        try:
            found = step()
        except (RuntimeError, NotImplementedError) as error:
            print(f"{layers} x {width}, {name}: {str(error).splitlines()[0]}", flush=True)
            continue
        expected = found if expected is None else expected
        rough = way.autocast or way.half
        assert torch.allclose(found, expected, atol=0.1 if rough else 1e-4), name
        calls[name] = step, perf_counter() - start, workload.matrix_rate(torch.bfloat16 if rough else torch.float32)
    taken = [{name: seconds(call) for name, (call, _, _) in calls.items()} for _ in range(turns)]
    entries = []
    for name, (_, first, rate) in calls.items():
        middle = median(turn[name] for turn in taken)
        entries.append(
            {
                **{"layers": layers, "width": width, "way": name},
                **{key: float(f"{value:.3g}") for key, value in (("seconds", middle), ("first", first))},
                **{"share": float(f"{work / middle / rate:.3g}")},
            }
        )
    return entries


def main(
    threads: Annotated[int, typer.Option(min=1)] = 1,
    texts: Annotated[int | None, typer.Option(min=2, help="passages in a step: 40, or 640 on a GPU")] = None,
    turns: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Measure each way at each shape; print and keep what was measured."""
    workload.use_threads(threads)
    torch._dynamo.config.recompile_limit = 64  # shapes
    texts = texts or TEXTS[device()]
    about = {"texts": texts, **workload.machine(threads)}
    known = [one for one in (read_json(FILE) if FILE.exists() else []) if one["processor"] != about["processor"]]
    for layers, width in SHAPES[device()]:
        made = [{**entry, **about} for entry in measure(layers, width, texts, turns)]
        for one in made:
            cells = [
                f"{layers} x {width}",
                one["way"],
                f"{one['seconds']:g} s",
                f"{one['share']:.0%}",
                f"{one['first']:g} s",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)
        known += made
        write_json(FILE, known)


if __name__ == "__main__":
    typer.run(main)
