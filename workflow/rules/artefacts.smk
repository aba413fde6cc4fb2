# Figures and tables, and the targets that a user names.

TABLES = [name for name, artefact in STUDY.artefacts.items() if artefact.kind == "table"]
FIGURES = [name for name, artefact in STUDY.artefacts.items() if artefact.kind == "figure"]


def in_report(kind, file):
    """Where an artefact's ``file`` stands in the report, and what it is called."""
    return {
        "caption": "../report/artefact.rst",
        "category": f"{kind.capitalize()}s",
        "labels": lambda wildcards: {
            "name": wildcards.artefact,
            "content": captions.title(kind, wildcards.artefact).partition(": ")[2],
            "file": file,
        },
    }


rule table:
    input:
        lambda wildcards: [ROOT / path for path in study_of.files(STUDY, wildcards.artefact)],
        code=lambda wildcards: code("steps.artefacts") + code(f"tables.{wildcards.artefact}"),
    output:
        multiext(f"{ROOT}/tables/{{artefact}}", ".md", ".tex"),
        csv=report(f"{ROOT}/tables/{{artefact}}.csv", **in_report("table", "numbers")),
        html=report(f"{ROOT}/tables/{{artefact}}.html", **in_report("table", "table")),
    log:
        f"{LOGS}/table/{{artefact}}.log",
    benchmark:
        f"{TIMES}/table/{{artefact}}.tsv"
    wildcard_constraints:
        artefact="|".join(TABLES),
    params:
        slice=lambda wildcards: study_of.as_json(study_of.artefact_slice(STUDY, wildcards.artefact)),
        caption=lambda wildcards: captions.caption("table", wildcards.artefact),
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
        pdf=f"figures/{SCALE}/{{artefact}}.pdf",
        data=report(f"{ROOT}/figure-data/{{artefact}}.csv", **in_report("figure", "numbers")),
        png=report(f"figures/{SCALE}/{{artefact}}.png", **in_report("figure", "figure")),
    log:
        f"{LOGS}/figure/{{artefact}}.log",
    benchmark:
        f"{TIMES}/figure/{{artefact}}.tsv"
    wildcard_constraints:
        artefact="|".join(FIGURES),
    params:
        slice=lambda wildcards: study_of.as_json(study_of.artefact_slice(STUDY, wildcards.artefact)),
        caption=lambda wildcards: captions.caption("figure", wildcards.artefact),
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
