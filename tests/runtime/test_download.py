"""Downloads from a real server: continued where they broke, checked, and never half there."""

import hashlib
import os
import re

import pytest

import file_server
from dualenc.runtime.download import download
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json

CONTENT = os.urandom(3_000_000)
HALF = len(CONTENT) // 2
KNOWN = {"size": len(CONTENT), "md5": hashlib.md5(CONTENT).hexdigest()}
UNKNOWN = {"size": None, "md5": None}


@pytest.fixture
def server():
    """A server of one file, /x.tsv."""
    with file_server.serving() as server:
        server.files["/x.tsv"] = CONTENT
        yield server


@pytest.mark.parametrize("about", [KNOWN, UNKNOWN])
def test_a_file_its_size_and_md5(server, tmp_path, about):
    path = tmp_path / "new" / "x.tsv"
    assert download(server.url("/x.tsv"), path, **about) == path
    assert path.read_bytes() == CONTENT
    assert read_json(tmp_path / "new" / "x.tsv.json") == {"url": server.url("/x.tsv"), **KNOWN}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["x.tsv", "x.tsv.json"]
    download(server.url("/x.tsv"), path, **about)
    assert server.requests == [("/x.tsv", None)]


def broken(server, path, at=HALF, **about):
    """Download to ``path`` from a server that breaks, and breaks again before it has sent anything more."""
    server.breaks = [at, at]
    with pytest.raises(UserError, match=rf"connection to {server.url('/x.tsv')} broke after .* MB .*: run again"):
        download(server.url("/x.tsv"), path, **about or KNOWN)
    assert not path.exists()
    server.requests.clear()


@pytest.mark.parametrize("about", [KNOWN, KNOWN | {"size": None}])
def test_a_broken_connection_is_continued_at_once(server, tmp_path, about):
    server.breaks = [HALF]
    path = download(server.url("/x.tsv"), tmp_path / "x.tsv", **about)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/x.tsv", None), ("/x.tsv", f"bytes={HALF}-")]


def test_an_interrupted_download_is_continued_by_the_next_call(server, tmp_path):
    broken(server, tmp_path / "x.tsv")
    path = download(server.url("/x.tsv"), tmp_path / "x.tsv", **KNOWN)
    assert path.read_bytes() == CONTENT and server.requests == [("/x.tsv", f"bytes={HALF}-")]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.tsv", "x.tsv.json"]


def test_a_whole_part_is_not_asked_for_again(server, tmp_path):
    broken(server, tmp_path / "x.tsv", at=HALF)
    (tmp_path / ".x.tsv.part").write_bytes(CONTENT)  # the process was killed before it gave the file its name
    assert download(server.url("/x.tsv"), tmp_path / "x.tsv", **KNOWN).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("about", [KNOWN, KNOWN | {"size": None}, UNKNOWN])
def test_a_server_without_ranges_starts_again(server, tmp_path, about):
    server.ranges = False
    broken(server, tmp_path / "x.tsv", **about)
    assert download(server.url("/x.tsv"), tmp_path / "x.tsv", **about).read_bytes() == CONTENT


def test_without_an_md5_a_part_is_continued_only_if_the_server_says_that_it_is_the_same_file(server, tmp_path):
    server.versions["/x.tsv"] = '"one"'
    broken(server, tmp_path / "x.tsv", **UNKNOWN)
    assert download(server.url("/x.tsv"), tmp_path / "x.tsv", **UNKNOWN).read_bytes() == CONTENT
    assert server.requests == [("/x.tsv", f"bytes={HALF}-")]

    broken(server, tmp_path / "y.tsv", **UNKNOWN)
    server.files["/x.tsv"], server.versions["/x.tsv"] = CONTENT[::-1], '"two"'
    assert download(server.url("/x.tsv"), tmp_path / "y.tsv", **UNKNOWN).read_bytes() == CONTENT[::-1]

    del server.versions["/x.tsv"]
    broken(server, tmp_path / "z.tsv", **UNKNOWN)
    download(server.url("/x.tsv"), tmp_path / "z.tsv", **UNKNOWN)
    assert server.requests == [("/x.tsv", None)]


