"""A miniature BERT, pre-trained on the train split."""

import shutil
from pathlib import Path

from dualenc import models, pretraining, provenance, resumable, scoring
from dualenc.files import atomic, write_json
from dualenc.parameters import Encoder, Pretraining
from dualenc.steps.inputs import pairs, write_about, write_curve


def pretrain(
    folder: Path, token_folder: Path, tokenizer: Path, encoder: Encoder, parameters: Pretraining,
    max_length: int, tokens_per_batch: int, scratch: Path, output: Path,
) -> None:  # fmt: skip
    """Pre-train one miniature: its folder, ``curve.csv`` and ``metrics.json`` (final loss and masked accuracy)."""
    inputs = [token_folder / "manifest.json", folder / "manifest.json", tokenizer / "tokenizer.json"]
    about = {"encoder": encoder.model_dump(), "pretraining": parameters.model_dump(), "max_length": max_length}
    state = resumable.state_folder(scratch, about, inputs, provenance.code("pretraining"))
    with resumable.locked(state):
        held_out = pairs(folder, "validation")[: parameters.evaluation_pairs]
        model, curve = pretraining.pretrain(
            scoring.texts(token_folder, "train", tokens_per_batch),
            scoring.texts(token_folder, "validation", tokens_per_batch),
            pairs(folder, "train"),
            held_out,
            encoder=encoder,
            parameters=parameters,
            max_length=max_length,
            state=state,
        )
        with atomic(output) as temporary:
            models.save_encoder(model, tokenizer, temporary, max_length)
            frame = write_curve(temporary, curve)
            last = frame[frame.split == "validation"].groupby("metric").value.last()
            write_json(temporary / "metrics.json", {"steps": parameters.steps, **last.to_dict()})
            write_about(temporary, about, inputs)
        shutil.rmtree(state)
