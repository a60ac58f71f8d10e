rule student:
    """Train a student to the end of its recipe. A killed job resumes."""
    input:
        lambda w: ancient(plan.upstream(w)),
    output:
        update("results/{scale}/records/student/{dataset}/{cell}.{digest}.json"),
    log:
        "results/{scale}/logs/student/{dataset}/{cell}.{digest}.log",
    benchmark:
        "results/{scale}/benchmarks/student/{dataset}/{cell}.{digest}.tsv"
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        runtime=plan.minutes,
        mem_mb=plan.memory,
    params:
        launcher=plan.launcher,
    shell:
        plan.command("{params.launcher}kdbench run {wildcards.digest}")
