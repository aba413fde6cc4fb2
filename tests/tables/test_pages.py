"""Pages are whole, show Markdown's tables, and need nothing from outside."""

import re

from dualenc.tables import pages

MARKDOWN = "# A\n\n| a | b |\n| :-- | --: |\n| **1**<br>2 | \\*x\\* |\n\n- one\n\n![i](data:image/png;base64,AAAA)\n"


def test_tables_lists_and_images_are_rendered():
    html = pages.fragment(MARKDOWN)
    assert "<h1>A</h1>" in html and "<li>one</li>" in html
    assert '<td style="text-align:left"><strong>1</strong><br>2</td>' in html and ">*x*</td>" in html
    assert '<img src="data:image/png;base64,AAAA" alt="i" />' in html


def test_intervals_do_not_break():
    text = "0.1* [0.050, 0.150] ±0.010, -0.1 [-0.150, +0.050] paper -0.020; seeds: 1, 2"
    broken = pages.fragment(text).replace("&nbsp;", "~")
    assert broken == "<p>0.1* [0.050,~0.150] ±0.010, -0.1 [-0.150,~+0.050] paper~-0.020; seeds: 1, 2</p>\n"


def test_a_page_is_a_document_with_its_own_style():
    html = pages.page(MARKDOWN, "title")
    assert html.startswith("<!doctype html>") and "<title>title</title>" in html
    assert pages.style() in html and pages.fragment(MARKDOWN) in html
    assert not re.search(r"https?:|<link|@import|url\(", html)


def test_the_style_concerns_nothing_else():
    rules = re.findall(r"^([^{}]+){", pages.style(), flags=re.MULTILINE)
    rules = [rule for rule in rules if not rule.strip().startswith("@")]  # says when, not what
    assert rules and all(part.strip().startswith(".dualenc") for rule in rules for part in rule.split(","))
