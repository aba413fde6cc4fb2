"""Tables: numbers for machines (CSV), and the same for readers (Markdown, HTML, LaTeX).

The table ``<id>`` is the module ``dualenc.tables.<id>``. It has ``CAPTION``, what the paper saw and what to
look for, and ``table(params, root) -> Table``, where ``params`` is the artefact's slice of params.yaml and
``root`` the folder ``results/<scale>``.
"""

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dualenc.runtime.files import atomic
from dualenc.tables import pages

MARKDOWN = str.maketrans({character: "\\" + character for character in "\\`*_|<&$~"})
LATEX = str.maketrans(
    {
        **{character: "\\" + character for character in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}"},
        **{"*": r"$^{*}$", "†": r"$^\dagger$", "⋆": r"$^\star$", "♢": r"$^\diamondsuit$", "³": "$^3$"},
        **{"±": r"$\pm$", "≤": r"$\leq$", "—": "---", "–": "--", "…": r"\ldots{}", "ρ": r"$\rho$"},
        **{"α": r"$\alpha$"},
        **{"‘": "`", "’": "'", "“": "``", "”": "''"},
    }
)


class Cell(NamedTuple):
    """What a reader sees in one cell: a number, bold if it is the best, and what belongs to it."""

    main: str = ""
    detail: str = ""
    bold: bool = False


class Table(NamedTuple):
    """A table for machines and for readers.

    ``values`` is written as CSV. ``display`` holds a `Cell` everywhere; its rows are indexed by (group,
    label) and its columns by (block, label), and rows of a group and columns of a block are adjacent.
    ``notes`` are sentences below the caption: what was rebuilt, and what the marks mean. ``texts`` are those columns
    of ``display`` that hold text instead of numbers: they are left-aligned, and wrap in LaTeX, as long labels then do.
    ``chosen`` are those columns that Markdown and HTML show, where not all of them fit on a page; None shows all.
    """

    values: pd.DataFrame
    display: pd.DataFrame
    notes: list[str]
    texts: tuple[tuple[str, str], ...] = ()
    chosen: list[tuple[str, str]] | None = None


def write(table: Table, artefact: str, caption: str, output: Path) -> None:
    """Write ``<artefact>.csv``, ``.md``, ``.html`` and ``.tex`` into the folder ``output``, each atomically."""
    readable = markdown(table, artefact, caption)
    with atomic(output / f"{artefact}.csv") as path:
        table.values.to_csv(path, index=False, float_format="%.6f")
    with atomic(output / f"{artefact}.md") as path:
        path.write_text(readable, encoding="utf-8")
    with atomic(output / f"{artefact}.html") as path:
        path.write_text(pages.page(readable, artefact), encoding="utf-8")
    with atomic(output / f"{artefact}.tex") as path:
        path.write_text(latex(table, artefact, caption), encoding="utf-8")


def markdown(table: Table, artefact: str, caption: str) -> str:
    """The table as GitHub's Markdown: block and label of a column in one header cell, groups as rows."""
    display = table.display if table.chosen is None else table.display[table.chosen]
    heads = [f"{_markdown(block)}<br>{_markdown(label)}" for block, label in display.columns]
    rules = [":--" if column in table.texts else "--:" for column in display.columns]
    lines = [_markdown_row(["", *heads]), _markdown_row([":--", *rules])]
    for group, rows in _groups(display):
        lines.append(_markdown_row([f"*{_markdown(group)}*", *[""] * len(heads)]))
        for label, cells in rows:
            lines.append(_markdown_row([_markdown(label), *map(_markdown_cell, cells)]))
    left_out = len(table.display.columns) - len(display.columns)
    more = [f"{artefact}.csv and {artefact}.tex have {left_out} more columns."] if left_out else []
    notes = [f"**{artefact}.** {_markdown(caption)}", *map(_markdown, [*table.notes, *more])]
    return "\n".join(lines) + "\n\n" + "\n\n".join(notes) + "\n"


def latex(table: Table, artefact: str, caption: str) -> str:
    """The table as a LaTeX float with booktabs, to be included; it is shrunk if it is wider than the page."""
    display = table.display
    blocks = [(block, len(list(columns))) for block, columns in groupby(block for block, _ in display.columns)]
    head = [rf"\multicolumn{{{span}}}{{c}}{{{_latex(block)}}}" for block, span in blocks]
    rules, start = [], 2
    for _, span in blocks:
        rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    lines = [_latex_row(["", *head]), " ".join(rules)]
    lines.append(_latex_row(["", *(_latex(label) for _, label in display.columns)]))
    for group, rows in _groups(display):
        lines += [r"\midrule", rf"\multicolumn{{{start - 1}}}{{l}}{{\emph{{{_latex(group)}}}}} \\"]
        for label, cells in rows:
            lines.append(_latex_row([_latex(label), *map(_latex_cell, cells)]))
    text = " ".join(_latex(note) for note in (caption, *table.notes))
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs,adjustbox}.",
            *[r"\begin{table}", r"\centering", r"\begin{adjustbox}{max width=\textwidth}"],
            *[rf"\begin{{tabular}}{{{_latex_columns(table)}}}", r"\toprule", *lines, r"\bottomrule"],
            *[r"\end{tabular}", r"\end{adjustbox}"],
            *[rf"\caption{{{text}}}", rf"\label{{tab:{artefact}}}", r"\end{table}", ""],
        ]
    )


def _groups(display: pd.DataFrame):
    """(group, [(label, cells), ...]) in the order of the rows."""
    rows = zip(display.index, display.itertuples(index=False, name=None), strict=True)
    for group, members in groupby(rows, key=lambda row: row[0][0]):
        yield group, [(label, cells) for (_, label), cells in members]


def _markdown(text: str) -> str:
    return text.translate(MARKDOWN).replace("\n", " ").replace("](", "]\\(")


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    main = _markdown(cell.main)
    return (f"**{main}**" if cell.bold else main) + _markdown(cell.detail)


def _latex(text: str) -> str:
    # Beyond Latin Extended-A, pdfLaTeX stops at a character that it has no glyph for.
    return "".join(character if character < "\u0180" else "?" for character in text.translate(LATEX))


def _latex_columns(table: Table) -> str:
    """Column types of a tabular: numbers right-aligned; with text among the columns, it and long labels wrap."""
    columns = list(table.display.columns)
    if not table.texts:
        return rf"l*{{{len(columns)}}}{{r}}"
    long = any(len(label) > 20 for _, label in table.display.index)
    wrapped = rf"p{{{(0.65 if long else 0.85) / len(table.texts):.2f}\textwidth}}"
    types = [wrapped if column in table.texts else "r" for column in columns]
    return (r"p{0.2\textwidth}" if long else "l") + "".join(types)


def _latex_row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_cell(cell: Cell) -> str:
    main = rf"\textbf{{{_latex(cell.main)}}}" if cell.bold else _latex(cell.main)
    return main + (rf"{{\scriptsize {_latex(cell.detail)}}}" if cell.detail else "")
