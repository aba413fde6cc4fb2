"""Names that are looked up: found, or told with the nearest of those allowed."""

import pytest

from dualenc.runtime.errors import UserError
from dualenc.runtime.lookup import LONGEST, choose, nearest, shown


def test_a_known_name_is_its_value_or_itself():
    assert choose("scale", "mini", {"smoke": 1, "mini": 2}) == 2
    assert choose("loss", "mse", ["mse", "m3se"]) == "mse"


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UserError, match=r"^params.yaml: scale = 'min' is unknown; allowed: smoke, mini; did you mean"):
        choose("scale", "min", {"smoke": 1, "mini": 2})
    with pytest.raises(UserError, match=r"^--experiment = 'dee' is unknown; allowed: de, ca; did you mean de\?"):
        choose("--experiment", "dee", ["de", "ca"])
    with pytest.raises(UserError, match=r"scale = \['mini'\] is unknown"):
        choose("scale", ["mini"], {"mini": 1})
    assert nearest("m3es", ["mse", "m3se"]) == "allowed: mse, m3se; did you mean m3se?"
    assert nearest("zzz", ["mse"]) == "allowed: mse."


def test_of_a_long_value_the_start_is_shown():
    assert shown("two\nlines") == r"'two\nlines'"
    assert shown("x" * 500) == f"'{'x' * (LONGEST - 1)}..."
