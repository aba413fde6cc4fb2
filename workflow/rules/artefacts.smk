# Figures, tables and verdicts on claims, and the targets that a user names.

TABLES = [name for name, artefact in STUDY.artefacts.items() if artefact.kind == "table"]
FIGURES = [name for name, artefact in STUDY.artefacts.items() if artefact.kind == "figure"]
CLAIMS = [name for name, artefact in STUDY.artefacts.items() if artefact.kind == "claim"]


rule table:
    input:
        lambda wildcards: [ROOT / path for path in study_of.files(STUDY, wildcards.artefact)],
        code=lambda wildcards: code("steps.table") + code(f"tables.{wildcards.artefact}"),
    output:
        multiext(f"{ROOT}/tables/{{artefact}}", ".md", ".tex"),
        csv=report(f"{ROOT}/tables/{{artefact}}.csv", **study_of.in_report("table", "CSV")),
        html=report(f"{ROOT}/tables/{{artefact}}.html", **study_of.in_report("table", "table")),
    log:
        f"{LOGS}/table/{{artefact}}.log",
    benchmark:
        f"{TIMES}/table/{{artefact}}.tsv"
    wildcard_constraints:
        artefact="|".join(TABLES),
    localrule: True
    params:
        digest=lambda wildcards: origins.digest(code("steps.table") + code(f"tables.{wildcards.artefact}")),
        slice=lambda wildcards: slices.as_json(shown.artefact(STUDY, wildcards.artefact)),
        caption=lambda wildcards: study_of.caption("table", wildcards.artefact),
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
        code=lambda wildcards: code("steps.figure") + code(f"figures.{wildcards.artefact}"),
    output:
        pdf=f"figures/{SCALE}/{{artefact}}.pdf",
        data=report(f"{ROOT}/figure-data/{{artefact}}.csv", **study_of.in_report("figure", "CSV")),
        png=report(f"figures/{SCALE}/{{artefact}}.png", **study_of.in_report("figure", "figure")),
    log:
        f"{LOGS}/figure/{{artefact}}.log",
    benchmark:
        f"{TIMES}/figure/{{artefact}}.tsv"
    wildcard_constraints:
        artefact="|".join(FIGURES),
    localrule: True
    params:
        digest=lambda wildcards: origins.digest(code("steps.figure") + code(f"figures.{wildcards.artefact}")),
        slice=lambda wildcards: slices.as_json(shown.artefact(STUDY, wildcards.artefact)),
        caption=lambda wildcards: study_of.caption("figure", wildcards.artefact),
        root=ROOT,
    message:
        "Drawing {wildcards.artefact}"
    shell:
        "dualenc figure {wildcards.artefact} --params {params.slice:q} --root {params.root}"
        " --data {output.data} --pdf {output.pdf} --png {output.png} > {log} 2>&1"


rule claim:
    input:
        lambda wildcards: [ROOT / path for path in study_of.files(STUDY, wildcards.artefact)],
        code=lambda wildcards: code("steps.claim") + code(f"claims.{wildcards.artefact}"),
    output:
        f"{ROOT}/claims/{{artefact}}.json",
    log:
        f"{LOGS}/claim/{{artefact}}.log",
    benchmark:
        f"{TIMES}/claim/{{artefact}}.tsv"
    wildcard_constraints:
        artefact="|".join(CLAIMS),
    localrule: True
    params:
        digest=lambda wildcards: origins.digest(code("steps.claim") + code(f"claims.{wildcards.artefact}")),
        slice=lambda wildcards: slices.as_json(shown.artefact(STUDY, wildcards.artefact)),
        root=ROOT,
    message:
        "Judging {wildcards.artefact}"
    shell:
        "dualenc claim {wildcards.artefact} --params {params.slice:q} --root {params.root} --output {output}"
        " > {log} 2>&1"


rule claims:
    input:
        expand(rules.claim.output, artefact=CLAIMS),
        code=code("steps.claims"),
    output:
        multiext(f"{ROOT}/claims", ".json", ".md"),
        html=report(
            f"{ROOT}/claims.html", category="Claims", labels={"content": "All verdicts, with the numbers behind them"}
        ),
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{TIMES}/claims.tsv"
    localrule: True
    params:
        digest=lambda wildcards: origins.digest(code("steps.claims")),
        names=CLAIMS,
        verdicts=ROOT / "claims",
        folder=ROOT,
    message:
        "Collecting the verdicts on claims"
    shell:
        "dualenc claims {params.names} --verdicts {params.verdicts} --output {params.folder} > {log} 2>&1"


rule artefacts:
    input:
        expand(rules.table.output, artefact=TABLES),
        expand(rules.figure.output, artefact=FIGURES),
        rules.claims.output if CLAIMS else [],
    localrule: True


rule report:
    input:
        rules.artefacts.input,
        multiext("workflow/report/", "artefact.rst", "workflow.rst"),
        stylesheet="workflow/report/style.css",
        code=code("steps.report"),
    output:
        front=f"{ROOT}/report/front.html",
        report=f"{ROOT}/report.html",
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{TIMES}/report.tsv"
    localrule: True
    params:
        digest=lambda wildcards: origins.digest(code("steps.report")),
        config=[f"--config scale={SCALE}", f"--config pretrain={STUDY.params.pretrain}"],
        scale=SCALE,
        root=ROOT,
        figures=Path("figures", SCALE),
        logs=LOGS,
    message:
        "Making the report"
    shell:
        "dualenc report --scale {params.scale} {params.config} --root {params.root} --figures {params.figures} --logs {params.logs}"
        " --stylesheet {input.stylesheet} --front {output.front} --output {output.report} > {log} 2>&1"


# Not a target of `all`: figures from their data alone, where a clone has nothing else.
rule redraw:
    log:
        f"{LOGS}/redraw.log",
    benchmark:
        f"{TIMES}/redraw.tsv"
    localrule: True
    params:
        config=f"--config scale={SCALE}",
    message:
        "Drawing figures from their data"
    shell:
        "dualenc redraw {params.config} > {log} 2>&1"


MAKERS = {"table": rules.table, "figure": rules.figure, "claim": rules.claim}
for name, artefact in STUDY.artefacts.items():

    rule:
        name:
            name
        input:
            expand(MAKERS[artefact.kind].output, artefact=name),
        localrule: True
