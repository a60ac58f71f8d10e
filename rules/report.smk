rule report:
    """Write the tables, the figures and their index from the records."""
    input:
        ancient(plan.records()),
    output:
        plan.readmes,
        plan.report_record,
    log:
        f"results/{plan.scale}/logs/report.log",
    shell:
        plan.command("kdbench report")
