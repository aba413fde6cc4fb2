"""Builds side by side in one folder: one of a scale, and as many scales as one likes."""

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dualenc.orchestration.builds import FOLDER

QUICK = "results/{}/code/train"  # a job of a second


def test_a_second_build_of_a_scale_is_refused_and_another_scale_is_not(repository, call_in, tmp_path, study):
    for name in ("Snakefile", "params.yaml"):
        shutil.copy2(repository / name, tmp_path)
    for name in ("benchmarks", "profiles", "src", "workflow"):
        (tmp_path / name).symlink_to(repository / name)
    (tmp_path / "miniatures").symlink_to(Path(__file__).parents[2] / "miniatures")
    target = f"results/smoke/data/{study.at.dataset}/manifest.json"

    def build(scale, *arguments):
        return call_in(tmp_path, "snakemake", "--cores", "1", "--config", f"scale={scale}", *arguments)

    first = subprocess.Popen(
        [shutil.which("snakemake"), "--cores", "1", "--config", "scale=smoke", "--", target],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    lock = tmp_path / FOLDER / "smoke.lock"
    end = time.monotonic() + 120
    while not lock.exists() or not lock.read_text(encoding="utf-8"):
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGSTOP)  # for as long as the others take

    with ThreadPoolExecutor(2) as pool:
        other, dry = pool.map(build, ["mini", "smoke"], ["--", "-n"], [QUICK.format("mini"), target])
    assert other.returncode == dry.returncode == 0, other.stdout + dry.stdout
    assert (tmp_path / QUICK.format("mini")).exists()
    same = build("smoke", "--", target)  # that of the other scale has ended, and with it all locks of Snakemake's
    sentence = same.stdout.strip().splitlines()[-1]
    assert same.returncode == 1 and f"scale smoke is in use by process {first.pid} on" in sentence, same.stdout

    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    after = build("smoke", "--", QUICK.format("smoke"))
    assert after.returncode == 0 and (tmp_path / QUICK.format("smoke")).exists(), after.stdout
