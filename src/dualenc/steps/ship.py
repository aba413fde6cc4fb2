"""A pre-trained miniature made small enough to ship, with a card that says how it was made."""

import shutil

import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save_file

from dualenc.data import frames
from dualenc.runtime.files import atomic, md5, read_json, read_yaml
from dualenc.runtime.provenance import Provenance
from dualenc.scorers import models
from dualenc.steps.arguments import Folder, OutputFolder
from dualenc.study.schema import Encoder, Pretraining

CARD = """---
license: apache-2.0
language: en
library_name: transformers
tags: [bert, dense-retrieval, re-ranking]
---
# {name}

A BERT of {layers} layers, width {width} and {heads} attention heads ({parameters:,} parameters, {vocabulary:,}
word pieces), pre-trained by the package `dualenc` of this repository as a start for dual-encoders and
cross-attention models. Weights are float16, everything computes in float32.

- Objectives: {objectives}
- Pairs of queries and passages, with BM25's negatives: {corpora}
- Texts without labels: {most_texts:,} of {texts}
- Sentence encoder that says what texts and words are alike: {sentence_encoder}
- All text is that of train splits, nothing that is relevant to a validation or test query.
- Grows from: {grows_from}
- Command: `snakemake --cores 2 --config pretrain=true -- results/mini/encoders/{name}/model.safetensors`
- Steps: {steps}, {batch_size} lists of {list_size} passages and {texts_per_step} texts each, one thread
- Learning rate: {learning_rate}
- Hardware: {processor}
- Software: commit {commit}, torch {torch}, transformers {transformers}
- MD5: {digest} (model.safetensors)

MD5 of what it was made of:

{inputs}

Probes on the validation split of pydocs before any fine-tuning, re-ranking BM25's candidates:
`pair_MRR@10` by the sentence-pair head, `vector_MRR@10` by dot products of mean-pooled vectors, `pair_accuracy` how
often the pair head puts the relevant passage above another candidate, `masked_accuracy` on masked words of relevant
pairs.

{curve}
"""


class Settings(BaseModel):
    """What has to be in the ``config.yaml`` of a pre-trained miniature."""

    encoder: Encoder
    pretraining: Pretraining


class Shape(BaseModel):
    """What has to be in its ``config.json``."""

    vocab_size: int


def ship(encoder: Folder, output: OutputFolder) -> None:
    """Copy a pre-trained miniature with float16 weights and a card: what miniatures/ holds.

    Its curve comes with it. The configuration keeps float32, so every library loads the weights in float32. Raises
    ``UserError`` if ``encoder`` lacks a file.
    """
    models.check(encoder, "encoder")
    about = read_yaml(encoder / "config.yaml", Settings)
    made = read_json(encoder / "provenance.json", Provenance)
    shape, pretraining = about["encoder"], about["pretraining"]
    objectives, told = shape["objectives"] or pretraining["objectives"], pretraining["sentence_encoder"]
    curve = frames.read_curve(encoder / "curve.csv", "pre-train this encoder again")
    probes = curve[curve.split == "validation"].pivot(index="step", columns="metric", values="value")
    weights = load_file(encoder / "model.safetensors")
    with atomic(output) as temporary:
        temporary.mkdir()
        for name in [*models.FILES["encoder"], "curve.csv"]:
            shutil.copyfile(encoder / name, temporary / name)
        half = {name: tensor.to(torch.float16).contiguous() for name, tensor in weights.items()}
        save_file(half, temporary / "model.safetensors", metadata={"format": "pt"})
        card = CARD.format(
            name=output.name,
            **{key: shape[key] for key in ("layers", "width", "heads")},
            **{key: pretraining[key] for key in ("batch_size", "list_size", "texts_per_step", "most_texts")},
            learning_rate=pretraining["grown_learning_rate" if shape["grows_from"] else "learning_rate"],
            **{key: made[key] for key in ("processor", "commit", "torch", "transformers")},
            grows_from=shape["grows_from"] or "nothing: word vectors of a latent semantic analysis of the same text",
            parameters=sum(tensor.numel() for tensor in weights.values()),
            vocabulary=read_json(encoder / "config.json", Shape)["vocab_size"],
            objectives=", ".join(f"{name} x {weight}" for name, weight in objectives.items() if weight),
            corpora=", ".join(pretraining["corpora"]),
            texts="; ".join(
                f"{counts['queries']:,} queries and {counts['passages']:,} passages of {name}"
                for name, counts in pretraining["texts"].items()
            ),
            sentence_encoder=f"package `{told['package']}`, SHA-256 {told['sha256']}" if told else "none",
            steps=int(curve.step.max()),
            digest=md5(temporary / "model.safetensors"),
            inputs="\n".join(f"- {path}: {digest}" for path, digest in made["inputs"].items()),
            curve=probes.round(3).to_markdown(),
        )
        (temporary / "README.md").write_text(card, encoding="utf-8")
