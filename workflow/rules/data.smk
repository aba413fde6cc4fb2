# Text, candidates, tokens, training lists and evaluation sets: everything before a model.


rule dataset:
    input:
        code=code("steps.dataset"),
    output:
        expand(f"{DATA}/queries.{{split}}.parquet", split=SPLITS),
        expand(f"{DATA}/qrels.{{split}}.tsv", split=SPLITS),
        f"{DATA}/passages.parquet",
        f"{DATA}/manifest.json",
    log:
        f"{LOGS}/dataset.log",
    benchmark:
        f"{TIMES}/dataset.tsv"
    threads: workflow.cores or 1
    params:
        slice=study_of.as_json(study_of.dataset_slice(STUDY)),
        output=DATA,
    message:
        "Reading the dataset {STUDY.at.dataset}"
    shell:
        "dualenc --threads {threads} dataset --params {params.slice:q} --output {params.output} > {log} 2>&1"


rule candidates:
    input:
        rules.dataset.output,
        code=code("steps.candidates"),
    output:
        expand(f"{DATA}/candidates/{{split}}.run.gz", split=SPLITS),
        f"{DATA}/candidates/metrics.json",
    log:
        f"{LOGS}/candidates.log",
    benchmark:
        f"{TIMES}/candidates.tsv"
    params:
        slice=study_of.as_json(study_of.candidates_slice(STUDY)),
        dataset=DATA,
        output=DATA / "candidates",
    message:
        "Retrieving BM25 candidates"
    shell:
        "dualenc candidates --params {params.slice:q} --dataset {params.dataset} --output {params.output}"
        " > {log} 2>&1"


rule tokenizer:
    input:
        rules.dataset.output,
        code=code("steps.tokenizer"),
    output:
        f"{DATA}/tokenizer/tokenizer.json",
        f"{DATA}/tokenizer/tokenizer_config.json",
    log:
        f"{LOGS}/tokenizer.log",
    benchmark:
        f"{TIMES}/tokenizer.tsv"
    params:
        slice=study_of.as_json(study_of.tokenizer_slice(STUDY)),
        dataset=DATA,
        output=DATA / "tokenizer",
    message:
        "Training the tokenizer"
    shell:
        "dualenc tokenizer --params {params.slice:q} --dataset {params.dataset} --output {params.output}"
        " > {log} 2>&1"


rule tokens:
    input:
        rules.dataset.output,
        rules.tokenizer.output,
        code=code("steps.tokens"),
    output:
        expand(f"{DATA}/tokens/queries.{{split}}.{{part}}.npy", split=SPLITS, part=["ids", "offsets"]),
        expand(f"{DATA}/tokens/passages.{{part}}.npy", part=["ids", "offsets"]),
        f"{DATA}/tokens/manifest.json",
    log:
        f"{LOGS}/tokens.log",
    benchmark:
        f"{TIMES}/tokens.tsv"
    params:
        dataset=DATA,
        tokenizer=DATA / "tokenizer",
        output=DATA / "tokens",
    message:
        "Writing token ids"
    shell:
        "dualenc tokens --dataset {params.dataset} --tokenizer {params.tokenizer}"
        " --output {params.output} > {log} 2>&1"


rule lists:
    input:
        rules.dataset.output,
        rules.candidates.output,
        code=code("steps.lists"),
    output:
        lists=f"{ROOT}/supervision/one-hot/lists.parquet",
        manifest=f"{ROOT}/supervision/one-hot/lists.parquet.json",
    log:
        f"{LOGS}/lists.log",
    benchmark:
        f"{TIMES}/lists.tsv"
    params:
        slice=study_of.as_json(study_of.lists_slice(STUDY)),
        dataset=DATA,
        candidates=DATA / "candidates",
    message:
        "Making training lists"
    shell:
        "dualenc lists --params {params.slice:q} --dataset {params.dataset} --candidates {params.candidates}"
        " --output {output.lists} > {log} 2>&1"


rule evaluation_sets:
    input:
        rules.dataset.output,
        rules.candidates.output,
        code=code("steps.evaluation_sets"),
    output:
        expand(f"{ROOT}/evaluation/{{split}}.run.gz", split=SPLITS),
        expand(f"{ROOT}/evaluation/{{split}}.qrels.tsv", split=SPLITS),
    log:
        f"{LOGS}/evaluation_sets.log",
    benchmark:
        f"{TIMES}/evaluation_sets.tsv"
    params:
        slice=study_of.as_json(study_of.evaluation_sets_slice(STUDY)),
        dataset=DATA,
        candidates=DATA / "candidates",
        output=ROOT / "evaluation",
    message:
        "Making evaluation sets"
    shell:
        "dualenc evaluation-sets --params {params.slice:q} --dataset {params.dataset}"
        " --candidates {params.candidates} --output {params.output} > {log} 2>&1"
