"""What the benchmarks make of what they measured, and that the document shows it."""

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from dualenc import warm
from dualenc.runtime.files import read_json

ROOT = Path(__file__).parents[1]
MACHINE = {"processor": "a processor", "software": "2 threads, a library 1.0"}


@pytest.fixture
def harness(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "compare")
    return import_module("harness")


def comparison(harness, own, other, **fields):
    told = {"path": "work", "against": "a library", "setting": "much", "amount": 8, "unit": "lists", "target": 1.5}
    return harness.Comparison(**(told | fields), ours=own, theirs=other)


def test_a_comparison_takes_turns_and_the_median_of_its_ratios(harness):
    turns, seconds = [], {"ours": iter([9, 2, 1, 4]), "theirs": iter([9, 2, 4, 12])}

    def way(name):
        turns.append(name)
        return next(seconds[name])

    entry = harness.measure(comparison(harness, lambda: way("ours"), lambda: way("theirs"), limit=16.0), 3)
    assert turns == ["ours", "theirs"] * 4
    assert entry["ratios"] == [1, 4, 3]  # the first turn does not count
    assert entry["ratio"] == 3
    assert (entry["ours"], entry["theirs"], entry["unit"]) == (4, 2, "lists/s")
    assert entry["limit_share"] == 0.25


def test_a_comparison_without_an_amount_shows_seconds(harness):
    entry = harness.measure(comparison(harness, lambda: 2.0, lambda: 3.0, amount=None, unit="s"), 1)
    assert (entry["ours"], entry["theirs"], entry["ratio"], entry["unit"]) == (2, 3, 1.5, "s")
    assert entry["limit_share"] is None


def test_what_is_measured_again_takes_the_place_of_what_was(harness, tmp_path):
    file = tmp_path / "cpu.json"
    for path, ratio in (("one", 1.0), ("other", 2.0), ("one", 3.0)):
        harness.record(file, [{"path": path, "against": "a library", "ratio": ratio}], MACHINE)
    assert [(entry["path"], entry["ratio"]) for entry in read_json(file)] == [("one", 3.0), ("other", 2.0)]
    assert all(MACHINE.items() <= entry.items() for entry in read_json(file))


def test_each_processor_has_rows_and_a_table_of_its_own(harness, tmp_path):
    file = tmp_path / "cpu.json"
    entry = harness.measure(comparison(harness, lambda: 1.0, lambda: 2.0), 2)
    harness.record(file, [entry], MACHINE)
    harness.record(file, [entry | {"ratio": 7.5}], MACHINE | {"processor": "another"})
    harness.record(file, [entry | {"ratio": 2.5}], MACHINE)
    assert [(one["processor"], one["ratio"]) for one in read_json(file)] == [("a processor", 2.5), ("another", 7.5)]
    first, second = harness.tables(read_json(file)).split("## On ")[1:]
    assert first.startswith("a processor\n") and "| 2.5 (2 to 2) |" in first and "core-seconds" not in first
    assert second.startswith("another\n") and "| 7.5 (2 to 2) |" in second


def test_long_comparisons_take_few_turns(harness, monkeypatch):
    now = 0.0
    monkeypatch.setattr(harness, "perf_counter", lambda: now)

    def long():
        nonlocal now
        now += 15
        return 15.0

    assert len(harness.measure(comparison(harness, long, long), 5)["ratios"]) == harness.TURNS


def test_parts_of_a_build_add_up_to_the_seconds_of_its_cores(harness, tmp_path):
    seconds = {"dataset.tsv": 10.0, "train/de/seed-1.tsv": 30.0, "figure/fig1.tsv": 0.25}
    for name, taken in seconds.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\th:m:s\n{taken}\t0:00\n", encoding="utf-8")
    found = import_module("dag").core_seconds(tmp_path, wall=40.0, cores=2, start=0.5)
    assert sum(found.values()) == pytest.approx(80)
    assert found["tokens and data"] == pytest.approx(2 * 9.5)  # has both cores
    assert found["training"] == pytest.approx(29.5)
    assert found["start-up of 3 jobs"] == pytest.approx(2 * 0.5 + 0.5 + 0.25)
    assert found["drawing"] == 0


def test_every_timed_rule_is_part_of_a_build(harness):
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    timed = set(re.findall(r"\{TIMES\}/(\w+)", rules))
    assert timed == {rule for part in import_module("dag").PARTS.values() for rule in part}


@pytest.mark.parametrize("command", ["evaluate", "table", "figure", "train"])
def test_the_jobs_whose_start_is_timed_end_as_they_should(harness, tmp_path, command):
    startup = import_module("startup")
    startup._run(startup._jobs(tmp_path)[command], os.environ | {warm.ADDRESS: "off"}, startup.MESSAGE)


def test_a_start_that_ends_otherwise_is_not_timed(harness):
    startup = import_module("startup")
    with pytest.raises(RuntimeError, match="was to end with 'another error'"):
        startup._run([sys.executable, "-c", "exit('does not exist')"], os.environ, "another error")


def test_all_ways_of_a_training_step_calculate_the_same(harness, monkeypatch):
    step = import_module("step")
    ways = {name: way for name, way in step.ways(bfloat16=True).items() if "compile" not in name}
    monkeypatch.setattr(step, "ways", lambda bfloat16: ways)
    monkeypatch.setattr(step.workload, "has_bfloat16", lambda: True)
    monkeypatch.setattr(step.workload, "matrix_rate", lambda dtype: 1e9)
    entries = step.measure(layers=1, width=32, texts=5, turns=1)  # which compares their states with the library's
    assert [entry["way"] for entry in entries] == list(ways)


def test_the_document_shows_the_measurements_of_the_shared_file(harness):
    document = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert harness.tables(read_json(ROOT / "benchmarks" / "cpu.json")) in document, (
        "write the tables anew: python benchmarks/compare --table"
    )
