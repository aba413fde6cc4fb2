"""A trained model as a folder for the Hugging Face Hub: the model, in half of the space if wanted, and its card."""

import shlex
import shutil
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from safetensors.torch import load_file, save_file

from dualenc.publish.card import card
from dualenc.publish.facts import read
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic
from dualenc.scorers import models
from dualenc.study.config import Study


def export(study: Study, run: str, seed: int, results: Path, output: Path, *, float16: bool = False) -> str:
    """Write the model of ``run`` with ``seed`` and its card to ``output``; returns what the user may do next.

    With ``float16``, weights are stored in half of the space. The model still computes in float32, as its config.json
    says, with weights rounded to three digits.

    Raises ``UserError`` for an unknown run, a folder that is not empty or whose name the Hub does not allow, and as
    ``facts.read`` and ``models.check`` do. Nothing is written then.
    """
    study.run(run, "experiment")
    run = study.run_name(*study.split(run))
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} exists and is not empty: name another folder with --output, or empty it.")
    output = output.resolve()
    try:
        validate_repo_id(output.name)
    except HFValidationError:
        raise UserError(
            f"--output {output}: the model gets the name of this folder, and the Hub allows only letters, digits, -, _ "
            "and . in it; choose another name."
        ) from None
    facts = read(study, run, seed, results, output.name)
    for kind in ("encoder", facts.experiment.model):
        models.check(facts.folder / "model", kind)
    with atomic(output) as temporary:
        # Not the permissions: those of the weights let nobody else read them.
        shutil.copytree(facts.folder / "model", temporary, copy_function=shutil.copyfile)
        if float16:
            for file in temporary.rglob("*.safetensors"):
                weights = {name: value.half() for name, value in load_file(file).items()}
                save_file(weights, file, metadata={"format": "pt"})
        card(facts, float16=float16).save(temporary / "README.md")
    return (
        f"{run} (seed {seed}, {study.scale}) is in {output}. To publish it, once logged in (hf auth login):\n\n"
        f"hf upload {output.name} {shlex.quote(str(output))}"
    )
