rule data:
    """Prepare a data set, a share of it, or its stand-in."""
    input:
        lambda w: ancient(plan.upstream(w)),
    output:
        update("results/{scale}/records/data/{dataset}/{cell}.{digest}.json"),
    log:
        "results/{scale}/logs/data/{dataset}/{cell}.{digest}.log",
    benchmark:
        "results/{scale}/benchmarks/data/{dataset}/{cell}.{digest}.tsv"
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        runtime=plan.minutes,
        mem_mb=plan.memory,
    shell:
        plan.command("kdbench run {wildcards.digest}")
