rule evaluation:
    """Measure every seed of a cell on the test set, in one process.

    Where runs take seconds the job makes several cells, each with its students: see plan.cells.
    """
    input:
        lambda w: ancient(plan.upstream(w)),
    output:
        update("results/{scale}/records/evaluation/{dataset}/{cell}.{digest}.json"),
    log:
        "results/{scale}/logs/evaluation/{dataset}/{cell}.{digest}.log",
    benchmark:
        "results/{scale}/benchmarks/evaluation/{dataset}/{cell}.{digest}.tsv"
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        runtime=plan.minutes,
        mem_mb=plan.memory,
    params:
        launcher=plan.launcher,
        cells=plan.cells,
    shell:
        plan.command("{params.launcher}kdbench run {params.cells}")
