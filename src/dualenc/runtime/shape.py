"""Values from outside checked against a type: params.yaml, the JSON that a command gets, and what is in a file."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from dualenc.runtime.errors import UserError
from dualenc.runtime.lookup import dotted, nearest, shown

WORDS = {
    "bool_type": "give true or false",
    "string_type": "give text",
    "list_type": "give a list",
    "dict_type": "give keys with their values",
    "model_type": "give keys with their values",
    "model_attributes_type": "give keys with their values",
    "too_short": "give at least one",
}
"""What to give where there is something of the wrong type."""


def checked(value: Any, shape: Any, source: str, key: str = "") -> Any:
    """``value`` as pydantic reads it for the type ``shape``, such as ``dict[str, float]`` or a model.

    Raises ``UserError`` that says what is wrong in ``source``, where ``value`` is at ``key``: an unknown key before
    all that it leads to, one that is missing, or a value that is not allowed, and what is.
    """
    try:
        return TypeAdapter(shape).validate_python(value)
    except ValidationError as errors:
        error = min(errors.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise UserError(f"{source}: {_told(error, shape, value, key)}") from None


def _told(error: Mapping[str, Any], shape: Any, value: Any, key: str) -> str:
    """What is wrong, where, and what is allowed, after the name of the file."""
    kind, location, about = error["type"], error["loc"], error.get("ctx", {})
    path = dotted(*([key] if key else []), *(one for one in _keys(value, location) if one != "[key]")) or "it"
    if kind == "extra_forbidden":
        return f"{path} is not a known key; {nearest(location[-1], _fields(shape, location[:-1]))}"
    if kind == "missing":
        return f"{path} is missing."
    if kind == "union_tag_not_found":
        return f"{path.removeprefix('it')}.kind is missing.".removeprefix(".")
    if kind == "union_tag_invalid":
        allowed = [tag.strip("'") for tag in about["expected_tags"].split(", ")]
        return f"{path}.kind = {about['tag']!r} is not allowed; {nearest(about['tag'], allowed)}"
    if kind == "name":
        return f"{path} has {_fault(error['input'])}: use up to 100 letters, digits, - and _."
    given = shown(error["input"])
    if kind == "twice":
        return f"{path} = {given} contains {error['msg']}."
    if kind == "literal_error":
        names = [part.strip("'") for part in about["expected"].replace(" or ", ", ").split(", ")]
        return f"{path} = {given} is not allowed; {nearest(error['input'], names)}"
    return f"{path} = {given} is not allowed: {WORDS.get(kind) or error['msg'][0].lower() + error['msg'][1:]}."


def _fault(name: str) -> str:
    """What is wrong with a name, in words."""
    if not name or len(name) > 100:
        return "an empty name" if not name else f"a name of {len(name)} characters"
    wrong = next((one for one in name if not (one.isascii() and (one.isalnum() or one in "-_"))), name[0])
    return {".": "a dot in its name", " ": "a space in its name"}.get(wrong, f"{wrong!r} in its name")


def _keys(values: Any, location: tuple) -> Iterator[str | int]:
    """The keys of ``values`` on the way to an error; its ``location`` also names the kind of what may be of several."""
    for key in location:
        if isinstance(values, Mapping) and key not in values and key == values.get("kind"):
            continue
        yield key
        values = values[key] if isinstance(values, Mapping) and key in values else None


def _fields(shape: Any, location: tuple) -> list[str]:
    """Names of the fields of the model nested in ``shape`` at the ``location`` of an error."""
    models = list(_models(shape))
    for key in location:
        within = [
            inner for one in models if key in one.model_fields for inner in _models(one.model_fields[key].annotation)
        ]
        of_kind = [
            one for one in models if "kind" in one.model_fields and key in get_args(one.model_fields["kind"].annotation)
        ]
        models = within or of_kind or models
    return list(models[0].model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within an annotation such as ``dict[str, Scale | None]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
