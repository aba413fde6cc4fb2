"""A headless Chromium that opens a page from a file, runs a script in it, and tells what happened."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

BROWSER = shutil.which("chromium")
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr", "--dump-dom"]
OPTIONS += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=600000", "--window-size=1600,1000"]


class Opened(NamedTuple):
    """What the script returned, the lines of the page's console, and the addresses that the page asked for."""

    returned: Any
    console: list[str]
    requests: list[str]


def opened(page: Path, script: str, folder: Path) -> Opened:
    """Open a copy of ``page`` in ``folder``, and run the body ``script`` of an asynchronous function at its end."""
    if BROWSER is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    ending = (
        "<script>(async () => { "
        f"const returned = await (async () => {{ {script} }})(); "
        'document.title = "done " + JSON.stringify(returned); })()</script>'
    )
    copy, log = folder / "page.html", folder / "requests.json"
    copy.write_text(page.read_text(encoding="utf-8") + ending, encoding="utf-8")
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [BROWSER, *OPTIONS, profile, f"--log-net-log={log}", copy.as_uri()]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120)
    title = re.search(r"<title>done (.*?)</title>", result.stdout, flags=re.DOTALL)
    assert title, result.stderr
    console = re.findall(r"CONSOLE[^\]]*\] (.*), source: ", result.stderr)
    events = [event.get("params") or {} for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    # What the browser asks for itself, such as its time, has no origin.
    requests = [event["url"] for event in events if event.get("initiator", "not an origin") != "not an origin"]
    return Opened(json.loads(unescaped(title[1])), console, requests)


def unescaped(text: str) -> str:
    """Text that stood in a title."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u00a0").replace("&amp;", "&")
