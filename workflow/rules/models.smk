# Miniatures, trained models with their runs, and the teacher's scores.


rule corpus:
    input:
        rules.dataset.output,
        code=f"{ROOT}/code/corpus",
    output:
        lists=f"{ROOT}/corpora/{{dataset}}.parquet",
        manifest=f"{ROOT}/corpora/{{dataset}}.parquet.json",
    log:
        f"{LOGS}/corpus/{{dataset}}.log",
    benchmark:
        f"{TIMES}/corpus/{{dataset}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["corpus"],
    params:
        slice=slices.as_json(slices.corpus(STUDY)),
        dataset=lambda wildcards: ROOT / "data" / wildcards.dataset,
    message:
        "Making lists to pre-train on from {wildcards.dataset}"
    shell:
        "dualenc --threads {threads} corpus --params {params.slice:q} --dataset {params.dataset}"
        " --output {output.lists} > {log} 2>&1"


rule texts:
    input:
        expand(rules.dataset.output, dataset=list(STUDY.at.pretraining.texts)),
        f"{TOKENIZER}/tokenizer.json",
        code=f"{ROOT}/code/texts",
    output:
        multiext(f"{ROOT}/texts/", *study_of.texts_files(STUDY)),
    log:
        f"{LOGS}/texts.log",
    benchmark:
        f"{TIMES}/texts.tsv"
    threads: workflow.resource_settings.cores or 1
    resources:
        **ASKS["texts"],
    params:
        slice=slices.as_json(slices.texts(STUDY)),
        data=ROOT / "data",
        tokenizer=TOKENIZER,
        origins=origins.tokenizer(STUDY),
        output=ROOT / "texts",
    message:
        "Taking texts to pre-train on"
    shell:
        "dualenc --threads {threads} texts --params {params.slice:q} --data {params.data}"
        " --tokenizer {params.tokenizer} --scratch scratch --output {params.output} > {log} 2>&1"


rule pretrain:
    input:
        DATASET,
        TOKENS,
        expand(rules.tokens.output, dataset=list(STUDY.at.pretraining.corpora)),
        expand(rules.corpus.output, dataset=list(STUDY.at.pretraining.corpora)),
        rules.texts.output,
        rules.evaluation_sets.output,
        multiext(f"{TOKENIZER}/", *study_of.TOKENIZER_FILES),
        start=lambda wildcards: [ROOT / path for path in study_of.grows_from(STUDY, wildcards.encoder)],
        code=f"{ROOT}/code/pretrain",
    output:
        [f"{ROOT}/encoders/{{encoder}}/{name}" for name in [*study_of.ENCODER_FILES, "curve.csv", "metrics.json"]],
    log:
        f"{LOGS}/pretrain/{{encoder}}.log",
    benchmark:
        f"{TIMES}/pretrain/{{encoder}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["pretrain"],
    params:
        slice=lambda wildcards: slices.as_json(slices.pretrain(STUDY, wildcards.encoder)),
        data=ROOT / "data",
        corpora=ROOT / "corpora",
        texts=ROOT / "texts",
        dataset=STUDY.at.dataset,
        evaluation=ROOT / "evaluation",
        tokenizer=TOKENIZER,
        origins=lambda wildcards: origins.tokenizer(STUDY),
        start=lambda wildcards, input: f"--start {Path(input.start[0]).parent}" if input.start else "",
        output=lambda wildcards: ROOT / "encoders" / wildcards.encoder,
    message:
        "Pre-training {wildcards.encoder}"
    shell:
        "dualenc --threads {threads} pretrain --params {params.slice:q} --data {params.data}"
        " --corpora {params.corpora} --texts {params.texts} --dataset {params.dataset} --evaluation {params.evaluation}"
        " --tokenizer {params.tokenizer} {params.start} --scratch scratch --output {params.output} > {log} 2>&1"


rule fetch:
    input:
        code=f"{ROOT}/code/fetch",
    output:
        [f"{ROOT}/fetched/{{encoder}}/{name}" for name in [*study_of.ENCODER_FILES, "manifest.json"]],
    log:
        f"{LOGS}/fetch/{{encoder}}.log",
    benchmark:
        f"{TIMES}/fetch/{{encoder}}.tsv"
    localrule: True
    params:
        slice=lambda wildcards: slices.as_json(slices.fetch(STUDY, wildcards.encoder)),
        output=lambda wildcards: ROOT / "fetched" / wildcards.encoder,
    message:
        "Fetching {wildcards.encoder}"
    shell:
        "dualenc fetch --params {params.slice:q} --output {params.output} > {log} 2>&1"


