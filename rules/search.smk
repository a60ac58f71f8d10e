rule search:
    """Search how to distil, on training images only. A killed job resumes."""
    input:
        lambda w: ancient(plan.upstream(w)),
    output:
        update("results/{scale}/records/search/{dataset}/{cell}.{digest}.json"),
    log:
        "results/{scale}/logs/search/{dataset}/{cell}.{digest}.log",
    benchmark:
        "results/{scale}/benchmarks/search/{dataset}/{cell}.{digest}.tsv"
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        runtime=plan.minutes,
        mem_mb=plan.memory,
    params:
        launcher=plan.launcher,
    shell:
        plan.command("{params.launcher}kdbench run {wildcards.digest}")
