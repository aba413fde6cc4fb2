import sys
from pathlib import Path

from snakemake.utils import min_version

from dualenc import config as parameters
from dualenc import warm
from dualenc import workflow as study_of
from dualenc.errors import UserError
from dualenc.provenance import code

min_version("9.27")


configfile: "params.yaml"


try:
    STUDY = parameters.study(config)
except UserError as error:
    sys.exit(str(error))

SCALE = STUDY.scale
ROOT = Path("results", SCALE)
LOGS = Path("logs", SCALE)
TIMES = ROOT / "times"
DATA = ROOT / "data" / STUDY.at.dataset
SPLITS = ["train", "validation", "test"]


# The default profile's limit on GPUs is for local jobs; a cluster has its own.
resource_scopes:
    gpu="local",


wildcard_constraints:
    encoder=r"[\w-]+",
    run=r"[\w.-]+",
    seed=r"\d+",
    teacher=r"[\w-]+",


include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/artefacts.smk"


rule all:
    default_target: True
    input:
        expand(rules.table.output, artefact=TABLES),
        expand(rules.figure.output, artefact=FIGURES),
    localrule: True


onstart:
    if workflow.local_exec:
        warm.start()


onsuccess:
    shell(f"dualenc summary --root {ROOT} --figures figures/{SCALE}")
