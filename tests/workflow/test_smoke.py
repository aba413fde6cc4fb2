"""The whole workflow at the smoke scale: all files are there, and the numbers are those of the run files."""

import gzip
import hashlib
import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.text import Text

from conftest import call, copy_repository
from dualenc.figures import drawing
from dualenc.orchestration import workflow
from dualenc.study import artefacts, shown

SPLITS = ("train", "validation", "test")
EVALUATED = ("train", "test")
MODEL = ("config.json", "model.safetensors", "modules.json", "tokenizer.json", "tokenizer_config.json")
PROGRESS = re.compile(r"step \d+/\d+, loss \d+\.\d+, \d+\.\d+ steps/s, \d+ s left")


@pytest.fixture
def run_names(study):
    """Names of all trained models that some artefact shows."""
    return sorted({run for artefact in study.artefacts for run in study.runs(artefact)})


@pytest.fixture
def results(finished):
    """The results folder of the scale."""
    return finished / "results/smoke"


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def reciprocal_rank(run, qrels):
    """Mean over the queries of the qrels of 1 / rank of the first relevant passage, 0 beyond rank 10."""
    relevant = {
        tuple(line.split()[::2]) for line in qrels.read_text(encoding="utf-8").splitlines() if line.split()[3] != "0"
    }
    best = dict.fromkeys((line.split()[0] for line in qrels.read_text(encoding="utf-8").splitlines()), np.inf)
    for line in gzip.decompress(run.read_bytes()).decode().splitlines():
        qid, _, pid, rank, _, _ = line.split()
        if (qid, pid) in relevant and int(rank) <= 10:
            best[qid] = min(best[qid], int(rank))
    return np.mean([1 / rank for rank in best.values()])


def test_it_succeeds_and_ends_with_a_summary(smoke, study):
    summary = smoke.partition("(100%) done")[2]
    files = {"report": "results/smoke/report.html", "claims": "results/smoke/claims.md"}
    listed = [(kind, file) for kind, file in files.items()]
    for name, artefact in study.artefacts.items():
        if artefact.kind != "claim":
            file = f"results/smoke/tables/{name}.md" if artefact.kind == "table" else f"figures/smoke/{name}.pdf"
            listed.append((f"{artefact.kind}s", file))
    for kind, file in listed:
        assert re.search(rf"^{kind} +{file}$", summary, flags=re.MULTILINE), summary
    assert re.search(r"^train +\d+ +\d+\.\d", summary, flags=re.MULTILINE), summary


def test_then_there_is_nothing_to_be_done(finished, snakemake):
    again = snakemake("-n", "--config", "scale=smoke")
    assert "Nothing to be done" in again.stdout, again.stdout


def test_every_artefact_has_all_its_files(finished, results, study):
    for name, artefact in study.artefacts.items():
        files = {
            "table": [results / f"tables/{name}.{suffix}" for suffix in ("csv", "html", "md", "tex")],
            "figure": [finished / f"figures/smoke/{name}.{suffix}" for suffix in ("pdf", "png")],
            "claim": [results / f"claims/{name}.json", *results.glob("claims.*")],
        }
        files["figure"].append(results / f"figure-data/{name}.csv")
        for file in files[artefact.kind]:
            assert file.stat().st_size > 0, file


def test_a_figure_that_is_drawn_alone_is_the_same(finished, call_in):
    files = [finished / "figures/smoke/fig3.png", finished / "figures/smoke/fig3.pdf"]
    before = [(md5(file), file.stat().st_mtime_ns) for file in files]
    done = call_in(finished, "python", "-m", "dualenc.figures.fig3", "results/smoke")
    assert (done.returncode, done.stdout) == (0, "figures/smoke/fig3.png\n")
    for file, (digest, written) in zip(files, before, strict=True):
        assert md5(file) == digest and file.stat().st_mtime_ns > written
        os.utime(file, ns=(written, written))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "dualenc: give the folder of a scale's results: python -m dualenc.figures.fig3 results/mini"),
        (["results/smoak"], "dualenc: params.yaml: scale = 'smoak' is unknown; allowed: "),
        (["results/mini"], "dualenc: results/mini/runs/"),
    ],
)
def test_a_figure_that_cannot_be_drawn_alone(words, told, repository, call_in):
    done = call_in(repository, "python", "-m", "dualenc.figures.fig3", *words)
    assert done.returncode == 1 and done.stdout.startswith(told) and done.stdout.count("\n") == 1
    assert not (repository / "figures/mini").exists()


