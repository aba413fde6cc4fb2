"""The fault test itself: a few kills."""

import random

import pytest

import faults
from conftest import copy_repository


@pytest.mark.long
def test_a_build_that_is_killed_five_times_has_the_results_of_one_that_is_not(built, smoke, tmp_path):
    victims, differing = faults.disturb(copy_repository(tmp_path), built, 5, 2, random.Random(0))
    assert victims.total() >= 5 and differing == []


def test_what_is_missing_or_differs_is_found(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name / "results/times").mkdir(parents=True)
        (tmp_path / name / "results/metrics.json").write_text("1", encoding="utf-8")
        (tmp_path / name / "results/times/train.tsv").write_text(name, encoding="utf-8")
        (tmp_path / name / "figures").mkdir()
        (tmp_path / name / "figures/fig1.png").write_text(name, encoding="utf-8")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert faults.compared(killed, whole) == (2, [])
    (killed / "results/metrics.json").write_text("2", encoding="utf-8")
    (killed / "figures/fig1.png").unlink()
    assert sorted(faults.compared(killed, whole)[1]) == ["figures/fig1.png", "results/metrics.json"]
