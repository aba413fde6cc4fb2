# What figures look at beside runs: whole blocks of scores, and what a step on one pair does to others.


rule score_matrix:
    input:
        rules.dataset.output,
        rules.tokens.output,
        rules.evaluation_sets.output,
        model=f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/model.safetensors",
        code=code("steps.score_matrix"),
    output:
        f"{ROOT}/score-matrices/{{run}}/seed-{{seed}}.parquet",
    log:
        f"{LOGS}/score_matrix/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/score_matrix/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads
    resources:
        gpu=STUDY.at.gpus,
    params:
        slice=lambda wildcards: study_of.as_json(study_of.score_matrix_slice(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        evaluation=ROOT / "evaluation",
        run=lambda wildcards, input: Path(input.model).parents[1],
    message:
        "Scoring blocks of queries and passages with {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} score-matrix --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --evaluation {params.evaluation} --run {params.run} --output {output}"
        " > {log} 2>&1"


rule score_updates:
    input:
        rules.dataset.output,
        rules.tokens.output,
        rules.evaluation_sets.output,
        rules.checkpoints.output,
        model=f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/model.safetensors",
        code=code("steps.score_updates"),
    output:
        f"{ROOT}/score-updates/{{run}}/seed-{{seed}}.parquet",
    log:
        f"{LOGS}/score_updates/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/score_updates/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads
    resources:
        gpu=STUDY.at.gpus,
    params:
        slice=lambda wildcards: study_of.as_json(study_of.score_updates_slice(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        evaluation=ROOT / "evaluation",
        checkpoints=lambda wildcards: ROOT / "checkpoints" / wildcards.run / f"seed-{wildcards.seed}",
        run=lambda wildcards, input: Path(input.model).parents[1],
    message:
        "Stepping on single pairs with {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} score-updates --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --evaluation {params.evaluation} --checkpoints {params.checkpoints}"
        " --run {params.run} --output {output} > {log} 2>&1"
