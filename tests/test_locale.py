"""The command line does the same in every locale: arguments, file names, texts and messages are UTF-8."""

import json
import os
import subprocess
import sys

import pytest

from dualenc import warm
from dualenc.data import collection

NOT_UTF_8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", warm.ADDRESS: "off"}
SPLITS = ("train", "validation", "test")


def dualenc(*arguments, **environment):
    """The ended command, in bytes."""
    command = [sys.executable, "-m", "dualenc", *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | NOT_UTF_8 | environment, check=False)


def test_names_and_texts_of_any_language(tmp_path):
    folder = tmp_path / "दिल्ली"
    folder.mkdir()
    (folder / "collection.tsv").write_text("प\tकिताबें\n", encoding="utf-8")
    for split in SPLITS:
        (folder / f"queries.{split}.tsv").write_text(f"{split}ü\tपानी…\n", encoding="utf-8")
        (folder / f"qrels.{split}.tsv").write_text(f"{split}ü\t0\tप\t1\n", encoding="utf-8")
    params = {"kind": "tsv", "path": str(folder), "splits": {split: split for split in SPLITS}}
    params |= {"max_words": None, "max_passages": None, "max_queries": dict.fromkeys(SPLITS, 9)}
    words = "dataset", "--params", json.dumps(params, ensure_ascii=False), "--output"
    done = dualenc(*words, str(tmp_path / "नदी"))
    assert done.returncode == 0, done.stderr.decode()
    assert collection.qrels(tmp_path / "नदी", "test") == {"testü": {"प": 1}}
    assert collection.queries(tmp_path / "नदी", "test").text.tolist() == ["पानी…"]
    again = dualenc(*words, str(tmp_path / "again"), LC_ALL="C.UTF-8")
    assert again.returncode == 0, again.stderr.decode()
    for file in (tmp_path / "नदी").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"}])
def test_what_is_printed_is_utf_8(environment):
    program = "from dualenc import cli; cli.app = lambda: print('पानी…', chr(0xDCFF)); cli.main()"
    environment = os.environ | NOT_UTF_8 | environment
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program], capture_output=True, env=environment, check=True
    )
    assert done.stdout.decode() == "पानी… \\udcff\n"


def test_an_argument_in_another_encoding_is_named():
    done = dualenc("plan", "--artefacts", "größe".encode("latin-1"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith("dualenc: the argument 'gr\\udcf6\\udcdfe' is not UTF-8: ")
