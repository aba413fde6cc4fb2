# What figures look at in addition to runs: whole blocks of scores, and what a step on one pair does to others.


rule score_matrix:
    input:
        DATASET,
        TOKENS,
        rules.evaluation_sets.output,
        model=multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/", *study_of.MODEL_FILES),
        code=f"{ROOT}/code/score_matrix",
    output:
        f"{ROOT}/score-matrices/{{run}}/seed-{{seed}}.parquet",
    log:
        f"{LOGS}/score_matrix/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/score_matrix/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["score_matrix"],
    params:
        slice=lambda wildcards: slices.as_json(slices.score_matrix(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        evaluation=ROOT / "evaluation",
        run=lambda wildcards, input: Path(input.model[0]).parents[1],
    message:
        "Scoring blocks of queries and passages with {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} score-matrix --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --evaluation {params.evaluation} --run {params.run} --output {output}"
        " > {log} 2>&1"


rule score_updates:
    input:
        DATASET,
        TOKENS,
        rules.evaluation_sets.output,
        expand(
            f"{ROOT}/checkpoints/{{{{run}}}}/seed-{{{{seed}}}}/step-{{early}}/model/{{name}}",
            early=STUDY.checkpoint_steps,
            name=study_of.MODEL_FILES,
        ),
        model=multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/", *study_of.MODEL_FILES),
        code=f"{ROOT}/code/score_updates",
    output:
        f"{ROOT}/score-updates/{{run}}/seed-{{seed}}.parquet",
    log:
        f"{LOGS}/score_updates/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/score_updates/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["score_updates"],
    params:
        slice=lambda wildcards: slices.as_json(slices.score_updates(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        evaluation=ROOT / "evaluation",
        checkpoints=lambda wildcards: ROOT / "checkpoints" / wildcards.run / f"seed-{wildcards.seed}",
        run=lambda wildcards, input: Path(input.model[0]).parents[1],
    message:
        "Stepping on single pairs with {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} score-updates --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --evaluation {params.evaluation} --checkpoints {params.checkpoints}"
        " --run {params.run} --output {output} > {log} 2>&1"
