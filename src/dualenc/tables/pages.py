"""Markdown as HTML: pages that a browser shows without anything from outside."""

import re
from importlib import resources

from markdown_it import MarkdownIt

BREAK = re.compile(r"(?<=\d,) (?=[-+.\d]+\])|(?<=paper) (?=[-+])")
"""Where a line must not break: within an interval, and before the paper's difference."""


def fragment(markdown: str) -> str:
    """The HTML of Markdown with tables as on GitHub; HTML within it stays, and `BREAK`s do not break."""
    html = MarkdownIt("commonmark").enable("table").render(markdown)
    return BREAK.sub("&nbsp;", html)


def page(markdown: str, title: str) -> str:
    """A whole HTML document with the style of this project."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<style>\n{style()}</style>\n</head>\n<body class="dualenc">\n{fragment(markdown)}</body>\n</html>\n'
    )


def style() -> str:
    """The style sheet, which affects only what is inside elements of class ``dualenc``."""
    return (resources.files("dualenc.tables") / "pages.css").read_text(encoding="utf-8")
