"""What figures, tables and claims know about the study, and how what they show was judged."""

from typing import Any

from dualenc.study.config import Study


def evaluation(study: Study) -> dict[str, Any]:
    """How runs are judged: ``sets`` are the measures of each further test set, if there are such sets."""
    further = {name: study.evaluation.sets.get(name, study.evaluation.measures) for name in study.test_sets[1:]}
    return study.evaluation.model_dump(exclude={"sets"}) | ({"sets": further} if further else {})


def artefact(study: Study, artefact: str) -> dict[str, Any]:
    """What a figure or table gets, apart from the files that it needs."""
    runs = []
    for name in study.runs(artefact):
        experiment = study.run(name)
        shape = study.params.encoders[experiment.encoder]
        about = {"name": name, "experiment": study.split(name)[0], "encoder": experiment.encoder}
        about |= {"width": shape.width, "layers": shape.layers, "model": experiment.model, "loss": experiment.loss}
        about |= {key: getattr(experiment, key) for key in ("loss_parameters", "teacher", "list_size")}
        runs.append(about)
    return {
        "artefact": artefact,
        "scale": study.scale,
        "dataset": study.at.dataset,
        "seeds": study.seeds(artefact),
        "runs": runs,
        "checkpoints": study.checkpoint_steps,
        "evaluation": evaluation(study),
        "options": study.artefacts[artefact].options,
        **({"candidates": "official"} if study.at.candidates == "official" else {}),
    }