def test_a_part_of_another_file_is_not_used(server, tmp_path):
    other = CONTENT[::-1]
    server.files["/other.tsv"] = other
    for url, content in (("/other.tsv", other), ("/x.tsv", other)):  # another URL; the same one with another MD5
        broken(server, tmp_path / "x.tsv")
        server.files[url] = content
        md5 = hashlib.md5(content).hexdigest()
        path = download(server.url(url), tmp_path / "x.tsv", size=len(content), md5=md5)
        assert path.read_bytes() == content and server.requests == [(url, None)]
        path.unlink()


def test_a_file_that_has_become_shorter(server, tmp_path):
    broken(server, tmp_path / "x.tsv")
    short = CONTENT[:100]
    server.files["/x.tsv"] = short
    with pytest.raises(UserError, match="100 bytes instead of 3,000,000, so it was removed"):
        download(server.url("/x.tsv"), tmp_path / "x.tsv", **KNOWN)
    assert server.requests == [("/x.tsv", f"bytes={HALF}-"), ("/x.tsv", None)]


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_corrupted_byte_is_never_used(server, tmp_path, size):
    corrupted = bytearray(CONTENT)
    corrupted[HALF] ^= 1
    server.files["/x.tsv"] = bytes(corrupted)
    path = tmp_path / "x.tsv"
    for _ in range(2):
        message = rf"{server.url('/x.tsv')}: .* has the MD5 \w+ instead of {KNOWN['md5']}, so it was removed; .*{path}"
        with pytest.raises(UserError, match=message):
            download(server.url("/x.tsv"), path, **KNOWN | {"size": size})
        assert list(tmp_path.iterdir()) == []
    assert server.requests == [("/x.tsv", None)] * 2


def test_a_corrupted_part_is_not_used_twice(server, tmp_path):
    broken(server, tmp_path / "x.tsv")
    with open(tmp_path / ".x.tsv.part", "r+b") as part:
        part.write(bytes([CONTENT[0] ^ 1]))
    with pytest.raises(UserError, match="was removed; run again"):
        download(server.url("/x.tsv"), tmp_path / "x.tsv", **KNOWN)
    assert download(server.url("/x.tsv"), tmp_path / "x.tsv", **KNOWN).read_bytes() == CONTENT
    assert server.requests == [("/x.tsv", f"bytes={HALF}-"), ("/x.tsv", None)]


def test_a_file_put_there_by_hand(server, tmp_path):
    path = tmp_path / "x.tsv"
    path.write_bytes(CONTENT)
    assert download(server.url("/x.tsv"), path, **KNOWN) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=r"x.tsv has 2,999,999 bytes instead of 3,000,000: .* remove it and run again"):
        download(server.url("/x.tsv"), path, **KNOWN)
    assert path.exists() and server.requests == []


def test_a_file_that_the_server_does_not_have(server, tmp_path):
    url, path = server.url("/z.tsv"), tmp_path / "z.tsv"
    message = f"{url} cannot be downloaded, as its server says 404 Not Found: correct the URL or put the file at {path}"
    with pytest.raises(UserError, match=re.escape(message)):
        download(url, path, **UNKNOWN)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_cannot_be_reached(server, tmp_path):
    with file_server.serving() as gone:
        url = gone.url("/x.tsv")
    with pytest.raises(UserError, match=rf"{url} cannot be reached \(ConnectionError\): .* put the file at {tmp_path}"):
        download(url, tmp_path / "x.tsv", **KNOWN)


def test_a_full_disk_leaves_no_half_file(server, small_disk):
    disk = small_disk(1 << 20)
    path = disk / "x.tsv"
    with pytest.raises(OSError, match="No space left on device"):
        download(server.url("/x.tsv"), path, **KNOWN)
    assert not path.exists()
