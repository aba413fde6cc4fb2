"""The kinds of datasets: a module of ``dualenc.data.kinds`` each.

Such a module has

- ``Parameters``, the keys that a dataset of this kind has in params.yaml, its name among them (``kind``);
- ``build(folder, parameters, workers)``, which writes the dataset folder by `dualenc.data.collection.write`;
- ``packages(parameters)``, the installed packages that decide its text, or else ``files(parameters)``, the files on
  this machine that it is read from, and ``places(parameters)``, these or their folder, as params.yaml names them;
- ``RIGHTS``, the terms that its texts are under, and ``origin(manifest)``, where they come from: for the cards of
  models;

and may have

- ``candidates(parameters, split)``, the `dualenc.data.runs.Run` that a dataset itself gives for a split's queries;
- ``LICENCE``, that of a model trained on it, and ``limits(parameters)``, what such a model cannot be expected
  to do.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import Annotated, Any, Union, get_args

from pydantic import Field

from dualenc.data import kinds

MODULES = [importlib.import_module(f"{kinds.__name__}.{one.name}") for one in pkgutil.iter_modules(kinds.__path__)]
KINDS: dict[str, ModuleType] = {get_args(one.Parameters.model_fields["kind"].annotation)[0]: one for one in MODULES}
Dataset = Annotated[Union[tuple(one.Parameters for one in MODULES)], Field(discriminator="kind")]  # noqa: UP007


def kind(parameters: Any) -> ModuleType:
    """The module of the kind of a dataset with these ``Parameters``."""
    return KINDS[parameters.kind]
