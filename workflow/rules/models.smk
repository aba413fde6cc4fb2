# Pre-trained miniatures, trained models with their runs, and the teacher's scores.


rule pretrain:
    input:
        rules.dataset.output,
        rules.tokenizer.output,
        rules.tokens.output,
        code=code("steps.pretrain"),
    output:
        [f"{ROOT}/encoders/{{encoder}}/{name}" for name in study_of.ENCODER_FILES],
    log:
        f"{LOGS}/pretrain/{{encoder}}.log",
    benchmark:
        f"{TIMES}/pretrain/{{encoder}}.tsv"
    threads: STUDY.params.threads
    resources:
        gpu=STUDY.at.gpus,
    params:
        slice=lambda wildcards: study_of.as_json(study_of.pretrain_slice(STUDY, wildcards.encoder)),
        dataset=DATA,
        tokens=DATA / "tokens",
        tokenizer=DATA / "tokenizer",
        output=lambda wildcards: ROOT / "encoders" / wildcards.encoder,
    message:
        "Pre-training {wildcards.encoder}"
    shell:
        "dualenc --threads {threads} pretrain --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --tokenizer {params.tokenizer} --scratch scratch --output {params.output}"
        " > {log} 2>&1"


rule train:
    input:
        rules.dataset.output,
        rules.tokens.output,
        rules.evaluation_sets.output,
        encoder=lambda wildcards: [
            f"{ROOT}/encoders/{STUDY.run(wildcards.run).encoder}/{name}" for name in study_of.ENCODER_FILES
        ],
        lists=lambda wildcards: f"{ROOT}/{study_of.lists_of(STUDY, wildcards.run)}",
        code=code("steps.train"),
    output:
        multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/", *study_of.MODEL_FILES),
        expand(f"{ROOT}/runs/{{{{run}}}}/seed-{{{{seed}}}}/{{split}}.run.gz", split=SPLITS),
        multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/", "curve.csv", "config.yaml", "provenance.json"),
    log:
        f"{LOGS}/train/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/train/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads
    resources:
        gpu=STUDY.at.gpus,
    params:
        slice=lambda wildcards: study_of.as_json(study_of.train_slice(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        encoder=lambda wildcards: ROOT / "encoders" / STUDY.run(wildcards.run).encoder,
        evaluation=ROOT / "evaluation",
        output=lambda wildcards: ROOT / "runs" / wildcards.run / f"seed-{wildcards.seed}",
    message:
        "Training {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} train --params {params.slice:q} --seed {wildcards.seed}"
        " --dataset {params.dataset} --tokens {params.tokens} --encoder {params.encoder} --lists {input.lists}"
        " --evaluation {params.evaluation} --scratch scratch --output {params.output} > {log} 2>&1"


rule checkpoints:
    input:
        rules.dataset.output,
        rules.tokens.output,
        rules.evaluation_sets.output,
        encoder=rules.train.input.encoder,
        lists=rules.train.input.lists,
        code=code("steps.checkpoints"),
    output:
        expand(
            f"{ROOT}/checkpoints/{{{{run}}}}/seed-{{{{seed}}}}/step-{{step}}/{{name}}",
            step=study_of.checkpoint_steps(STUDY),
            name=study_of.CHECKPOINT_FILES,
        ),
    log:
        f"{LOGS}/checkpoints/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/checkpoints/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads
    resources:
        gpu=STUDY.at.gpus,
    params:
        slice=lambda wildcards: study_of.as_json(study_of.checkpoints_slice(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        encoder=lambda wildcards: ROOT / "encoders" / STUDY.run(wildcards.run).encoder,
        evaluation=ROOT / "evaluation",
        output=lambda wildcards: ROOT / "checkpoints" / wildcards.run / f"seed-{wildcards.seed}",
    message:
        "Training {wildcards.run}, seed {wildcards.seed}, again up to its checkpoints"
    shell:
        "dualenc --threads {threads} checkpoints --params {params.slice:q} --seed {wildcards.seed}"
        " --dataset {params.dataset} --tokens {params.tokens} --encoder {params.encoder} --lists {input.lists}"
        " --evaluation {params.evaluation} --scratch scratch --output {params.output} > {log} 2>&1"


rule teacher_scores:
    input:
        rules.dataset.output,
        rules.tokens.output,
        lists=rules.lists.output.lists,
        model=f"{ROOT}/runs/{{teacher}}/seed-{STUDY.at.seeds[0]}/model/model.safetensors",
        code=code("steps.teacher_scores"),
    output:
        lists=f"{ROOT}/supervision/{{teacher}}/lists.parquet",
        manifest=f"{ROOT}/supervision/{{teacher}}/lists.parquet.json",
    log:
        f"{LOGS}/teacher_scores/{{teacher}}.log",
    benchmark:
        f"{TIMES}/teacher_scores/{{teacher}}.tsv"
    threads: STUDY.params.threads
    resources:
        gpu=STUDY.at.gpus,
    params:
        slice=lambda wildcards: study_of.as_json(study_of.teacher_scores_slice(STUDY, wildcards.teacher)),
        dataset=DATA,
        tokens=DATA / "tokens",
        model=lambda wildcards, input: Path(input.model).parent,
    message:
        "Scoring the training lists with {wildcards.teacher}"
    shell:
        "dualenc --threads {threads} teacher-scores --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --model {params.model} --lists {input.lists} --output {output.lists}"
        " > {log} 2>&1"
