"""What values of params.yaml may be: numbers within bounds, texts, names, and mappings of exactly some keys.

Nothing is taken for something else: a truth value or text is not a number, and 3.0 is not a whole number. An error
about a number gives its bounds.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

EXPONENT = re.compile(r"[-+]?\d+\.?\d*[eE][-+]?\d+")


def told(allowed: str) -> WrapValidator:
    """Whatever is wrong with a value, the error says what is ``allowed``."""

    def check(value: Any, within: Callable[[Any], Any]) -> Any:
        try:
            return within(value)
        except ValidationError:
            raise PydanticCustomError("not_allowed", "give {allowed}", {"allowed": allowed}) from None

    return WrapValidator(check)


def whole(least: int, most: int = 10**9, *, null: str = "") -> Any:
    """Whole numbers from ``least`` to ``most``, and None if it means something: ``null`` says what."""
    number = Annotated[int, Field(ge=least, le=most)]
    words = f"a whole number from {least} to {most}"
    return Annotated[number | None, told(f"{words}, or null for {null}")] if null else Annotated[number, told(words)]


def real(low: float, high: float = 1e6, *, open: str = "") -> Any:
    """Numbers from ``low`` to ``high``, without the ends that are ``open``: "low", "high", or "low high"."""
    bounds = {"gt" if "low" in open else "ge": low, "lt" if "high" in open else "le": high}
    words = f"a number {'above' if 'low' in open else 'from'} {low:g}"
    words += f" and below {high:g}" if "high" in open else f" {'up ' if 'low' in open else ''}to {high:g}"
    finite = Field(allow_inf_nan=False, **bounds)
    return Annotated[float, finite, BeforeValidator(_number), told(words)]


def _number(value: Any) -> Any:
    """1e-3, which YAML 1.1 takes for text, as the number that it is."""
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def once(values: list) -> list:
    """``values``, each of which may appear only once."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise PydanticCustomError("twice", "{value} twice: give each once", {"value": repr(value)})
    return values


Number = Annotated[float, BeforeValidator(_number), told("a number")]
Positive = whole(1)
Limit = whole(1, null="all")
Count = whole(0)
Seed = whole(0, 2**32 - 1)  # what numpy and transformers accept
ListSize = whole(2)  # a positive and a negative
Width = whole(1, 10**5)
Fraction = real(0, 1)
Share = real(0, 1, open="high")
Weight = real(0)
Size = real(0, open="low")
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$"), told("text on one line")]
Texts = Annotated[list[Text], AfterValidator(once)]
Names = Annotated[Texts, BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$"), told("the 32 hexadecimal digits of an MD5")]
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise PydanticCustomError("name", "no name")
    return name


Name = Annotated[str, AfterValidator(_name)]
"""What experiments, encoders, families, datasets, scales and artefacts are called: part of file and run names."""


class Strict(BaseModel):
    """A mapping with exactly the fields that it declares, of exactly their types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
