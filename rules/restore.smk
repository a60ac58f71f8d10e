rule restore:
    """Restore a finished run's artifacts, which a run that is needed reads.

    Pulled from the DVC remote if there is one, otherwise made again; the record stays.
    """
    output:
        "results/{scale}/artifacts/{phase}/{dataset}/{cell}.{digest}/artifacts.json",
    log:
        "results/{scale}/logs/restore/{phase}/{dataset}/{cell}.{digest}.log",
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        runtime=plan.minutes,
        mem_mb=plan.memory,
    params:
        launcher=plan.launcher,
    shell:
        plan.command("{params.launcher}kdbench restore {wildcards.digest}")
