"""Tables in our files, read with the columns that they were written with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from dualenc.runtime.errors import UserError

Kind = Callable[[pa.DataType], bool]
CURVE = {"step": int, "split": str, "metric": str, "value": float}


def text(kind: pa.DataType) -> bool:
    """Whether a column holds strings."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def number(kind: pa.DataType) -> bool:
    """Whether a column holds numbers."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def texts(kind: pa.DataType) -> bool:
    """Whether a column holds lists of strings."""
    return _is_list(kind) and text(kind.value_type)


def numbers(kind: pa.DataType) -> bool:
    """Whether a column holds lists of numbers."""
    return _is_list(kind) and number(kind.value_type)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def read(
    path: Path, columns: Mapping[str, Kind], make: str, *, optional: Mapping[str, Kind] = {}, **options: Any
) -> pd.DataFrame:
    """The ``columns`` of a parquet file, and those of the ``optional`` ones that it has.

    Each column is of the kind given with it. ``options`` are those of `pandas.read_parquet`. Raises
    ``UserError`` that names the file and ends with ``make``, what to do about it, if it is missing or incomplete, lacks
    a column or a value, or has a column of the wrong kind.
    """
    try:
        schema = parquet.read_schema(path)
        wanted = {**columns, **{name: kind for name, kind in optional.items() if name in schema.names}}
        for name, kind in wanted.items():
            if name not in schema.names:
                raise UserError(f"{path} has no column {name!r}: {make}.")
            if not kind(schema.field(name).type):
                found = schema.field(name).type
                raise UserError(f"{path}: column {name!r} holds {found} where {kind.__name__} should be: {make}.")
        frame = pd.read_parquet(path, columns=list(wanted), **options)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {make}.") from None
    except (OSError, ValueError) as error:
        raise _no_table(path, columns, error, make) from None
    empty = frame.columns[frame.isna().any()]
    if len(empty):
        raise UserError(f"{path}: column {empty[0]!r} lacks a value: {make}.")
    return frame


def read_curve(path: Path, make: str) -> pd.DataFrame:
    """A ``curve.csv`` with the columns step, split, metric and value. Raises ``UserError`` as ``read`` does."""
    try:
        return pd.read_csv(path, usecols=list(CURVE), dtype=CURVE, encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {make}.") from None
    except (OSError, ValueError) as error:  # pandas' own errors are of the latter
        raise _no_table(path, CURVE, error, make) from None


def _no_table(path: Path, columns: Mapping[str, Any], error: Exception, make: str) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"{path} is not a table of {', '.join(columns)} ({reason}): {make}.")
