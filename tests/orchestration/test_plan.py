"""The plan: every job of an artefact, shared jobs once, and arithmetic that follows from sizes."""

import json

import pytest

from dualenc import cli
from dualenc.orchestration import dag, plan
from dualenc.orchestration.plan import Job
from dualenc.study import config

HARDWARE = {"hardware": "a device", "seconds_per_job": 1.0, "rates": [{"width": 64, "training": 1e9, "scoring": 2e9}]}


@pytest.fixture(scope="module")
def study():
    return config.load("params.yaml", {"scale": "mini"})


@pytest.fixture(scope="module")
def jobs(study):
    """The jobs of an artefact that run or evaluate a model."""
    makers = {job.wildcards["artefact"]: job for job in dag.read(study) if "artefact" in job.wildcards}
    return lambda name: plan.jobs(makers[name].with_what_it_needs(), study)


def test_an_artefact_needs_the_jobs_behind_its_files(jobs):
    found = jobs("tabS1")
    assert {Job(rule, "de-from-colbert", 1) for rule in ("train", "rerank", "evaluate")} <= found
    assert Job("teacher_scores", "colbert", 1) in found and Job("train", "colbert", 1) in found
    assert not any(job.seed == 2 or job.rule == "retrieval" for job in found)
    assert {(job.rule, job.run) for job in jobs("figS1")} == {
        (rule, run) for rule in ("train_with_checkpoints", "score_updates") for run in ("ca", "de")
    }
    assert jobs("figS3") == set()


def test_shared_jobs_count_once(study):
    rows = plan.plan(study, ["fig1", "fig4"], [HARDWARE])
    by_name = {row["artefact"]: row for row in rows}
    assert list(by_name) == ["fig1", "fig4", "all"]
    assert by_name["all"]["runs"] == by_name["fig1"]["runs"] == 3 * 3 * 2 + 1  # and the teacher, with the first seed
    assert by_name["all"]["hours, a device"] == by_name["fig1"]["hours, a device"]
    assert by_name["all"]["storage, GB"] >= max(by_name["fig1"]["storage, GB"], by_name["fig4"]["storage, GB"])


def test_arithmetic_grows_as_the_sizes_do(study):
    def cost(rule="train", run="de", **changes):
        at = study.at.model_copy(update=changes)
        changed = config.Study.__new__(config.Study)
        changed.__dict__ = {**study.__dict__, "at": at}
        return plan.cost(changed, Job(rule, run, 1))

    assert cost("train", "ca").training > cost("train", "de").training
    assert cost("train", "de.small-3-24").training < cost("train", "de").training / 4
    more, fewer = (cost("teacher_scores", "ca", train_lists=count).scoring for count in (2000, 1000))
    assert more == 2 * fewer
    sizes = study.at.sizes
    twice = sizes.model_copy(update={"passages": 2 * sizes.passages})
    assert cost("retrieval", sizes=twice).scoring == 2 * cost("retrieval").scoring
    assert cost("evaluate") == plan.Cost(0, 0, 0, 0)
    assert cost("rerank_checkpoint").scoring == 2 * cost("rerank").scoring  # at the start and early, of the same sets
    kept, alone = cost("train_with_checkpoints"), cost("train")
    assert kept._replace(storage=0) == alone._replace(storage=0) and kept.storage == 3 * alone.storage
    half = sizes.model_copy(update={"queries": sizes.queries | {"validation": sizes.queries["validation"] // 2}})
    shallow = study.at.probes.model_copy(update={"depth": 1})
    for changes in ({"sizes": half}, {"probes": shallow}):
        assert cost("rerank", **changes) == cost("rerank")
        assert cost(**changes).scoring < cost().scoring and cost(**changes).storage == cost().storage


def test_seconds_are_arithmetic_over_the_rate_of_the_nearest_width(study):
    job = Job("train", "de", 1)
    takes = plan.cost(study, job)
    rates = [*HARDWARE["rates"], {"width": 24, "training": 1.0, "scoring": 1.0}]
    found = plan.seconds(study, [job], HARDWARE | {"rates": rates})
    assert found == pytest.approx(takes.training / 1e9 + takes.scoring / 2e9 + 1)


def test_the_command(monkeypatch, tmp_path, capsys):
    (tmp_path / "rates.json").write_text(json.dumps([HARDWARE]), encoding="utf-8")
    arguments = ["plan", "--config", "scale=mini", "--artefacts", "tab1", "--throughput", str(tmp_path / "rates.json")]
    for more in ([], ["--json"]):
        monkeypatch.setattr("sys.argv", ["dualenc", *arguments, *more])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
    text, _, rows = capsys.readouterr().out.partition("[")
    assert "hours, a device" in text and "Scale mini, 27,385 passages" in text
    assert [row["artefact"] for row in json.loads("[" + rows)] == ["tab1", "all"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--artefacts", "tab99"], "tab99"),
        (["--config", "scale=minii"], "mini"),
    ],
)
def test_a_wrong_name_is_one_sentence(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("sys.argv", ["dualenc", "plan", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and message in error and error.count("\n") == 1
