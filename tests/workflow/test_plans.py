"""Plans of scales that take scores or encoders from elsewhere."""

import re

import pytest
import yaml


@pytest.fixture
def plan(repository, call_in, tmp_path):
    """How many jobs of each rule table 1 and the table of teachers need, with encoders and keys of smoke changed."""
    for name in ("Snakefile", "benchmarks", "profiles", "src", "workflow"):
        (tmp_path / name).symlink_to(repository / name)
    (tmp_path / "scores.tsv").write_text("0.5\t0.25\t1\t1\t2\n", encoding="utf-8")

    def make(encoders=(), **changes):
        params = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
        params["scales"]["smoke"] |= changes
        params["encoders"] |= dict(encoders)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
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


def test_an_encoder_from_the_hub_brings_the_tokenizer(plan):
    usual = plan()
    encoder = {"layers": 1, "width": 32, "heads": 2, "hub": "google/x", "revision": "0" * 40}
    from_hub = plan(encoders={"small-1-32": encoder})
    assert usual["pretrain"] == usual["tokenizer"] == usual["corpus"] == usual["texts"] == 1
    assert from_hub.pop("fetch") == 1
    before = {"pretrain", "tokenizer", "corpus", "texts", "code", "total"}
    assert {rule: count for rule, count in usual.items() if rule not in before} == {
        rule: count for rule, count in from_hub.items() if rule not in before
    }
    assert not (before - {"code", "total"}) & from_hub.keys()


def test_values_on_the_command_line_are_yaml(repository, call_in):
    """Snakemake itself takes ``true`` for a text."""
    target = "results/smoke/encoders/small-1-32/model.safetensors"
    result = call_in(repository, "snakemake", "-n", "--config", "scale=smoke", "pretrain=true", "--", target)
    assert result.returncode == 0, result.stdout
