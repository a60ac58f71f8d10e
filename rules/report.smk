rule report:
    """Write the tables, the figures and their index from the records."""
    input:
        ancient(plan.records()),
    output:
        plan.readmes,
        plan.report_record,
    log:
        f"results/{plan.scale}/logs/report.log",
    params:
        options=lambda w: plan.options,
    shell:
        "kdbench report {params.options} > {log:q} 2>&1"
