import sys
from functools import cache
from pathlib import Path

from snakemake.utils import min_version

from dualenc import warm
from dualenc.orchestration import builds, origins, plan, resources, slices, slurm
from dualenc.orchestration import workflow as study_of
from dualenc.runtime import provenance
from dualenc.runtime.errors import UserError
from dualenc.study import config as parameters
from dualenc.study import shown

min_version("9.27")

study_of.use_own_commands()

try:  # Snakemake itself silently takes the last of two equal keys
    for path in ("params.yaml", *workflow.overwrite_configfiles):
        parameters.read(path)
except UserError as error:
    sys.exit(str(error))


configfile: "params.yaml"


report: "workflow/report/workflow.rst"


# Snakemake knows True and False on its command line; ours has YAML there, so that true and false mean the same.
told = [f"{key}={value}" for key, value in workflow.config_settings.config.items() if isinstance(value, str)]
try:
    STUDY = parameters.study({**config, **dict(map(parameters.override, told))})
    study_of.check_encoders(STUDY)
    origins.check(STUDY)
    ASKS = resources.requests(STUDY, plan.measured(Path(workflow.basedir, "benchmarks", "throughput.json")))
except UserError as error:
    sys.exit(str(error))

code = cache(provenance.code)
SCALE = STUDY.scale
ROOT = Path("results", SCALE)
LOGS = Path("logs", SCALE)
TIMES = ROOT / "times"
DATA = ROOT / "data" / STUDY.at.dataset
TOKENIZER = study_of.tokenizer_folder(STUDY)
SPLITS = study_of.SPLITS
ALL_SPLITS = STUDY.splits  # these and further test sets
SETS = STUDY.sets  # what models are evaluated on: all of them but validation
TEST_SETS = STUDY.test_sets


# The default profile's limit on GPUs is for local jobs; a cluster has its own.
resource_scopes:
    local_gpu="local",


wildcard_constraints:
    dataset=r"[\w-]+",
    encoder=r"[\w-]+",
    experiment=r"[\w-]+",
    run=r"[\w.-]+",
    teacher=r"(?!one-hot/)[\w.-]+",
    seed=r"\d+",
    shard=r"\d+",
    step=r"\w+",
    early=r"step-\d+",


include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/analyses.smk"
include: "workflow/rules/artefacts.smk"


if STUDY.at.published_scores:

    include: "workflow/rules/published.smk"


rule all:
    default_target: True
    input:
        rules.artefacts.input,
        rules.report.output,
    localrule: True


onstart:
    try:
        origins.check_packages(STUDY)
        builds.hold(SCALE)
    except UserError as error:
        sys.exit(str(error))
    # Its limit of 100 jobs a second costs a look at all ready jobs every second for each job that has started so far, at
    # the end of a run of 300 jobs more than a core's time; and of a job array it would submit a part and forget it.
    workflow.scheduler.job_rate_limiter = None
    if workflow.local_exec:
        warm.start()
    else:
        slurm.leave_cancelled_jobs(workflow.scheduler)


onsuccess:
    shell(f"dualenc summary --root {ROOT} --figures figures/{SCALE}")