def test_every_run_is_complete(results, study, run_names):
    for name in run_names:
        folder = results / "runs" / name / "seed-1"
        files = [f"model/{file}" for file in MODEL] + [f"{split}.run.gz" for split in EVALUATED]
        files += ["curve.csv", "metrics.json", "per_query.parquet"]
        for file in files:
            assert (folder / file).stat().st_size > 0, folder / file
        resolved = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        assert resolved["experiment"] == study.run(name).model_dump()
        assert resolved["seed"] == 1


def test_provenance_names_every_input_with_its_checksum(results, study, run_names):
    for name in run_names:
        provenance = json.loads((results / "runs" / name / "seed-1/provenance.json").read_text(encoding="utf-8"))
        experiment = study.run(name)
        data = results / "data" / study.at.dataset
        inputs = [
            results / "supervision" / (experiment.teacher or "one-hot") / "lists.parquet",
            *(results / "encoders" / experiment.encoder / file for file in workflow.ENCODER_FILES),
            data / "tokens/manifest.json",
            data / "manifest.json",
        ]
        assert provenance["inputs"] == {f"{path.parent.name}/{path.name}": md5(path) for path in inputs}
        assert {"commit", "python", "torch", "transformers"} <= provenance.keys()


def test_what_artefacts_need_is_there(results, study):
    for name in study.artefacts:
        for path in workflow.files(study, name):
            assert (results / path).stat().st_size > 0, (name, path)


def test_metrics_are_those_of_the_run_files(results, run_names):
    runs = {results / "runs" / name / "seed-1": results / "runs" / name / "seed-1" for name in run_names}
    runs[results / "runs/bm25"] = results / "evaluation"
    runs |= {path.parent: path.parent for path in results.glob("retrieval/**/test.run.gz")}
    runs[results / "retrieval/bm25"] = results / "evaluation"
    for evaluated, folder in runs.items():
        metrics = json.loads((evaluated / "metrics.json").read_text(encoding="utf-8"))
        assert set(metrics) == ({"test"} if "retrieval" in evaluated.parts else set(EVALUATED))
        for split in metrics:
            expected = reciprocal_rank(folder / f"{split}.run.gz", results / f"evaluation/{split}.qrels.tsv")
            found = metrics[split]["MRR@10"]
            assert found["mean"] == pytest.approx(expected, abs=1e-9), (evaluated, split)
            assert found["low"] <= found["mean"] <= found["high"]


