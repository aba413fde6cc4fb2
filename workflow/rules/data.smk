# Code, text, candidates, tokens, training lists and evaluation sets: everything before a model.


# What all jobs of a command share: hashes of the files that it is made from, and parameters.
rule code:
    input:
        lambda wildcards: code(f"steps.{wildcards.step}"),
    output:
        f"{ROOT}/code/{{step}}",
    log:
        f"{LOGS}/code/{{step}}.log",
    localrule: True
    params:
        slice=lambda wildcards: slices.as_json(slices.shared(STUDY, wildcards.step)),
        digest=lambda wildcards: origins.digest(code(f"steps.{wildcards.step}")),
    message:
        "Hashing the code of {wildcards.step}"
    shell:
        "(git hash-object --no-filters {input} && printf '%s\\n' {params.slice:q}) > {output} 2> {log}"


rule experiment:
    output:
        f"{ROOT}/experiments/{{experiment}}.json",
    log:
        f"{LOGS}/experiment/{{experiment}}.log",
    localrule: True
    params:
        slice=lambda wildcards: slices.as_json(slices.experiment(STUDY, wildcards.experiment)),
    message:
        "Writing the experiment {wildcards.experiment}"
    shell:
        "printf '%s\\n' {params.slice:q} > {output} 2> {log}"


# The files of further test sets come with the manifest: which there are differs from dataset to dataset.
rule dataset:
    input:
        code=f"{ROOT}/code/dataset",
    output:
        expand(f"{ROOT}/data/{{{{dataset}}}}/queries.{{split}}.parquet", split=SPLITS),
        expand(f"{ROOT}/data/{{{{dataset}}}}/qrels.{{split}}.tsv", split=SPLITS),
        f"{ROOT}/data/{{dataset}}/passages.parquet",
        manifest=f"{ROOT}/data/{{dataset}}/manifest.json",
    log:
        f"{LOGS}/dataset/{{dataset}}.log",
    benchmark:
        f"{TIMES}/dataset/{{dataset}}.tsv"
    threads: workflow.resource_settings.cores or 1
    resources:
        **ASKS["dataset"],
    params:
        slice=lambda wildcards: slices.as_json(slices.dataset(STUDY, wildcards.dataset)),
        origins=lambda wildcards: origins.as_json(origins.dataset(STUDY, wildcards.dataset)),
        output=lambda wildcards: ROOT / "data" / wildcards.dataset,
    message:
        "Reading the dataset {wildcards.dataset}"
    shell:
        "dualenc --threads {threads} dataset --params {params.slice:q} --output {params.output} > {log} 2>&1"


DATASET = expand(rules.dataset.output, dataset=STUDY.at.dataset)


rule candidates:
    input:
        DATASET,
        code=f"{ROOT}/code/candidates",
    output:
        expand(f"{DATA}/candidates/{{split}}.run.gz", split=ALL_SPLITS),
        f"{DATA}/candidates/metrics.json",
    log:
        f"{LOGS}/candidates.log",
    benchmark:
        f"{TIMES}/candidates.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["candidates"],
    params:
        slice=slices.as_json(slices.candidates(STUDY)),
        origins=origins.as_json(origins.candidates(STUDY)),
        dataset=DATA,
        output=DATA / "candidates",
    message:
        "Retrieving BM25 candidates" if STUDY.at.candidates == "bm25" else "Reading the dataset's own candidates"
    shell:
        "dualenc --threads {threads} candidates --params {params.slice:q} --dataset {params.dataset}"
        " --output {params.output} > {log} 2>&1"


rule tokenizer:
    input:
        expand(rules.dataset.output, dataset=study_of.pretrained_on(STUDY)),
        code=f"{ROOT}/code/tokenizer",
    output:
        multiext(f"{ROOT}/tokenizer/", *study_of.TOKENIZER_FILES),
    log:
        f"{LOGS}/tokenizer.log",
    benchmark:
        f"{TIMES}/tokenizer.tsv"
    params:
        slice=slices.as_json(slices.tokenizer(STUDY)),
        datasets=[f"--dataset {ROOT}/data/{dataset}" for dataset in study_of.pretrained_on(STUDY)],
        output=ROOT / "tokenizer",
    message:
        "Training the tokenizer"
    shell:
        "dualenc tokenizer --params {params.slice:q} {params.datasets} --output {params.output} > {log} 2>&1"


rule tokens:
    input:
        rules.dataset.output,
        f"{TOKENIZER}/tokenizer.json",
        code=f"{ROOT}/code/tokens",
    output:
        expand(
            f"{ROOT}/data/{{{{dataset}}}}/tokens/queries.{{split}}.{{part}}.npy",
            split=SPLITS,
            part=["ids", "offsets"],
        ),
        expand(f"{ROOT}/data/{{{{dataset}}}}/tokens/passages.{{part}}.npy", part=["ids", "offsets"]),
        f"{ROOT}/data/{{dataset}}/tokens/manifest.json",
    log:
        f"{LOGS}/tokens/{{dataset}}.log",
    benchmark:
        f"{TIMES}/tokens/{{dataset}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["tokens"],
    params:
        dataset=lambda wildcards: ROOT / "data" / wildcards.dataset,
        tokenizer=TOKENIZER,
        origins=lambda wildcards: origins.tokenizer(STUDY, ["tokenizer.json"]),
        output=lambda wildcards: ROOT / "data" / wildcards.dataset / "tokens",
    message:
        "Writing the token ids of {wildcards.dataset}"
    shell:
        "dualenc --threads {threads} tokens --dataset {params.dataset} --tokenizer {params.tokenizer}"
        " --output {params.output} > {log} 2>&1"


rule lists:
    input:
        DATASET,
        rules.candidates.output,
        code=f"{ROOT}/code/lists",
    output:
        lists=f"{ROOT}/supervision/one-hot/lists.parquet",
        manifest=f"{ROOT}/supervision/one-hot/lists.parquet.json",
    log:
        f"{LOGS}/lists.log",
    benchmark:
        f"{TIMES}/lists.tsv"
    localrule: True
    params:
        slice=slices.as_json(slices.lists(STUDY)),
        dataset=DATA,
        candidates=DATA / "candidates",
    message:
        "Making training lists"
    shell:
        "dualenc lists --params {params.slice:q} --dataset {params.dataset} --candidates {params.candidates}"
        " --output {output.lists} > {log} 2>&1"


rule evaluation_sets:
    input:
        DATASET,
        rules.candidates.output,
        code=f"{ROOT}/code/evaluation_sets",
    output:
        expand(f"{ROOT}/evaluation/{{split}}.run.gz", split=ALL_SPLITS),
        expand(f"{ROOT}/evaluation/{{split}}.qrels.tsv", split=ALL_SPLITS),
    log:
        f"{LOGS}/evaluation_sets.log",
    benchmark:
        f"{TIMES}/evaluation_sets.tsv"
    localrule: True
    params:
        slice=slices.as_json(slices.evaluation_sets(STUDY)),
        dataset=DATA,
        candidates=DATA / "candidates",
        output=ROOT / "evaluation",
    message:
        "Making evaluation sets"
    shell:
        "dualenc evaluation-sets --params {params.slice:q} --dataset {params.dataset}"
        " --candidates {params.candidates} --output {params.output} > {log} 2>&1"


TOKENS = expand(rules.tokens.output, dataset=STUDY.at.dataset)
