"""The front matter of a model card, by the Hub's own classes: what the Hub files a model under."""

import re

from huggingface_hub import EvalResult, ModelCardData

from dualenc.data import datasets
from dualenc.publish.facts import Facts
from dualenc.scorers import models
from dualenc.study.config import Study

TASKS = {"runs": "text-ranking", "retrieval": "text-retrieval"}
# Terms of others' collections may bind models trained on them: whoever uploads has to say what they allow.
UNKNOWN = {"license": "other", "license_name": "terms-of-the-training-data"}


def metadata(facts: Facts) -> ModelCardData:
    """The front matter of a model's card."""
    study, experiment = facts.study, facts.experiment
    dataset, bm25, kind = study.at.dataset, study.at.bm25, datasets.kind(study.dataset)
    model = models.MODULES[experiment.model]
    distilled = ["knowledge-distillation"] if experiment.teacher else []
    return ModelCardData(
        **({"license": kind.LICENCE} if hasattr(kind, "LICENCE") else UNKNOWN),
        language="en" if "english" in (bm25.stop_words, bm25.stemmer) else None,
        library_name="sentence-transformers",
        pipeline_tag=model.PIPELINE,
        tags=["sentence-transformers", *model.TAGS, f"loss:{experiment.loss}", *distilled, "dualenc"],
        datasets=[dataset],
        base_model=study.params.encoders[experiment.encoder].hub,
        model_name=facts.name,
        eval_results=[
            EvalResult(
                task_type=TASKS[setting],
                task_name=task(study, setting),
                dataset_type=dataset,
                dataset_name=f"{dataset}, {split}",
                dataset_split=split,
                metric_type=re.sub(r"\W+", "_", measure.replace("@", " at ").lower()),
                metric_name=measure,
                metric_value=value["mean"],
            )
            for (setting, split), measures in facts.metrics.items()
            for measure, value in measures.items()
        ],
    )


def task(study: Study, setting: str) -> str:
    """What is measured in a setting of the results."""
    if setting == "retrieval":
        return "exact search of the whole collection"
    whose = "BM25's" if study.at.candidates == "bm25" else "the dataset's own"
    return f"re-ranking of {whose} candidates, at most {study.at.depth} for a query"
