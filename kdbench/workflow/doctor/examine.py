"""`kdbench doctor`: everything that will go wrong, before it does."""

from collections.abc import Iterator
from pathlib import Path

from kdbench.plan.graph import Graph
from kdbench.store.paths import Paths
from kdbench.workflow.doctor.findings import Finding, wrong
from kdbench.workflow.doctor.hardware import (
    check_cores,
    check_devices,
    check_environment,
    check_python,
    check_shared_memory,
)
from kdbench.workflow.doctor.machine import Machine
from kdbench.workflow.doctor.storage import (
    check_data,
    check_file_system,
    check_locks,
    check_records,
    check_room,
)
from kdbench.workflow.doctor.tools import check_dvc, check_git, check_snakemake
from kdbench.workflow.status import absent_teachers


def examine(graph: Graph, paths: Paths, machine: Machine | None = None) -> Iterator[Finding]:
    """Look at machine, data, disk, locks, tools and records, and say what was seen.

    Args:
        graph: the plan, which says what will be needed.
        paths: of the project.
        machine: by default the one that this process runs on.
    """
    machine = machine or Machine.this(paths.root if paths.root != Path() else Path.cwd())
    yield from check_python(machine)
    yield from check_environment(machine)
    yield from check_cores(machine, graph)
    yield from check_devices(machine, graph)
    yield from check_shared_memory(machine, graph)
    yield from check_room(machine)
    yield from check_file_system(machine, paths)
    yield from check_locks(machine, paths)
    yield from check_data(graph, paths)
    for line in absent_teachers(graph, paths):
        yield wrong("data", line, "or take it out of params.yaml")
    yield from check_records(graph, paths)
    yield from check_git(paths)
    yield from check_dvc(paths)
    yield from check_snakemake(graph, paths)
