"""The values of params.yaml at the smoke scale, changed ones, and what is said about wrong ones."""

import copy
from pathlib import Path

import pytest
import yaml

from dualenc.runtime.errors import UserError
from dualenc.study import config

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")) | {"scale": "smoke"}


def changed(changes):
    """The values of params.yaml, each ``dotted.key`` replaced, or removed where the value is ``...``."""
    values = copy.deepcopy(PARAMS)
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = values
        for part in path:
            inner = inner.setdefault(part, {})
        if value is ...:
            del inner[last]
        else:
            inner[last] = copy.deepcopy(value)
    return values


def message(values):
    """The error about these values, which must be one sentence."""
    with pytest.raises(UserError) as error:
        config.study(values)
    text = str(error.value)
    assert "\n" not in text and text.endswith((".", "?"))
    return text
