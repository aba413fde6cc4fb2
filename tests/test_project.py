"""The files around the package: one lock for pip and conda, which is what is installed here."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    return {canonical(line.split("==")[0]): line.split("==")[1] for line in LOCK}


def test_lock_has_exact_pins_and_leaves_the_build_of_torch_to_the_machine():
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in LOCK)
    assert len(pins()) == len(LOCK)


def test_lock_holds_every_dependency():
    named = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert {canonical(re.match(r"[\w.-]+", one)[0]) for one in named} <= set(pins())


def test_what_is_installed_is_what_is_locked():
    installed = {name: metadata.version(name).split("+")[0] for name in pins()}
    assert installed == pins()


def test_conda_installs_the_same_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, by_pip = environment["dependencies"]
    assert python.split("=")[1] in PROJECT["requires-python"] and pip == "pip"
    assert by_pip["pip"] == ["-r requirements.lock", "-e ."]


def test_the_readme_names_every_figure_and_table():
    artefacts = yaml.safe_load((ROOT / "params.yaml").read_text())["artefacts"]
    lines = (ROOT / "README.md").read_text().splitlines()
    named = {name for line in lines if line.startswith("| ") for name in re.findall(r"\w+", line.split("|")[1])}
    assert {name for name, about in artefacts.items() if about["kind"] != "claim"} <= named
