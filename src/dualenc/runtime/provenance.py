"""Which code and which inputs a result comes from."""

import ast
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, Field

PACKAGE = Path(__file__).parents[1]
UNHASHED = ("runtime/", "study/", "steps/arguments.py")
"""Where no edit can change a result.

How errors read, how progress is shown, how files are put in place and jobs are started; what params.yaml may say, which
reaches a step as its slice; and what arguments look like.
"""

INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2"}
"""Flag of a processor -> what it multiplies matrices with, fastest first: virtual machines hide the model's name."""


class Provenance(BaseModel):
    """What has to be in a ``provenance.json``: `environment`, the MD5 of each input, and how layers calculated."""

    inputs: dict[str, str]
    processes: int
    layers: dict[str, str]
    commit: str
    machine: str
    processor: str
    torch: str
    transformers: str
    sentence_transformers: str = Field(alias="sentence-transformers")


def code(module: str) -> list[Path]:
    """The files of this package that ``module`` (``steps.train``, ``figures.fig1``) is made of: itself and its imports.

    A module's own data, such as ``pages.css`` next to ``pages.py``, is part of it. What cannot change a
    result (``UNHASHED``) is left out, and so is ``__init__.py``, which holds no more than a docstring. Paths are
    relative to the working directory if the package is within it, so that a repository may be moved. Raises
    ``ModuleNotFoundError`` for a module that does not exist, which would seem to be made of no code at all.
    """
    if _file(module) is None:
        raise ModuleNotFoundError(f"dualenc has no module {module!r}")
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in found or path is None or path.relative_to(PACKAGE).as_posix().startswith(UNHASHED):
            continue
        found[name] = path
        waiting += _imports(path, path.stat().st_mtime_ns)
    data = [path.with_suffix(suffix) for path in found.values() for suffix in (".yaml", ".css")]
    files = sorted([*found.values(), *(path for path in data if path.is_file())])
    here = Path.cwd()
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in files]


@cache
def _imports(path: Path, changed: int) -> list[str]:
    """Names within this package that a file, last ``changed`` then, imports or may import from a module."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dualenc":
            parent = (node.module or "").removeprefix("dualenc").lstrip(".")
            found += [parent] if parent else []
            names = [f"{parent}.{alias.name}".lstrip(".") for alias in node.names]
            found += names + [f"{name}.{one.stem}" for name in names for one in PACKAGE.glob(_within(name))]
    return found


def _within(name: str) -> str:
    """The modules of a folder: a module that imports the folder itself may load any of them."""
    return "/".join([*name.split("."), "[a-z]*.py"])


def _file(name: str) -> Path | None:
    path = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def environment(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python and ``packages``, the machine, how MKL chooses kernels, and the commit of the working tree."""
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PACKAGE, capture_output=True, encoding="utf-8", check=False
    )
    versions = {package: metadata.version(package) for package in packages}
    return {
        "commit": git.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "mkl_cbwr": os.environ["MKL_CBWR"],  # set by `dualenc`
        **versions,
    }


def processor() -> str:
    """The model of the accelerator, or else of the processor and what it multiplies matrices with."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = told.get("flags", "").split()
    model = told.get("model name", platform.processor() or platform.machine())
    return ", ".join([model, *[name for flag, name in INSTRUCTIONS.items() if flag in flags][:1]])
