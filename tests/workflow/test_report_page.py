"""The report has every artefact, with its caption and its data, and asks for nothing from outside."""

import math
import re

import pandas as pd
import pytest

import browser
from dualenc.study import artefacts

# An observer and no timer before the page is there: the browser's virtual time runs ahead while the machine is busy.
WAIT = """const wait = () => new Promise(resolve => setTimeout(resolve, 50));
await new Promise(resolve => {
    const page = document.querySelector("#app");
    const look = () => { if (typeof app === "object" && page.innerText.trim()) resolve(); };
    new MutationObserver(look).observe(page, {childList: true, subtree: true}); look();
});"""
FRONT = f"{WAIT} return document.querySelector('#app').innerText;"
# Click through all results: the text of the information panel, and whether the image or the page is shown.
CLICKED = f"""{WAIT} const seen = {{}};
for (const [path, result] of Object.entries(results)) {{
    app.showResultInfo(path); await wait();
    const text = document.querySelector('#app').innerText;
    const content = {{"image/png": "img", "text/html": "html"}}[result.mime_type];
    let shown = null;
    if (content) {{
        app.setView({{content: content, contentPath: result.data_uri, resultPath: path}}); await wait();
        const element = document.querySelector(content == "img" ? "img[src^='data:image/png']" : "iframe");
        if (content == "img") {{
            for (let tries = 0; tries < 100 && !element.naturalWidth; tries++) await wait();
            shown = element.naturalWidth;
        }}
        else shown = decodeURIComponent(escape(atob(element.src.split(",")[1])));
    }}
    seen[path] = {{text, shown}};
}}
return seen;"""


@pytest.fixture(scope="module")
def report(finished):
    """The report of the smoke scale."""
    return finished / "results/smoke/report.html"


@pytest.fixture(scope="module")
def clicked(report, tmp_path_factory):
    """What a browser shows of every result."""
    return browser.opened(report, CLICKED, tmp_path_factory.mktemp("clicked"))


def test_nothing_is_asked_for_from_outside_and_no_error_is_logged(clicked):
    assert clicked.requests == []
    # Snakemake's page says this of the style sheet that it carries along.
    assert [line for line in clicked.console if "cdn.tailwindcss.com should not be used" not in line] == []


def test_a_page_that_asks_for_something_is_found_out(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text('<img src="http://example.com/a.png"><script>console.error("bad")</script>', encoding="utf-8")
    opened = browser.opened(page, "return 1;", tmp_path)
    assert opened.requests == ["http://example.com/a.png"] and opened.console == ['"bad"'] and opened.returned == 1


def test_every_artefact_is_shown_with_its_caption_and_its_data(clicked, study):
    seen = clicked.returned
    for name, artefact in study.artefacts.items():
        if artefact.kind == "claim":
            assert f"{name}: " in seen["results/smoke/claims.html"]["shown"]
            continue
        caption = artefacts.caption(artefact.kind, name)
        if artefact.kind == "table":
            view, data = f"results/smoke/tables/{name}.html", f"results/smoke/tables/{name}.csv"
            assert f"<strong>{name}.</strong>" in seen[view]["shown"]
        else:
            view, data = f"figures/smoke/{name}.png", f"results/smoke/figure-data/{name}.csv"
            assert seen[view]["shown"] > 500
        for path in (view, data):
            assert " ".join(caption.split()) in " ".join(seen[path]["text"].split()), path


def test_the_first_page_has_claims_figure_table_and_costs(report, study, tmp_path):
    text = browser.opened(report, FRONT, tmp_path).returned
    for heading in ("rebuilt", "Claims of the paper", "Figure 1", "Table 1", "What it costs"):
        assert heading in text
    costs = text.partition("What it costs")[2]
    for name, artefact in study.artefacts.items():
        assert re.search(
            rf"^{name}\s+{re.escape(artefacts.title(artefact.kind, name))}\s+\d+\s+[\d,]+\s", costs, re.M
        ), name


@pytest.mark.parametrize("width", [1280, 400])
def test_the_first_page_fits_the_window(finished, tmp_path, width):
    """In a frame: a window of the browser cannot be narrower than 485 pixels."""
    front = finished / "results/smoke/report/front.html"
    script = f"""const frame = document.createElement("iframe");
    frame.style = "border: 0; width: {width}px; height: 1000px";
    frame.srcdoc = [...document.querySelectorAll("style, .dualenc")].map(one => one.outerHTML).join("");
    const loaded = new Promise(resolve => {{ frame.onload = resolve; }});
    document.body.append(frame); await loaded;
    return [frame.contentDocument.documentElement.scrollWidth, frame.contentWindow.innerWidth];"""
    wide, window = browser.opened(front, script, tmp_path).returned
    assert wide <= window == width


def test_a_verdict_leads_to_its_evidence(report, study, tmp_path):
    """In the report itself, whose script has its own way with addresses."""
    script = f"""{WAIT} const found = {{}};
    for (const link of document.querySelectorAll(".verdicts a")) {{
        link.click(); await wait();
        const target = document.getElementById(link.getAttribute("href").slice(1));
        found[link.innerText] = [target.parentElement.open, target.parentElement.innerText.includes("Thresholds")];
    }}
    return found;"""
    found = browser.opened(report, script, tmp_path).returned
    claims = [name for name, artefact in study.artefacts.items() if artefact.kind == "claim"]
    assert [text.split()[0] for text in found] == claims
    assert set(map(tuple, found.values())) == {(True, True)}


def test_numbers_of_table_1_are_those_of_its_csv(finished, report, tmp_path):
    rows = pd.read_csv(finished / "results/smoke/tables/tab1.csv").dropna(subset="run")
    text = browser.opened(report, FRONT, tmp_path).returned.partition("Table 1")[2].partition("Claims of")[0]
    shown = 0
    for row in rows.to_dict("records"):
        line = re.search(rf"^{re.escape(row['label'])}\t.*$", text, flags=re.MULTILINE)[0]
        for name in ("test_MRR@10", "train_MRR@10", "retrieval_MRR@10"):
            for value in (row[f"{name}_mean"], row[f"{name}_low"], row.get(f"{name}_gain", math.nan)):
                if not math.isnan(value):
                    assert f"{value:.3f}" in line, (row["label"], name)
                    shown += 1
    assert shown >= 20


def test_costs_are_those_of_the_jobs(finished, report):
    front = (finished / "results/smoke/report/front.html").read_text(encoding="utf-8")
    jobs, seconds, own, own_seconds = re.search(
        r"<td[^>]*>tab1</td>\n<td[^>]*>.*</td>" + r"\n<td[^>]*>([\d,]+)</td>" * 4, front
    ).groups()
    times = (finished / "results/smoke/times").rglob("*.tsv")
    total = sum(float(path.read_text(encoding="utf-8").splitlines()[1].split("\t")[0]) for path in times)
    assert 0 < float(own_seconds) <= float(seconds.replace(",", "")) < total
    assert 0 < int(own) < int(jobs)
