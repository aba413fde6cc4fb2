"""The miniatures that are shipped: complete, small, alike, and what params.yaml and their cards say."""

from pathlib import Path

import pytest
import yaml

from dualenc.orchestration import workflow
from dualenc.runtime.files import md5, read_json
from dualenc.scorers import models
from dualenc.study import config

ROOT = Path(__file__).parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
SHIPPED = {name: about for name, about in PARAMS["encoders"].items() if about.get("folder")}


def test_every_miniature_is_used_and_they_are_small():
    assert {path.name for path in (ROOT / "miniatures").iterdir() if path.is_dir()} == set(SHIPPED)
    assert sum(path.stat().st_size for path in (ROOT / "miniatures").rglob("*") if path.is_file()) < 12 << 20
    study = config.load(ROOT / "params.yaml")
    used = {name for names in study.at.encoders.values() for name in names}
    assert used == set(SHIPPED)
    assert len({md5(ROOT / about["folder"] / "tokenizer.json") for about in SHIPPED.values()}) == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_a_miniature_is_what_its_card_says(name):
    folder, about = ROOT / SHIPPED[name]["folder"], SHIPPED[name]
    shape = read_json(folder / "config.json")
    assert (shape["num_hidden_layers"], shape["hidden_size"], shape["num_attention_heads"]) == (
        *(about["layers"], about["width"]),
        about["heads"],
    )
    assert (folder.name, name) == (name, f"small-{about['layers']}-{about['width']}")
    assert md5(folder / "model.safetensors") in (folder / "README.md").read_text(encoding="utf-8")
    study = config.load(ROOT / "params.yaml")
    assert shape["max_position_embeddings"] >= study.at.lengths.pair
    model = models.load_pretrained(folder)
    assert sum(parameter.numel() for parameter in model.parameters()) > 8192 * about["width"]


def test_pretrain_makes_them_anew():
    for pretrain, folder in ((False, "miniatures"), (True, "results/mini/encoders")):
        study = config.load(ROOT / "params.yaml", {"pretrain": pretrain})
        for name in SHIPPED:
            assert str(workflow.encoder_folder(study, name)) == f"{folder}/{name}"
        assert str(workflow.tokenizer_folder(study)).startswith(folder if not pretrain else "results/mini/tokenizer")
