"""What is said about artefacts without importing their modules is what the modules say."""

import pytest
from docutils.core import publish_string

from dualenc.runtime.errors import UserError
from dualenc.study import artefacts

SHOWN = [(kind, name) for kind in ("table", "figure") for name in artefacts.names(kind)]


@pytest.mark.parametrize(("kind", "name"), SHOWN)
def test_a_caption_is_that_of_the_module(kind, name):
    module = artefacts.module(kind, name)
    assert artefacts.caption(kind, name) == module.CAPTION


@pytest.mark.parametrize(("kind", "name"), [*SHOWN, *(("claim", name) for name in artefacts.names("claim"))])
def test_a_title_is_a_short_line_of_the_docstring(kind, name):
    title = artefacts.title(kind, name)
    assert f": {title}." in artefacts.module(kind, name).__doc__
    assert 10 < len(title) < 100


def test_all_tables_claims_and_no_machinery_are_found():
    assert {"tab1", "tabS1", "tab12"} <= set(artefacts.names("table")) and "comparison" not in artefacts.names("table")
    assert {"C1", "C12", "P3"} <= set(artefacts.names("claim")) and "page" not in artefacts.names("claim")


def test_a_file_of_any_name_is_an_artefact_if_it_has_the_parts_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(artefacts, "PACKAGE", tmp_path)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/my_plot.py").write_text('"""Mine."""\n\nCAPTION = "What it shows."\n', encoding="utf-8")
    (tmp_path / "figures/shared.py").write_text("def draw(): ...\n", encoding="utf-8")
    artefacts.names.cache_clear()
    assert artefacts.names("figure") == ["my_plot"]
    artefacts.names.cache_clear()


def test_artefacts_are_in_the_order_of_their_numbers():
    known = list(artefacts.kinds())
    for some in (["fig1", "fig8", "figS1", "figS3"], ["tab1", "tab2", "tab10", "tabS1"], ["C1", "C2", "C10", "P1"]):
        assert [name for name in known if name in some] == some
    assert known.index("figS3") < known.index("tab1") < known.index("C1")


def test_two_artefacts_of_one_name(tmp_path, monkeypatch):
    monkeypatch.setattr(artefacts, "PACKAGE", tmp_path)
    for kind in ("figure", "table", "claim"):
        (tmp_path / f"{kind}s").mkdir()
        (tmp_path / f"{kind}s/mine.py").write_text(f"{artefacts.MARK[kind]} = 'x'\n", encoding="utf-8")
    for found in (artefacts.names, artefacts.kinds):
        found.cache_clear()
    with pytest.raises(
        UserError, match=r"^src/dualenc/tables/mine.py has the same name as src/dualenc/figures/mine.py: "
    ):
        artefacts.kinds()
    artefacts.names.cache_clear()


def test_a_declaration_that_is_computed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(artefacts, "PACKAGE", tmp_path)
    (tmp_path / "tables").mkdir()
    for number, value in enumerate(("{**ALL}", "dict(a=1)", "{'a': 1")):
        (tmp_path / f"tables/tab9{number}.py").write_text(f'"""T."""\nSHOWS = {value}\n', encoding="utf-8")
        with pytest.raises(
            UserError, match=rf"^src/dualenc/tables/tab9{number}.py has no SHOWS that is a single literal"
        ):
            artefacts.declared("table", f"tab9{number}", "SHOWS")


def test_an_unknown_artefact_is_refused():
    with pytest.raises(UserError, match=r"dualenc.tables has no 'fig1'; it has tab1, "):
        artefacts.module("table", "fig1")


def test_a_caption_that_is_computed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(artefacts, "PACKAGE", tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/tab99.py").write_text("CAPTION = str(1)\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"tables/tab99.py has no CAPTION that is a single string literal"):
        artefacts.caption("table", "tab99")


@pytest.mark.parametrize("text", ["a*b* *c*", "`x`_ |y| z_", "1\\2", *(artefacts.caption(*one) for one in SHOWN)])
def test_a_caption_in_restructured_text_is_read_as_it_is(text):
    settings = {"report_level": 1, "halt_level": 1, "warning_stream": False}
    read = publish_string(artefacts.restructured(text), writer="pseudoxml", settings_overrides=settings).decode()
    lines = [line.strip() for line in read.splitlines() if not line.strip().startswith("<")]
    assert "".join(lines) == text