def pairs(path):
    """The (qid, pid) of a run."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return sorted((qid, pid) for qid, _, pid, *_ in map(str.split, lines))


def test_runs_rerank_the_same_candidates(results, run_names):
    for split in EVALUATED:
        candidates = pairs(results / f"evaluation/{split}.run.gz")
        runs = [results / "runs" / name / f"seed-1/{split}.run.gz" for name in run_names]
        for run in [*runs, *results.glob(f"checkpoints/*/*/*/{split}.run.gz")]:
            assert pairs(run) == candidates, run


def test_retrieval_finds_what_bm25_did_not(results, study):
    candidates = set(pairs(results / "evaluation/test.run.gz"))
    queries = len({qid for qid, _ in candidates})
    runs = list(results.glob("retrieval/*/seed-*/test.run.gz"))
    assert runs
    for run in runs:
        found = pairs(run)
        assert len(found) == len(set(found)) >= queries * study.at.retrieval_depth
        assert len(set(found) - candidates) > len(found) / 10, run


def test_curves_hold_finite_losses_and_probes(results, study, run_names):
    drawn = study.runs("fig4")
    assert set(drawn) < set(run_names)
    for name in run_names:
        curve = pd.read_csv(results / "runs" / name / "seed-1/curve.csv")
        assert np.isfinite(curve.value).all(), name
        rows = set(zip(curve.split, curve.metric, strict=True))
        probed = SPLITS if name in drawn else ["validation"]
        probes = {(split, measure) for split in probed for measure in ("MRR@10", "nDCG@10")}
        assert rows == {("train", "loss"), *probes}, name
    for path in results.glob("encoders/*/curve.csv"):
        losses = pd.read_csv(path).query("metric == 'loss'").value
        assert len(losses) and np.isfinite(losses).all(), path


def test_teacher_scores_have_a_manifest(results, study, run_names):
    teachers = {study.run(name).teacher for name in run_names} - {None}
    assert teachers
    for teacher in teachers:
        lists = results / "supervision" / teacher / "lists.parquet"
        manifest = json.loads(lists.with_name("lists.parquet.json").read_text(encoding="utf-8"))
        scores = np.stack(pd.read_parquet(lists).teacher_scores)
        assert manifest["md5"] == md5(lists)
        assert manifest["rows"] == len(scores)
        assert manifest["teacher_md5"] == md5(results / "runs" / teacher / "seed-1/model/model.safetensors")
        assert scores.dtype == np.float32 and np.isfinite(scores).all()
        assert manifest["scores"]["mean"] == pytest.approx(scores.mean(), abs=1e-5)


def test_logs_of_training_have_plain_lines_of_progress(finished):
    logs = [*finished.glob("logs/smoke/train/*/*.log"), *finished.glob("logs/smoke/pretrain/*.log")]
    assert logs
    for log in logs:
        text = log.read_bytes().decode()
        assert PROGRESS.search(text), f"{log}: {text}"
        assert "\r" not in text, f"{log} has a progress bar: {text}"


def test_figures_are_drawn_again_from_their_data_alone(finished, tmp_path):
    """As in a clone that has nothing else."""
    clone = copy_repository(tmp_path)
    shutil.copytree(finished / "results/smoke/figure-data", clone / "results/smoke/figure-data")
    done = call(clone, "snakemake", "--cores", "1", "--config", "scale=smoke", "--", "redraw")
    assert done.returncode == 0, done.stdout
    before, found = ({path.name: path for path in (root / "figures/smoke").iterdir()} for root in (finished, clone))
    assert before.keys() == found.keys() and len(found) > 20
    for name, path in found.items():
        assert path.read_bytes() == before[name].read_bytes(), name
    csv = clone / "results/smoke/figure-data/fig1.csv"
    for content in ("", "series,width\nDE,64\n"):
        csv.write_text(content, encoding="utf-8")
        wrong = call(clone, "dualenc", "redraw", "--config", "scale=smoke", "--artefacts", "fig1")
        assert wrong.returncode == 2 and "results/smoke/figure-data/fig1.csv" in wrong.stdout, wrong.stdout
        assert len(wrong.stdout.splitlines()) == 1, wrong.stdout
    wrong = call(clone, "dualenc", "redraw", "--artefacts", "tab1")
    assert wrong.returncode == 2 and "--artefacts = 'tab1' is unknown" in wrong.stdout, wrong.stdout


def words(figure):
    """All that a figure says, its ticks included."""
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text)]


def test_figures_say_the_same_if_drawn_from_their_data(results, study):
    """A CSV does not keep types: a width that is missing once comes back as 64.0."""
    for name in (name for name, artefact in study.artefacts.items() if artefact.kind == "figure"):
        module, params = artefacts.module("figure", name), shown.artefact(study, name)
        read = pd.read_csv(results / f"figure-data/{name}.csv")
        with drawing.style():
            assert words(module.draw(read, params)) == words(module.draw(module.data(params, results), params)), name


def test_every_job_leaves_a_log_and_its_time(finished, results, smoke):
    jobs = re.findall(r"^Job \d+: (.*)", smoke, flags=re.MULTILINE)
    in_no_time = ("Hashing the code", "Writing the experiment")
    jobs = [message for message in jobs if not message.startswith(in_no_time)]
    logs = [path.relative_to(finished / "logs/smoke") for path in finished.glob("logs/smoke/**/*.log")]
    logs = [path for path in logs if path.parts[0] not in ("code", "experiment")]
    times = [path.relative_to(results / "times") for path in results.glob("times/**/*.tsv")]
    assert sorted(path.with_suffix("") for path in logs) == sorted(path.with_suffix("") for path in times)
    assert len(times) == len(jobs)
    for path in times:
        assert pd.read_csv(results / "times" / path, sep="\t").s.gt(0).all(), path


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="jobs are forked on Linux only")
def test_late_jobs_are_forked_from_the_warm_process(results):
    """Snakemake then sees the memory of their commands alone, which import little."""
    times = [*results.glob("times/train/*/*.tsv"), *results.glob("times/evaluate/*/*.tsv")]
    latest = max(times, key=lambda path: path.stat().st_mtime)
    assert pd.read_csv(latest, sep="\t").max_rss[0] < 60, latest
