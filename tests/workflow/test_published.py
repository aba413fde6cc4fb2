"""The plan of a scale with published scores."""

import re

import pytest
import yaml


@pytest.fixture
def plan(repository, call_in, tmp_path):
    """How many jobs of each rule table 1 and the table of teachers need, with some keys of smoke changed."""
    for name in ("Snakefile", "profiles", "src", "workflow"):
        (tmp_path / name).symlink_to(repository / name)
    (tmp_path / "scores.tsv").touch()

    def make(**changes):
        params = yaml.safe_load((repository / "params.yaml").read_text())
        params["scales"]["smoke"] |= changes
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        result = call_in(tmp_path, "snakemake", "-n", "--config", "scale=smoke", "--", "tab1", "tabS1")
        assert result.returncode == 0, result.stdout
        table = result.stdout.rpartition("Job stats:")[2]
        return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}

    return make


def test_published_scores_take_the_place_of_the_lists_and_of_one_teachers_scores(plan):
    usual = plan()
    published = plan(published_scores={"path": "scores.tsv", "teacher": "ca", "tolerance": 0, "allowed_defects": 0})
    assert "import_scores" not in usual and published.pop("import_scores") == 1
    assert usual.pop("lists") == 1
    usual["teacher_scores"] -= 1
    usual["total"] -= 1
    assert published == usual and usual["teacher_scores"] == 2
