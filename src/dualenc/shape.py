"""Values from outside held against a type: the JSON that a command is told, and what is in a file."""

from typing import Any

from dualenc.errors import UserError

LONGEST = 60  # characters of a value that an error shows


def checked(value: Any, shape: Any, where: str) -> Any:
    """``value`` as pydantic reads it for the type ``shape``, such as ``dict[str, float]`` or a model.

    Raises ``UserError`` that says what is wrong in ``where``: the first key that is missing, is not known, or has a
    value that is not allowed.
    """
    from pydantic import TypeAdapter, ValidationError  # only now: not whoever imports this reads such a value

    try:
        return TypeAdapter(shape).validate_python(value)
    except ValidationError as errors:
        error = errors.errors()[0]
        key = ".".join(map(str, error["loc"]))
        if error["type"] == "union_tag_not_found":  # the key that says which of several types it is
            tag = error["ctx"]["discriminator"].strip("'")
            raise UserError(f"{where}: {'.'.join(filter(None, (key, tag)))} is missing.") from None
        if error["type"] == "missing":
            raise UserError(f"{where}: {key} is missing.") from None
        if error["type"] == "extra_forbidden":
            raise UserError(f"{where}: {key} is not a known key.") from None
        message = error["msg"][0].lower() + error["msg"][1:]
        raise UserError(f"{where}: {key or 'it'} = {shown(error['input'])} is not allowed: {message}.") from None


def shown(value: object) -> str:
    """``value`` as an error shows it."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
