"""Files that appear whole or not at all, a full disk included."""

import hashlib
import json
import os

import pytest

import processes
import tiny_study
from dualenc.runtime.files import atomic, atomic_entries, md5, read_json, write_json


def write(path, text, *, folder):
    """Write ``text`` to a file, or to two files of a folder."""
    if folder:
        (path / "inner").mkdir(parents=True)
        path = path / "inner" / "a.txt"
        (path.parent / "b.txt").write_text("b", encoding="utf-8")
    path.write_text(text, encoding="utf-8")


def content(path):
    return {file.relative_to(path): file.read_text(encoding="utf-8") for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("folder", [False, True])
def test_the_whole_or_the_old(tmp_path, folder):
    path = tmp_path / "deep" / "er" / "out.txt"
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        write(temporary, "half", folder=folder)
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with atomic(path) as temporary:
        write(temporary, "old", folder=folder)
        assert not path.exists()
    before = content(tmp_path)
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        write(temporary, "half", folder=folder)
        assert content(tmp_path).items() >= before.items()
        raise RuntimeError
    assert content(tmp_path) == before
    with atomic(path) as temporary:
        write(temporary, "new", folder=folder)
    assert content(tmp_path) == {name: text.replace("old", "new") for name, text in before.items()}


def test_a_new_folder_has_nothing_of_the_old_one(tmp_path):
    for name in ("first", "second"):
        with atomic(tmp_path / "out") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["second"]


@pytest.mark.parametrize("folder", [False, True])
def test_what_killed_processes_have_left_is_removed(tmp_path, folder):
    def temporary_of(number):
        name = temporary.name.replace(str(os.getpid()), str(number))
        return temporary.with_name(name)

    with atomic(tmp_path / "out.gz") as temporary, atomic(tmp_path / "also.out.gz") as other:
        write(temporary, "whole", folder=False)
        other.touch()
    for number in (os.getpid(), 1, 99999999):
        write(temporary_of(number), "half", folder=folder)
    with atomic(tmp_path / "also.out.gz") as other:
        other.touch()
    assert len(list(tmp_path.iterdir())) == 5  # those of another output stay
    with atomic(tmp_path / "out.gz") as temporary:
        assert not temporary.exists()
        write(temporary, "new", folder=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["also.out.gz", "out.gz"]


def test_the_temporary_name_keeps_the_suffixes(tmp_path):
    with atomic(tmp_path / "test.run.gz") as temporary:
        assert temporary.name.endswith(".run.gz") and temporary.name.startswith(".")
        temporary.touch()


def test_entries_are_replaced_and_others_stay(tmp_path):
    folder = tmp_path / "seed-1"
    for call in ("old", "new"):
        with atomic_entries(folder) as temporary:
            write(temporary / "model", call, folder=True)
            (temporary / "model" / call).touch()
            (temporary / "curve.csv").write_text(call, encoding="utf-8")
            assert call == "old" or (folder / "curve.csv").read_text(encoding="utf-8") == "old"
        (folder / "metrics.json").touch()
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"curve.csv", "metrics.json", "model/new", "model/inner/a.txt", "model/inner/b.txt"}
    before = content(tmp_path)
    with pytest.raises(RuntimeError), atomic_entries(folder) as temporary:
        (temporary / "curve.csv").write_text("half", encoding="utf-8")
        raise RuntimeError
    assert content(tmp_path) == before and list(tmp_path.iterdir()) == [folder]


def test_json(tmp_path):
    path = tmp_path / "x.json"
    value = {"name": "Größe", "values": [1, 2.5, None]}
    write_json(path, value)
    assert read_json(path) == value
    assert "Größe" in path.read_text(encoding="utf-8") and path.read_text(encoding="utf-8").endswith("}\n")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert read_json(path) == value and list(tmp_path.iterdir()) == [path]


def test_md5(tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "x").write_bytes(data)
    assert md5(tmp_path / "x") == hashlib.md5(data).hexdigest()


def no_space(command, log):
    """Run ``dualenc <command>``: it must end with one sentence about the disk."""
    assert processes.run(command, log) == 1
    text = log.read_text(encoding="utf-8")
    assert "Traceback" not in text
    (sentence,) = (line for line in text.splitlines() if line.startswith("dualenc: "))
    assert "no space left" in sentence and sentence.endswith(".") and len(sentence) < 300
    return sentence


def test_no_space_left_for_metrics(tiny, trained, small_disk, tmp_path):
    disk = small_disk(4096)
    params = {
        "measures": ["MRR@10", "nDCG@10"],
        "confidence": 0.95,
        "resamples": 100,
        "permutations": 100,
        "seed": 1,
    }
    runs = ["--evaluation", tiny / "evaluation", "--runs", trained["dual-encoder"], "--splits", "train,test"]
    no_space(["evaluate", "--params", json.dumps(params), *runs, "--output", disk / "out"], tmp_path / "log")
    assert list((disk / "out").iterdir()) == []


def test_no_space_left_for_tokens(tiny, small_disk, tmp_path):
    disk = small_disk(16384)
    folders = ["--dataset", tiny / "dataset", "--tokenizer", tiny / "tokenizer"]
    no_space(["tokens", *folders, "--output", disk / "out"], tmp_path / "log")
    assert list((disk / "out").iterdir()) == []


def test_no_space_left_for_a_trained_model(tiny, trained, small_disk, tmp_path):
    disk = small_disk(65536)
    command = tiny_study.train_command(tiny, tiny_study.experiment(), tmp_path / "scratch", disk / "run" / "seed-1")
    no_space(command, tmp_path / "log")
    assert not [path for path in disk.rglob("*") if path.is_file()]
    (state,) = (tmp_path / "scratch").iterdir()
    assert list(state.glob("checkpoint-*/whole"))  # so that the next call need not train again


def test_no_space_left_for_checkpoints(tiny, small_disk, tmp_path):
    disk = small_disk(65536)
    command = tiny_study.train_command(tiny, tiny_study.experiment(), disk / "scratch", tmp_path / "out" / "seed-1")
    no_space(command, tmp_path / "log")
    assert not (tmp_path / "out").exists()
    (state,) = (disk / "scratch").iterdir()
    assert not list(state.glob("checkpoint-*/whole"))
