"""The files around the package: one lock for pip and conda, which is what is installed here."""

import ast
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from dualenc.study import artefacts

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, by_pip = environment["dependencies"]
    assert python.split("=")[1] in PROJECT["requires-python"] and pip == "pip"
    assert by_pip["pip"] == ["-r requirements.lock", "-e ."]


def test_the_readme_names_every_figure_and_table():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    named = {name for line in lines if line.startswith("| ") for name in re.findall(r"\w+", line.split("|")[1])}
    assert {*artefacts.names("figure"), *artefacts.names("table")} <= named


def states_no_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding of whoever runs it."""
    room, _, name = ast.unparse(call.func).rpartition(".")
    literals = {node.value for one in [*call.args, *call.keywords] for node in ast.walk(one) if hasattr(node, "value")}
    modes = {one for one in literals if isinstance(one, str) and re.fullmatch(r"[rwax][bt+]*", one)}
    given = {keyword.arg for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name in ("read_text", "write_text"):
        return bool(room) and len(call.args) == (name == "write_text")
    if room == "subprocess":
        return "text" in given
    if name in ("open", "fdopen") or isinstance(call.func, ast.Subscript | ast.IfExp):
        binary = room in ("os", "gzip", "lzma", "tarfile", "zipfile")
        return (not binary and not modes and name == "open") or any("b" not in mode for mode in modes)
    return False


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_text_is_read_and_written_in_one_encoding_whatever_the_locale(folder):
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Call) or not states_no_encoding(node), f"{file}:{node.lineno}"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(text)", True),
        ("open(path)", True),
        ("open(path, 'wb')", False),
        ("path.open('a')", True),
        ("gzip.open(path)", False),
        ("gzip.open(path, 'rt')", True),
        ("OPEN[suffix](path, 'rt')", True),
        ("(gzip.open if packed else open)(path, 'wt')", True),
        ("os.open(path, os.O_RDONLY)", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, encoding='utf-8')", False),
    ],
)
def test_calls_without_an_encoding_are_seen(call, expected):
    assert states_no_encoding(ast.parse(call, mode="eval").body) == expected
