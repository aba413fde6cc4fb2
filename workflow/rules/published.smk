# Training lists from published teacher scores, at scales that have `published_scores`.


ruleorder: import_scores > lists
ruleorder: import_scores > teacher_scores


rule import_scores:
    input:
        DATASET,
        code=f"{ROOT}/code/import_scores",
    output:
        multiext(f"{ROOT}/supervision/one-hot/lists.parquet", "", ".json"),
        multiext(f"{ROOT}/supervision/{STUDY.at.published_scores.teacher}/lists.parquet", "", ".json"),
        multiext(f"{ROOT}/supervision/{STUDY.at.published_scores.teacher}/top.parquet", "", ".json"),
    log:
        f"{LOGS}/import_scores.log",
    benchmark:
        f"{TIMES}/import_scores.tsv"
    resources:
        **ASKS["import_scores"],
    params:
        slice=slices.as_json(slices.import_scores(STUDY)),
        origins=origins.as_json(origins.published_scores(STUDY)),
        dataset=DATA,
        output=ROOT / "supervision",
    message:
        "Making training lists from published teacher scores"
    shell:
        "dualenc import-scores --params {params.slice:q} --dataset {params.dataset}"
        " --scratch scratch --output {params.output} > {log} 2>&1"
