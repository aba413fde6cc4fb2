# Figures and tables, and the targets that a user names.

TABLES = [name for name, artefact in STUDY.artefacts.items() if artefact.kind == "table"]
FIGURES = [name for name, artefact in STUDY.artefacts.items() if artefact.kind == "figure"]


rule table:
    input:
        lambda wildcards: [ROOT / path for path in study_of.files(STUDY, wildcards.artefact)],
        code=lambda wildcards: code("steps.artefacts") + code(f"tables.{wildcards.artefact}"),
    output:
        multiext(f"{ROOT}/tables/{{artefact}}", ".csv", ".md", ".tex"),
    log:
        f"{LOGS}/table/{{artefact}}.log",
    benchmark:
        f"{TIMES}/table/{{artefact}}.tsv"
    wildcard_constraints:
        artefact="|".join(TABLES),
    params:
        slice=lambda wildcards: study_of.as_json(study_of.artefact_slice(STUDY, wildcards.artefact)),
        root=ROOT,
        folder=ROOT / "tables",
    message:
        "Making {wildcards.artefact}"
    shell:
        "dualenc table {wildcards.artefact} --params {params.slice:q} --root {params.root}"
        " --output {params.folder} > {log} 2>&1"


rule figure:
    input:
        lambda wildcards: [ROOT / path for path in study_of.files(STUDY, wildcards.artefact)],
        code=lambda wildcards: code("steps.artefacts") + code(f"figures.{wildcards.artefact}"),
    output:
        data=f"{ROOT}/figure-data/{{artefact}}.csv",
        pdf=f"figures/{SCALE}/{{artefact}}.pdf",
        png=f"figures/{SCALE}/{{artefact}}.png",
    log:
        f"{LOGS}/figure/{{artefact}}.log",
    benchmark:
        f"{TIMES}/figure/{{artefact}}.tsv"
    wildcard_constraints:
        artefact="|".join(FIGURES),
    params:
        slice=lambda wildcards: study_of.as_json(study_of.artefact_slice(STUDY, wildcards.artefact)),
        root=ROOT,
    message:
        "Drawing {wildcards.artefact}"
    shell:
        "dualenc figure {wildcards.artefact} --params {params.slice:q} --root {params.root}"
        " --data {output.data} --pdf {output.pdf} --png {output.png} > {log} 2>&1"


for artefact in TABLES + FIGURES:

    rule:
        name:
            artefact
        input:
            expand((rules.table if artefact in TABLES else rules.figure).output, artefact=artefact),
        localrule: True
