"""Models of the smoke scale as folders for the Hugging Face Hub: the same models, with cards that are true and work."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from dualenc.orchestration import dag, stages
from dualenc.retrieval import search
from dualenc.scorers import models

RUNS = {"de-m3se": "dual-encoder", "ca": "cross-attention", "colbert": "late-interaction"}


@pytest.fixture(scope="module")
def results(finished):
    return finished / "results" / "smoke"


@pytest.fixture
def export(finished, dualenc, monkeypatch):
    """Call ``dualenc export --scale smoke``, in the folder of the workflow."""

    def run(*arguments):
        monkeypatch.chdir(finished)
        return dualenc("export", "--scale", "smoke", *arguments)

    return run


@pytest.fixture(params=RUNS)
def exported(request, export, tmp_path):
    """The run, its folder for the Hub, and what was printed."""
    done = export(request.param, "--output", tmp_path / "hub" / request.param)
    assert done.returncode == 0, done.stdout
    return request.param, tmp_path / "hub" / request.param, done.stdout


def text_of(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


def code_of(folder):
    (code,) = re.findall(r"```python\n(.*?)```", text_of(folder), flags=re.DOTALL)
    return code


def test_it_is_the_model_and_a_card(results, exported):
    run, folder, _ = exported
    model = results / "runs" / run / "seed-1" / "model"
    files = {path.relative_to(model) for path in model.rglob("*") if path.is_file()}
    assert {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} == files | {Path("README.md")}
    assert all((folder / file).read_bytes() == (model / file).read_bytes() for file in files)
    assert [path.name for path in folder.parent.iterdir()] == [run]


def test_the_code_of_the_card_works(results, exported, monkeypatch, capfd):
    run, folder, _ = exported
    monkeypatch.chdir(folder.parent)
    found = {}
    exec(code_of(folder), found)
    model = models.load(results / "runs" / run / "seed-1" / "model", RUNS[run])
    assert type(found["model"]) is models.MODULES[RUNS[run]].LOADER
    ours = search.score_texts(model, found["query"], found["passages"]).tolist()
    assert found["scores"] == pytest.approx(ours, rel=1e-5)  # the library computes states that ours leaves out
    assert capfd.readouterr().out.strip() == str(found["scores"])


@pytest.mark.parametrize("run", RUNS)
def test_weights_in_half_of_the_space(results, export, monkeypatch, tmp_path, run):
    folder = tmp_path / run
    assert export(run, "--output", folder, "--float16").returncode == 0
    source = results / "runs" / run / "seed-1" / "model"
    assert (folder / "config.json").read_bytes() == (source / "config.json").read_bytes()
    for file in source.rglob("*.safetensors"):
        before, after = load_file(file), load_file(folder / file.relative_to(source))
        assert before.keys() == after.keys()
        assert all(after[name].equal(before[name].half()) for name in before)
    assert (folder / "model.safetensors").stat().st_size < 0.55 * (source / "model.safetensors").stat().st_size
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code_of(folder), found)
    assert {value.dtype for value in found["model"].parameters()} == {torch.float32}
    ours = search.score_texts(models.load(source, RUNS[run]), found["query"], found["passages"]).tolist()
    assert found["scores"] == pytest.approx(ours, rel=1e-2) and found["scores"] != pytest.approx(ours, rel=1e-7)
    assert "stored in float16" in text_of(folder)


def test_the_hub_reads_the_metrics(results, exported):
    run, folder, _ = exported
    card = ModelCard.load(folder / "README.md")
    data = card.data
    assert (data.library_name, data.license, data.language) == ("sentence-transformers", "apache-2.0", "en")
    assert data.datasets == ["pydocs-stdlib"] and data.base_model is None and data.model_name == run
    tasks = {"text-ranking": "runs", "text-retrieval": "retrieval"}
    read = {(tasks[one.task_type], one.dataset_split, one.metric_name): one.metric_value for one in data.eval_results}
    written, cells = {}, []
    for room in tasks.values():
        path = results / room / run / "seed-1" / "metrics.json"
        for split, measures in json.loads(path.read_text(encoding="utf-8")).items() if path.exists() else ():
            for measure, value in measures.items():
                written[room, split, measure] = value["mean"]
                cells.append(f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}] |")
    assert read == written and len(written) >= 4
    assert any(room == "retrieval" for room, _, _ in written) == (run == "de-m3se")
    lines = [line for line in card.text.splitlines() if re.match(r"\| (train|test)", line)]
    assert len(lines) == len(cells) and all(cell in line for line, cell in zip(lines, cells, strict=True))


def test_the_card_says_what_it_is_made_of(results, exported):
    run, folder, _ = exported
    text = text_of(folder)
    made = json.loads((results / "runs" / run / "seed-1" / "provenance.json").read_text(encoding="utf-8"))
    for value in (*made.pop("inputs").values(), *made.pop("layers").values(), *made.values()):
        assert str(value) in text
    assert (results / "runs" / run / "seed-1" / "config.yaml").read_text(encoding="utf-8") in text
    data = json.loads((results / "data" / "pydocs-stdlib" / "manifest.json").read_text(encoding="utf-8"))
    rows = {name: about["rows"] for name, about in data["files"].items()}
    assert f"{rows['passages.parquet']:,} passages; queries: {rows['queries.train.parquet']:,} train" in text
    assert data["source"] in text and "In defense of dual-encoders for neural ranking" in text


def test_the_commands_that_make_it_again(snakemake, study, exported):
    _, folder, _ = exported
    (command,) = re.findall(r"^snakemake (.*)$", text_of(folder), flags=re.MULTILINE)
    assert "Nothing to be done" in snakemake("--dry-run", *shlex.split(command)).stdout
    ((group, key),) = re.findall(r"^dvc repro (.*)@(.*)$", text_of(folder), flags=re.MULTILINE)
    assert key in stages.document(study, dag.read(study))["stages"][group]["foreach"]


def test_the_upload_is_left_to_the_user(call_in, exported):
    run, folder, printed = exported
    *command, name, path = shlex.split(printed.splitlines()[-1])
    assert (name, path) == (run, str(folder))
    usage = call_in(folder, *command, "--help")
    assert usage.returncode == 0 and "REPO_ID [LOCAL_PATH]" in usage.stdout


def test_another_encoder_and_an_empty_folder(export, tmp_path):
    output = tmp_path / "own.name"
    output.mkdir()
    assert export("de-m3se.small-1-16", "--seed", 1, "--output", output).returncode == 0
    card = ModelCard.load(output / "README.md")
    assert card.data.model_name == "own.name" and "1 layer, width 16" in card.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["de-m3s", "--output", "new"], ["'de-m3s' is unknown", "did you mean de-m3se?"]),
        (["de-focal", "--output", "new"], ["de-focal, seed 1, is not trained", "snakemake", "dvc pull"]),
        (["ca", "--seed", 7, "--output", "new"], ["ca, seed 7, is not trained", "runs/ca/seed-7/metrics.json"]),
        (["ca", "--output", "full"], ["full exists and is not empty", "--output"]),
        (["ca", "--output", "full/file"], ["full/file exists"]),
        (["ca", "--output", "a name"], ["a name", "the Hub allows only"]),
    ],
)
def test_wrong_inputs(export, tmp_path, arguments, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    *arguments, output = arguments
    refused(export(*arguments, tmp_path / output), words, tmp_path)


def refused(done, words, folder):
    """One sentence, status 2, and nothing but what was there."""
    assert done.returncode == 2 and done.stdout.startswith("dualenc: ") and done.stdout.count("\n") == 1, done.stdout
    assert all(word in done.stdout for word in words), done.stdout
    assert not (folder / "new").exists() and {path.name for path in folder.rglob("*")} <= {"full", "file"}


def test_a_model_of_other_parameters(export, set_params, tmp_path):
    set_params({"scales.smoke.experiments.base.learning_rate": 0.5})
    refused(
        export("ca", "--output", tmp_path / "new"), ["different learning_rate from the one here now", "snake"], tmp_path
    )


def test_a_model_of_other_lists(export, edit, finished, tmp_path):
    lists = "results/smoke/supervision/ca/lists.parquet"
    about = json.loads((finished / f"{lists}.json").read_text(encoding="utf-8"))
    edit(f"{lists}.json", json.dumps(about | {"md5": "0" * 32}))
    refused(export("de-m3se", "--output", tmp_path / "new"), [f"different {lists} from the one here now"], tmp_path)


def test_a_model_without_a_file(export, finished, tmp_path):
    weights = finished / "results/smoke/runs/de-m3se/seed-1/model/3_LayerNorm/model.safetensors"
    kept = shutil.move(weights, tmp_path / "file")
    done = export("de-m3se", "--output", tmp_path / "new")
    shutil.move(kept, weights)
    refused(done, ["3_LayerNorm/model.safetensors is missing"], tmp_path)


def test_a_full_disk(export, small_disk):
    disk = small_disk(2**16)
    done = export("de-m3se", "--output", disk / "new")
    assert done.returncode == 1 and "no space left" in done.stdout and list(disk.iterdir()) == []


def test_the_front_matter_is_yaml_that_starts_the_card(exported):
    _, folder, _ = exported
    before, front, _ = text_of(folder).split("---\n", 2)
    keys = ["datasets", "language", "library_name", "license", "pipeline_tag", "tags", "model-index"]
    assert before == "" and list(yaml.safe_load(front)) == keys
