"""Tiny MS MARCO and TREC DL 2019 in the formats of the published files, for ir_datasets to download from localhost."""

import copy
import gzip
import hashlib
import io
import tarfile

import ir_datasets
from ir_datasets.datasets import msmarco_passage
from ir_datasets.util import DownloadConfig
from ir_datasets.util.registry import Registry

RAW = {"0": "The cafÃ© in ZÃ¼rich is open.", "1": "A heron is a bird.", "2": "Birds of prey, such as the kite."}
RAW |= {str(number): f"Passage {number} on rivers and lakes." for number in range(3, 12)}
FIXED = RAW | {"0": "The café in Zürich is open."}
HELD_OUT = ["484694", "836399"]  # two of the 200 train queries that are held out for validation
QUERIES = {
    "train": {
        "11": "is the café open",
        "12": "what is a heron",
        "13": "nobody judged this",
        **dict.fromkeys(HELD_OUT, "lake"),
    },
    "dev.small": {"21": "birds of prey", "22": "rivers"},
    "dl19": {"31": "lakes and rivers", "32": "prey", "33": "not judged", "34": "judged without a relevant passage"},
}
QRELS = {
    "train": [("11", "0", 1), ("12", "1", 1), *((qid, "3", 1) for qid in HELD_OUT)],
    "dev.small": [("21", "2", 1), ("22", "4", 1), ("22", "5", 1)],
    "dl19": [
        ("31", "3", 3),
        ("31", "4", 2),
        ("31", "5", 1),
        ("31", "0", 0),
        ("32", "2", 3),
        ("32", "1", 0),
        ("34", "1", 0),
    ],
}
TOP1000 = {
    "train": [("12", "3"), ("11", "0"), ("484694", "3"), ("11", "7"), ("12", "1"), ("836399", "4"), ("11", "2")],
    "dev.small": [("22", "4"), ("21", "1"), ("22", "9"), ("21", "2"), ("22", "3")],
    "dl19": [("31", "5"), ("32", "2"), ("31", "3"), ("33", "1"), ("31", "4")],
}
SPLITS = {
    "train": "msmarco-passage/train/split200-train",
    "validation": "msmarco-passage/train/split200-valid",
    "test": "msmarco-passage/dev/small",
    "trec-dl-2019": "msmarco-passage/trec-dl-2019/judged",
}


def files() -> dict[str, bytes]:
    """ir_datasets' name of each file -> its bytes."""
    queries = {name: _lines(texts.items()) for name, texts in QUERIES.items()}
    everything = {
        "collection.tsv": _lines(RAW.items()),
        "queries.dev.small.tsv": queries["dev.small"],
        "qrels.dev.small.tsv": _qrels("dev.small", "\t"),
    }
    return {
        "collectionandqueries": _tar(everything),
        "queries": _tar({"queries.train.tsv": queries["train"]}),
        "train/qrels": _qrels("train", "\t"),
        "train/scoreddocs": _tar({"top1000.train.txt": _top1000("train")}),
        "dev/scoreddocs": _tar({"top1000.dev": _top1000("dev.small")}),
        "trec-dl-2019/queries": gzip.compress(queries["dl19"]),
        "trec-dl-2019/qrels": _qrels("dl19", " "),
        "trec-dl-2019/scoreddocs": gzip.compress(_top1000("dl19")),
    }


def serve(server, home, monkeypatch) -> None:
    """Have ir_datasets, with its files in ``home``, download MS MARCO from a `file_server.FileServer`, until undone."""
    entries = copy.deepcopy(DownloadConfig.contents()["msmarco-passage"])
    contents = files()
    for name, entry in entries.items():
        entry.pop("irds_mirror", None)
        entry |= {"url": server.url(f"/{name}"), "size_hint": 100}
        if name in contents:
            server.files[f"/{name}"] = contents[name]
            entry["expected_md5"] = hashlib.md5(contents[name]).hexdigest()
    monkeypatch.setenv("IR_DATASETS_HOME", str(home))
    monkeypatch.setenv("IR_DATASETS_TMP", str(home / "tmp"))
    monkeypatch.setenv("IR_DATASETS_DL_TRIES", "1")
    monkeypatch.setattr(ir_datasets, "registry", Registry())
    monkeypatch.setitem(DownloadConfig.contents(), "msmarco-passage", entries)
    msmarco_passage._init()


def _lines(rows) -> bytes:
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def _qrels(name: str, between: str) -> bytes:
    iteration = "Q0" if name == "dl19" else "0"
    return "".join(between.join([qid, iteration, pid, str(rel)]) + "\n" for qid, pid, rel in QRELS[name]).encode()


def _top1000(name: str) -> bytes:
    return _lines((qid, pid, QUERIES[name][qid], RAW[pid]) for qid, pid in TOP1000[name])


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return buffer.getvalue()
