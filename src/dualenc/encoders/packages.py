"""Models that come with an installed Python package, as files; the package itself is not imported."""

import hashlib
import importlib.util
from pathlib import Path

from dualenc.runtime.errors import UserError


def folder(package: str, path: str) -> Path:
    """The folder ``path`` of an installed package. Raises ``UserError`` if that has no model."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        name = package.replace("_", "-")
        raise UserError(f"package {package!r} is not installed: run `pip install {name}`.")
    model = Path(found.submodule_search_locations[0], path)
    if not (model / "model.safetensors").is_file():
        raise UserError(f"{model}/model.safetensors is missing: install the package {package!r} again.")
    return model


def checked(package: str, path: str, sha256: str) -> Path:
    """The same ``folder``. Raises ``UserError`` as that does, and if its weights have another SHA-256."""
    model = folder(package, path)
    weights = model / "model.safetensors"
    with open(weights, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise UserError(f"{weights} has SHA-256 {digest}, not {sha256} as in params.yaml: install another version.")
    return model
