"""What jobs ask a cluster for: it grows with the plan, the attempt and the number of processes."""

import pytest

from dualenc.orchestration import plan, resources
from dualenc.runtime.errors import UserError
from dualenc.study import config
from params import changed, message

CPU = {"gpu": False, "seconds_per_job": 0.0, "rates": [{"width": 32, "training": 1e6, "scoring": 1e6}]}
GPU = {"gpu": True, "seconds_per_job": 0.0, "rates": [{"width": 32, "training": 1e9, "scoring": 1e9}]}


def study(**changes):
    return config.study(changed({f"scales.smoke.{key}": value for key, value in changes.items()}))


def asked(rule, attempt=1, **changes):
    found = resources.requests(study(**changes), [CPU, GPU])[rule]
    return {name: value(None, attempt) if callable(value) else value for name, value in found.items()}


def test_a_rule_asks_for_what_its_largest_job_takes():
    smoke = study()
    cluster = smoke.params.cluster
    seconds = [plan.seconds(smoke, [plan.Job("train", run, 1)], CPU) for run in smoke.trained]
    found = asked("train")
    assert found["runtime"] == min(cluster.most_minutes, -(-(cluster.minutes + cluster.slack * max(seconds) / 60) // 1))
    assert found["gpu"] == found["local_gpu"] == 0 and found["mem_mb"] > cluster.mem_mb
    assert asked("encode")["runtime"] > asked("encode", shards=4)["runtime"]
    assert asked("candidates")["gpu"] == 0 == asked("candidates", gpus=1)["gpu"]


def test_another_attempt_asks_for_more_up_to_a_limit():
    once, twice = asked("score_updates"), asked("score_updates", attempt=2)
    assert twice["runtime"] == 2 * once["runtime"] and twice["mem_mb"] == 2 * once["mem_mb"]
    assert twice["gpu"] == once["gpu"]
    most = study().params.cluster.most_minutes
    assert asked("train", attempt=10**6)["runtime"] == most


def test_the_gpu_counts_where_jobs_have_one():
    assert asked("train", gpus=1)["runtime"] < asked("train")["runtime"]
    with pytest.raises(UserError, match="no measurement of such a device"):
        resources.requests(study(gpus=1), [CPU])


def test_several_processes_are_asked_for_together():
    one, four = asked("train", gpus=1), asked("train", gpus=1, processes=4)
    assert four["gpu"] == four["processes"] == 4 and four["nodes"] == 1 and "mpi" not in four
    assert four["runtime"] <= one["runtime"] and four["mem_mb"] > one["mem_mb"]
    nodes = asked("train", gpus=1, processes=4, nodes=2)
    assert (
        nodes["nodes"] == nodes["tasks"] == 2 and nodes["mpi"] == "srun" and "--gpus-per-node=2" in nodes["slurm_extra"]
    )
    assert asked("encode", gpus=1, processes=4)["gpu"] == 1


@pytest.mark.parametrize("changes", [{"processes": 3}, {"processes": 4, "nodes": 3}])
def test_processes_that_cannot_share_a_minibatch(changes):
    error = message(changed({f"scales.smoke.{key}": value for key, value in changes.items()}))
    assert "batch_size = 16 cannot be shared by scales.smoke.processes" in error
