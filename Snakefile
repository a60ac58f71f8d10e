"""Regenerates every exhibit that params.yaml asks for: snakemake --cores all reproduce_all.

A record's file name carries the digest of its run, so "up to date" means that the file exists:
no time stamps. The plan is pure Python and is asked here; each job is one shell command that a
person could type as well.
"""

from kdbench.workflow.protection import protect
from kdbench.workflow.snakemake import plan_or_exit

plan = plan_or_exit(
    config, workflow.config_settings.config_args, lambda: workflow.local_exec
)
protect(workflow, plan.scale)


# Used with --sdm apptainer alone: apptainer build containers/kdbench.sif containers/kdbench.def
container: "containers/kdbench.sif"


wildcard_constraints:
    digest="[0-9a-f]{12}",
    phase="data|teacher|search|student|evaluation",
    dataset="[^/]+",
    cell="[^/]+",
    scale="smoke|lite|paper",


# The number of GPUs here limits jobs that run here. A cluster counts its own.
resource_scopes:
    gpu="local",


localrules:
    reproduce_all,


onstart:
    plan.start(local=workflow.local_exec)


onerror:
    plan.report_anyway()


rule reproduce_all:
    """Every table and figure of the scale in force; --report shows those that are written."""
    default_target: True
    input:
        plan.readmes,
        ancient(plan.report_record),
        ancient(plan.missing()),
        [
            report(
                ancient(file.path),
                caption=file.caption,
                category=file.category,
                labels=file.labels,
            )
            for file in plan.shown
        ],
    params:
        scale=plan.scale,  # for the captions


include: "rules/data.smk"
include: "rules/teacher.smk"
include: "rules/search.smk"
include: "rules/student.smk"
include: "rules/evaluation.smk"
include: "rules/restore.smk"
include: "rules/report.smk"