TRAINED = ["curve.csv", "config.yaml", "provenance.json"]


rule train:
    input:
        DATASET,
        TOKENS,
        rules.evaluation_sets.output,
        encoder=lambda wildcards: [
            f"{study_of.encoder_folder(STUDY, STUDY.run(wildcards.run).encoder)}/{name}"
            for name in study_of.ENCODER_FILES
        ],
        lists=lambda wildcards: f"{ROOT}/{study_of.lists_of(STUDY, wildcards.run)}",
        experiment=lambda wildcards: f"{ROOT}/experiments/{STUDY.split(wildcards.run)[0]}.json",
        code=f"{ROOT}/code/train",
    output:
        multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/", *study_of.MODEL_FILES),
        multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/", *TRAINED),
    log:
        f"{LOGS}/train/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/train/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads * STUDY.at.processes // STUDY.at.nodes
    resources:
        **ASKS["train"],
    params:
        slice=lambda wildcards: slices.as_json(slices.train(STUDY, wildcards.run, int(wildcards.seed))),
        dataset=DATA,
        tokens=DATA / "tokens",
        encoder=lambda wildcards: study_of.encoder_folder(STUDY, STUDY.run(wildcards.run).encoder),
        origins=lambda wildcards: origins.encoder(STUDY, STUDY.run(wildcards.run).encoder),
        evaluation=ROOT / "evaluation",
        checkpoints=lambda wildcards: ROOT / "checkpoints" / wildcards.run / f"seed-{wildcards.seed}",
        output=lambda wildcards: ROOT / "runs" / wildcards.run / f"seed-{wildcards.seed}",
    message:
        "Training {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} train --params {params.slice:q} --seed {wildcards.seed}"
        " --dataset {params.dataset} --tokens {params.tokens} --encoder {params.encoder} --lists {input.lists}"
        " --evaluation {params.evaluation} --processes {resources.processes} --nodes {resources.nodes}"
        " --checkpoints {params.checkpoints} --scratch scratch --output {params.output} > {log} 2>&1"


# Training runs whose early models artefacts look at, too; Snakemake uses this rule for them and the other for the rest.
use rule train as train_with_checkpoints with:
    output:
        multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/", *study_of.MODEL_FILES),
        multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/", *TRAINED),
        expand(
            f"{ROOT}/checkpoints/{{{{run}}}}/seed-{{{{seed}}}}/step-{{early}}/model/{{name}}",
            early=STUDY.checkpoint_steps,
            name=study_of.MODEL_FILES,
        ),
    wildcard_constraints:
        run=study_of.any_of(run for run, _ in study_of.wanted(STUDY, "checkpoints")),
        seed=study_of.any_of(seed for _, seed in study_of.wanted(STUDY, "checkpoints")),


ruleorder: train_with_checkpoints > train


