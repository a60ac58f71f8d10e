rule teacher:
    """Train a teacher. A killed job resumes from its last checkpoint."""
    input:
        lambda w: ancient(plan.upstream(w)),
    output:
        update("results/{scale}/records/teacher/{dataset}/{cell}.{digest}.json"),
    log:
        "results/{scale}/logs/teacher/{dataset}/{cell}.{digest}.log",
    benchmark:
        "results/{scale}/benchmarks/teacher/{dataset}/{cell}.{digest}.tsv"
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        runtime=plan.minutes,
        mem_mb=plan.memory,
    params:
        launcher=plan.launcher,
    shell:
        plan.command("{params.launcher}kdbench run {wildcards.digest}")
