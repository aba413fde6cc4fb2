# What models find: in the whole collection, and how good their runs are.


rule encode:
    input:
        TOKENS,
        model=multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/", *study_of.MODEL_FILES),
        code=f"{ROOT}/code/encode",
    output:
        temp(f"{ROOT}/retrieval/{{run}}/seed-{{seed}}/embeddings/{{shard}}-of-{STUDY.at.shards}.npy"),
    log:
        f"{LOGS}/encode/{{run}}/seed-{{seed}}/{{shard}}.log",
    benchmark:
        f"{TIMES}/encode/{{run}}/seed-{{seed}}/{{shard}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["encode"],
    params:
        slice=slices.as_json(slices.encode(STUDY)),
        tokens=DATA / "tokens",
        model=lambda wildcards, input: Path(input.model[0]).parent,
    message:
        "Encoding shard {wildcards.shard} of all passages with {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} encode --params {params.slice:q} --tokens {params.tokens} --model {params.model}"
        " --shard {wildcards.shard} --scratch scratch --output {output} > {log} 2>&1"


rule retrieval:
    input:
        DATASET,
        TOKENS,
        model=rules.encode.input.model,
        embeddings=lambda wildcards: [ROOT / path for path in study_of.embeddings(STUDY, wildcards.run, wildcards.seed)],
        code=f"{ROOT}/code/retrieval",
    output:
        expand(f"{ROOT}/retrieval/{{{{run}}}}/seed-{{{{seed}}}}/{{split}}.run.gz", split=TEST_SETS),
    log:
        f"{LOGS}/retrieval/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/retrieval/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["retrieval"],
    params:
        slice=lambda wildcards: slices.as_json(slices.retrieval(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        model=lambda wildcards, input: Path(input.model[0]).parent,
        embeddings=lambda wildcards, input: [f"--embeddings {path}" for path in input.embeddings],
        output=lambda wildcards: ROOT / "retrieval" / wildcards.run / f"seed-{wildcards.seed}",
    message:
        "Searching all passages with {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} retrieval --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --model {params.model} {params.embeddings} --output {params.output} > {log} 2>&1"


rule evaluate:
    input:
        rules.evaluation_sets.output,
        runs=lambda wildcards: expand(
            f"{ROOT}/{study_of.runs_folder(wildcards.run, 'runs')}/{{split}}.run.gz", split=SETS
        ),
        code=f"{ROOT}/code/evaluate",
    output:
        multiext(f"{ROOT}/runs/{{run}}/", "metrics.json", "per_query.parquet"),
    log:
        f"{LOGS}/evaluate/{{run}}.log",
    benchmark:
        f"{TIMES}/evaluate/{{run}}.tsv"
    wildcard_constraints:
        run="random|bm25|[^/]+/seed-[0-9]+",
    localrule: True
    params:
        slice=slices.as_json(slices.evaluate(STUDY)),
        evaluation=ROOT / "evaluation",
        runs=lambda wildcards: ROOT / study_of.runs_folder(wildcards.run, "runs"),
        splits=",".join(SETS),
        constant=lambda wildcards: "--constant" if wildcards.run == "random" else "",
        output=lambda wildcards: ROOT / "runs" / wildcards.run,
    message:
        "Evaluating {wildcards.run}"
    shell:
        "dualenc evaluate --params {params.slice:q} --evaluation {params.evaluation} --runs {params.runs}"
        " --splits {params.splits} {params.constant} --output {params.output} > {log} 2>&1"


use rule evaluate as evaluate_retrieval with:
    input:
        rules.evaluation_sets.output,
        runs=lambda wildcards: expand(
            f"{ROOT}/{study_of.runs_folder(wildcards.run, 'retrieval')}/{{split}}.run.gz", split=TEST_SETS
        ),
        code=f"{ROOT}/code/evaluate",
    output:
        multiext(f"{ROOT}/retrieval/{{run}}/", "metrics.json", "per_query.parquet"),
    log:
        f"{LOGS}/evaluate_retrieval/{{run}}.log",
    benchmark:
        f"{TIMES}/evaluate_retrieval/{{run}}.tsv"
    localrule: True
    params:
        slice=slices.as_json(slices.evaluate(STUDY)),
        evaluation=ROOT / "evaluation",
        runs=lambda wildcards: ROOT / study_of.runs_folder(wildcards.run, "retrieval"),
        splits=",".join(TEST_SETS),
        constant="",
        output=lambda wildcards: ROOT / "retrieval" / wildcards.run,
    message:
        "Evaluating the retrieval of {wildcards.run}"