rule rerank:
    input:
        DATASET,
        TOKENS,
        rules.evaluation_sets.output,
        model=multiext(f"{ROOT}/runs/{{run}}/seed-{{seed}}/model/", *study_of.MODEL_FILES),
        code=f"{ROOT}/code/rerank",
    output:
        expand(f"{ROOT}/runs/{{{{run}}}}/seed-{{{{seed}}}}/{{split}}.run.gz", split=SETS),
    log:
        f"{LOGS}/rerank/{{run}}/seed-{{seed}}.log",
    benchmark:
        f"{TIMES}/rerank/{{run}}/seed-{{seed}}.tsv"
    threads: STUDY.params.threads * STUDY.at.processes // STUDY.at.nodes
    resources:
        **ASKS["rerank"],
    params:
        slice=lambda wildcards: slices.as_json(slices.rerank(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        evaluation=ROOT / "evaluation",
        model=lambda wildcards, input: Path(input.model[0]).parent,
        splits=",".join(SETS),
        tag=lambda wildcards: "-".join(wildcards),
        output=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Re-ranking with {wildcards.run}, seed {wildcards.seed}"
    shell:
        "dualenc --threads {threads} rerank --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --evaluation {params.evaluation} --model {params.model} --splits {params.splits}"
        " --tag {params.tag} --processes {resources.processes} --nodes {resources.nodes} --scratch scratch"
        " --output {params.output} > {log} 2>&1"


use rule rerank as rerank_checkpoint with:
    input:
        DATASET,
        TOKENS,
        rules.evaluation_sets.output,
        model=multiext(f"{ROOT}/checkpoints/{{run}}/seed-{{seed}}/{{early}}/model/", *study_of.MODEL_FILES),
        code=f"{ROOT}/code/rerank",
    output:
        expand(
            f"{ROOT}/checkpoints/{{{{run}}}}/seed-{{{{seed}}}}/{{{{early}}}}/{{split}}.run.gz",
            split=study_of.CHECKPOINT_SETS,
        ),
    log:
        f"{LOGS}/rerank_checkpoint/{{run}}/seed-{{seed}}/{{early}}.log",
    benchmark:
        f"{TIMES}/rerank_checkpoint/{{run}}/seed-{{seed}}/{{early}}.tsv"
    params:
        slice=lambda wildcards: slices.as_json(slices.rerank(STUDY, wildcards.run)),
        dataset=DATA,
        tokens=DATA / "tokens",
        evaluation=ROOT / "evaluation",
        model=lambda wildcards, input: Path(input.model[0]).parent,
        splits=",".join(study_of.CHECKPOINT_SETS),
        tag=lambda wildcards: "-".join(wildcards),
        output=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Re-ranking with {wildcards.run}, seed {wildcards.seed}, {wildcards.early}"


rule score_shard:
    input:
        DATASET,
        TOKENS,
        lists=f"{ROOT}/supervision/one-hot/lists.parquet",
        model=multiext(f"{ROOT}/runs/{{teacher}}/seed-{STUDY.at.seeds[0]}/model/", *study_of.MODEL_FILES),
        code=f"{ROOT}/code/teacher_scores",
    output:
        temp(f"{ROOT}/supervision/{{teacher}}/scores/{{shard}}-of-{STUDY.at.shards}.npy"),
    log:
        f"{LOGS}/score_shard/{{teacher}}/{{shard}}.log",
    benchmark:
        f"{TIMES}/score_shard/{{teacher}}/{{shard}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["score_shard"],
    params:
        slice=lambda wildcards: slices.as_json(slices.score_shard(STUDY, wildcards.teacher)),
        dataset=DATA,
        tokens=DATA / "tokens",
        model=lambda wildcards, input: Path(input.model[0]).parent,
    message:
        "Scoring shard {wildcards.shard} of the training lists with {wildcards.teacher}"
    shell:
        "dualenc --threads {threads} score-shard --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --model {params.model} --lists {input.lists} --shard {wildcards.shard}"
        " --scratch scratch --output {output} > {log} 2>&1"


rule teacher_scores:
    input:
        DATASET,
        TOKENS,
        lists=f"{ROOT}/supervision/one-hot/lists.parquet",
        model=multiext(f"{ROOT}/runs/{{teacher}}/seed-{STUDY.at.seeds[0]}/model/", *study_of.MODEL_FILES),
        scores=lambda wildcards: [ROOT / path for path in study_of.scores(STUDY, wildcards.teacher)],
        code=f"{ROOT}/code/teacher_scores",
    output:
        lists=f"{ROOT}/supervision/{{teacher}}/lists.parquet",
        manifest=f"{ROOT}/supervision/{{teacher}}/lists.parquet.json",
    log:
        f"{LOGS}/teacher_scores/{{teacher}}.log",
    benchmark:
        f"{TIMES}/teacher_scores/{{teacher}}.tsv"
    threads: STUDY.params.threads
    resources:
        **ASKS["teacher_scores"],
    params:
        slice=lambda wildcards: slices.as_json(slices.teacher_scores(STUDY, wildcards.teacher)),
        dataset=DATA,
        tokens=DATA / "tokens",
        model=lambda wildcards, input: Path(input.model[0]).parent,
        scores=lambda wildcards, input: [f"--scores {path}" for path in input.scores],
    message:
        "Scoring the training lists with {wildcards.teacher}"
    shell:
        "dualenc --threads {threads} teacher-scores --params {params.slice:q} --dataset {params.dataset}"
        " --tokens {params.tokens} --model {params.model} --lists {input.lists} {params.scores}"
        " --scratch scratch --output {output.lists} > {log} 2>&1"
