"""Results pushed to a DVC remote and pulled in a clone: a folder, and an S3-compatible server on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

BIN = Path(sys.executable).parent
SECRET = "of-this-test-alone"
STAGES = """\
stages:
  dataset:
    cmd: mkdir data && seq 1000 > data/passages && seq 10 > data/queries
    outs: [data]
  train:
    cmd: mkdir model && sort -r data/passages > model/weights && cp data/queries model/tokenizer
    deps: [data]
    outs: [model]
  evaluate:
    cmd: wc -l < model/weights > metrics
    deps: [model]
    outs: [metrics]
"""
FILES = ["data/passages", "data/queries", "model/weights", "model/tokenizer", "metrics"]


@pytest.fixture
def call(tmp_path):
    """Call a command in a folder with the settings of nobody: ``call(folder, *command)``; what it prints."""
    own = {"HOME": str(tmp_path / "home"), "DVC_SITE_CACHE_DIR": str(tmp_path / "site"), "GIT_CONFIG_NOSYSTEM": "1"}
    own |= {f"GIT_{who}_{what}": "tester@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own |= {"AWS_EC2_METADATA_DISABLED": "true", "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]])}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DVC_"))} | own

    def run(folder: Path, *command: str, fails: bool = False) -> str:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def project(tmp_path, call):
    """A git repository whose three stages DVC has made; the files are in its cache alone."""
    folder = tmp_path / "project"
    folder.mkdir()
    call(folder, "git", "init", "--quiet")
    call(folder, "dvc", "init", "--quiet")
    (folder / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    call(folder, "dvc", "repro", "--quiet")
    call(folder, "git", "add", ".")
    call(folder, "git", "commit", "--quiet", "--message", "results")
    return folder


@pytest.fixture(scope="module")
def server():
    """The address of an S3-compatible server with an empty bucket, `results`."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    address = "http://{}:{}".format(*running.get_host_and_port())
    keys = {"aws_access_key_id": "tester", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="results")
    yield address
    running.stop()


def share(project, call, url, **settings):
    """Name the default remote, in a commit."""
    call(project, "dvc", "remote", "add", "--default", "store", url)
    for name, value in settings.items():
        call(project, "dvc", "remote", "modify", "store", name, value)
    call(project, "git", "commit", "--quiet", "--message", "where results are", ".dvc/config")


def clone_of(project, call):
    """A clone, which has no results."""
    folder = project.with_name("clone")
    call(project.parent, "git", "clone", "--quiet", str(project), str(folder))
    assert not any((folder / name).exists() for name in FILES)
    return folder


def assert_pulled(project, clone, call):
    """The clone's files are the project's, and DVC has nothing to make or to bring."""
    for name in FILES:
        assert (clone / name).read_bytes() == (project / name).read_bytes(), name
    assert "up to date" in call(clone, "dvc", "status")
    assert "in sync" in call(clone, "dvc", "status", "--cloud")


def test_a_folder(project, call, tmp_path):
    share(project, call, str(tmp_path / "store"))
    call(project, "dvc", "push", "--quiet")
    clone = clone_of(project, call)
    call(clone, "dvc", "pull", "--quiet", "evaluate")
    assert (clone / "metrics").exists() and not (clone / "model").exists()
    call(clone, "dvc", "pull", "--quiet")
    assert_pulled(project, clone, call)


def test_what_was_not_pushed_is_told(project, call, tmp_path):
    share(project, call, str(tmp_path / "store"))
    call(project, "dvc", "push", "--quiet", "dataset", "train")
    clone = clone_of(project, call)
    assert "metrics" in call(clone, "dvc", "pull", fails=True)
    assert (clone / "model" / "weights").exists() and not (clone / "metrics").exists()


def test_an_s3_compatible_server(project, call, server):
    def log_in(folder):
        call(folder, "dvc", "remote", "modify", "--local", "store", "access_key_id", "tester")
        call(folder, "dvc", "remote", "modify", "--local", "store", "secret_access_key", SECRET)

    share(project, call, "s3://results/dualenc", endpointurl=server, region="us-east-1")
    log_in(project)
    call(project, "dvc", "push", "--quiet")
    clone = clone_of(project, call)
    assert "credentials" in call(clone, "dvc", "pull", fails=True)
    log_in(clone)
    call(clone, "dvc", "pull", "--quiet")
    assert_pulled(project, clone, call)
    for folder in (project, clone):
        assert SECRET in (folder / ".dvc" / "config.local").read_text(encoding="utf-8")
        assert SECRET not in call(folder, "git", "log", "--patch", "--all")
        assert call(folder, "git", "status", "--porcelain") == ""
