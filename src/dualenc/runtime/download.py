"""Files from the web, complete or not there: continued where a connection broke, checked before they are named."""

from pathlib import Path
from typing import Any

import requests
import urllib3

from dualenc.runtime import files
from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import Progress

TIMEOUT = 60  # seconds that a server may be silent
AT_ONCE = 1 << 20  # bytes


def download(url: str, path: Path, *, size: int | None, md5: str | None) -> Path:
    """Download ``url`` to ``path``, unless the file is there, and return ``path``.

    ``size`` (bytes) and ``md5`` are those of the file, None where they are not known. Once it is whole and checked the
    file gets its name, and ``<path>.json`` holds its URL, size and MD5. Before that its bytes are in a hidden file
    next to it. If the connection breaks they are continued (HTTP Range), in this call as long as each attempt brings
    more, and in the next one; but not if the URL, the MD5 or the server's version of the file has changed.

    Raises ``UserError`` with the URL and what to do if the server does not have the file or cannot be reached, if the
    connection breaks, and if the file is not the one asked for, which is then removed.
    """
    wanted = {"url": url, "size": size, "md5": md5}
    if path.exists():
        wrong = _differences(path, wanted)
        if wrong:
            raise UserError(f"{path} has {wrong}: it is not the file at {url}; remove it and run again.")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    about = path.with_name(f".{path.name}.part.json")
    _fetch_all(wanted, partial, about, path)
    wrong = _differences(partial, wanted)
    if not wrong:
        found = {"size": partial.stat().st_size, "md5": md5 or files.md5(partial)}
        files.write_json(f"{path}.json", {"url": url, **found})
        partial.rename(path)
    partial.unlink(missing_ok=True)
    about.unlink()
    if wrong:
        raise UserError(
            f"{url}: what was downloaded has {wrong}, so it was removed; run again, and if that does not help, put "
            f"the right file at {path} by hand."
        )
    return path


def _differences(file: Path, wanted: dict[str, Any]) -> str:
    """In which of size and MD5 a file differs from the one that is wanted, in words; empty if in neither."""
    found = file.stat().st_size
    if wanted["size"] not in (None, found):
        return f"{found:,} bytes instead of {wanted['size']:,}"
    if wanted["md5"] is not None and (found := files.md5(file)) != wanted["md5"]:
        return f"the MD5 {found} instead of {wanted['md5']}"
    return ""


def _fetch_all(wanted: dict[str, Any], partial: Path, about: Path, path: Path) -> None:
    """Fetch a file into ``partial``, with as many requests as make progress. Raises ``UserError``."""
    whole, most = False, partial.stat().st_size if partial.exists() else 0
    while not whole:
        done, noted = _left(wanted, partial, about)
        try:
            whole = _fetch(wanted, done, noted, partial, about, path)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            url, why = wanted["url"], type(error).__name__
            if not partial.exists():
                raise UserError(
                    f"{url} cannot be reached ({why}): check the network, correct the URL, or put the file at "
                    f"{path} by hand."
                ) from None
            if (after := partial.stat().st_size) <= most:
                raise UserError(
                    f"the connection to {url} broke after {after / 1e6:,.1f} MB ({why}): run again to resume there."
                ) from None
            most = after


def _left(wanted: dict[str, Any], partial: Path, about: Path) -> tuple[int, dict[str, Any]]:
    """How many bytes of this very file are in ``partial``, and what ``about`` notes of them; no others are left."""
    noted = files.read_json(about) if partial.exists() and about.exists() else {}
    if noted and all(noted[key] == value for key, value in wanted.items()) and (wanted["md5"] or noted["version"]):
        return partial.stat().st_size, noted
    partial.unlink(missing_ok=True)
    return 0, {}


def _fetch(wanted: dict[str, Any], done: int, noted: dict[str, Any], partial: Path, about: Path, path: Path) -> bool:
    """Fetch what comes after the ``done`` bytes of ``partial``; returns whether the file is complete."""
    if done and done == noted["total"]:
        return True
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
        headers |= {"If-Range": noted["version"]} if noted["version"] else {}
    with requests.get(wanted["url"], headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # the server's file is shorter than it was
            partial.unlink()
            return False
        if response.status_code not in (200, 206):
            raise UserError(
                f"{wanted['url']} cannot be downloaded, as its server says {response.status_code} {response.reason}: "
                f"correct the URL or put the file at {path} by hand."
            )
        if response.status_code == 200:  # from the start, which may be all that the server offers
            done, noted = 0, wanted | _version(response)
            files.write_json(about, noted)
        progress = Progress(path.name, "MB", noted["total"] or wanted["size"], per=1e6, done=done)
        with open(partial, "ab" if done else "wb") as file:
            for block in response.raw.stream(AT_ONCE, decode_content=False):
                file.write(block)
                progress.advance(len(block))
    return True


def _version(response: requests.Response) -> dict[str, Any]:
    """What the server says about its file: how many bytes it has in ``total``, and its ``version``; None if unknown."""
    total, version = response.headers.get("Content-Length"), response.headers.get("ETag", "")
    strong = version and not version.startswith("W/")  # a weak one may stand for different bytes
    return {"total": int(total) if total else None, "version": version if strong else None}
